import { describe, expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Forbidden, QuotaReached, Refused } from "../../../src/http/errors.ts"
import { makeBench } from "../world/bench.ts"
import type { Call, Fault } from "../world/faults.ts"
import { flow, stuck } from "../world/jobs.ts"
import { pass, scenario, within } from "../world/scenario.ts"
import { begin, type World } from "../world/world.ts"

const madeAt = (world: World) => world.chronicle.of("job made").map(({ at }) => at - begin)

const pidOf = (world: World, runId: string) => world.run(runId).infrastructure_pid?.split(":").at(-1)

const quota: Fault = {
  kind: "error",
  error: (call: Call) =>
    new QuotaReached({ service: call.service, request: call.name, detail: "quota of commands" })
}

/** Makes the workload known to be ready, so that the next launch goes straight to its claim and start. */
const warmedUp = Effect.fnUntraced(function* (world: World) {
  const bench = yield* makeBench(world, "agent-a")
  yield* world.addRun("first")
  yield* within("1 second", bench.launchNow("first"))
  world.chronicle.entries.length = 0
  return bench
})

describe("a start", () => {
  scenario("is not sent on a proof that is older than 5 s: the run is read first", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("propose", { kind: "slow", before: 0, after: 6_000 })
      const launched = yield* Effect.forkChild(bench.launchNow("r1"))
      yield* pass("3 seconds")
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING"])
      yield* world.propose("r1", "CANCELLING")
      yield* pass("30 seconds")
      yield* Fiber.join(launched)
      expect(world.platform.commands()).toEqual([])
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "CANCELLING", "CANCELLED"])
    })
  )

  scenario("of a run that was claimed anew meanwhile is not sent, and the newer claim stands", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("propose", { kind: "slow", before: 0, after: 6_000 })
      const launched = yield* Effect.forkChild(bench.launchNow("r1"))
      yield* pass("3 seconds")
      yield* world.propose("r1", "SCHEDULED")
      yield* world.propose("r1", "PENDING", { transitionId: "another", message: "of another" })
      yield* pass("30 seconds")
      yield* Fiber.join(launched)
      expect(world.platform.commands()).toEqual([])
      expect(world.run("r1").state?.message).toBe("of another")
    })
  )

  scenario("waits while Prefect cannot prove the claim, and is sent when it can", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("propose", { kind: "slow", before: 0, after: 6_000 })
      world.faults.onCall("readRun", { kind: "503", commit: "never" }, 3)
      yield* within("1 minute", bench.launchNow("r1"))
      expect(world.types("r1").slice(0, 2)).toEqual(["SCHEDULED", "PENDING"])
      expect(world.stages("r1")).toHaveLength(1)
    })
  )

  const doubts: ReadonlyArray<readonly [string, Fault, "first" | "again"]> = [
    ["breaks before the job is made", { kind: "reset", commit: "never" }, "again"],
    ["breaks after the job is made", { kind: "reset", commit: "after" }, "first"],
    ["is a 503 before the job is made", { kind: "503", commit: "never" }, "again"],
    ["is a 503 after the job is made", { kind: "503", commit: "after" }, "first"],
    ["does not come, and no job is made", { kind: "timeout", lands: "never" }, "again"],
    ["does not come, and the job is made", { kind: "timeout", lands: "at once" }, "first"],
    ["does not come, and the job is made 20 s later", { kind: "timeout", lands: 20_000 }, "first"],
    ["does not come, and the job is made 40 s later", { kind: "timeout", lands: 40_000 }, "first"]
  ]
  for (const [how, fault, which] of doubts) {
    scenario(`whose answer ${how} leaves exactly one job`, (world) =>
      Effect.gen(function* () {
        yield* world.addRun("r1")
        world.usual = flow({ pending: 60, runs: 600 })
        const bench = yield* makeBench(world, "agent-a")
        world.faults.onCall("start", fault)
        const result = yield* within("3 minutes", bench.launchNow("r1"))
        expect(result._tag).toBe("Success")
        const [command, ...others] = world.platform.commandsOf("r1")
        expect(others).toEqual([])
        expect(pidOf(world, "r1")).toBe(command?.id)
        const [at = 0] = madeAt(world)
        // Never a second post before the search has had its whole horizon.
        if (which === "again") expect(at).toBeGreaterThan(30_000)
        else expect(at).toBeLessThan(45_000)
      })
    )
  }

  scenario("in doubt whose job comes while Prefect cannot prove the claim again is not sent again", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.usual = flow({ pending: 60, runs: 600 })
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("start", { kind: "timeout", lands: 60_000 })
      world.faults.on(
        ({ name }) => name === "readRun" && world.platform.commandsOf("r1").length === 0,
        { kind: "503", commit: "never" },
        1e9
      )
      yield* within("3 minutes", bench.launchNow("r1"))
      const [command, ...others] = world.platform.commandsOf("r1")
      expect(others).toEqual([])
      expect(pidOf(world, "r1")).toBe(command?.id)
    })
  )

  scenario("is not sent again while the search for it is not answered, whatever the time", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.usual = stuck()
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("start", { kind: "reset", commit: "after" })
      const back = world.faults.on(
        // The look before the claim is another matter.
        (call) => call.name === "find" && world.stateOf("r1") === "PENDING",
        { kind: "503", commit: "never" },
        1e9
      )
      yield* within("10 minutes", bench.launchNow("r1"))
      expect(world.platform.commandsOf("r1")).toHaveLength(1)
      expect(world.stateOf("r1")).toBe("PENDING")
      // The next look settles it.
      back()
      yield* within("1 minute", bench.look("r1"))
      expect(world.platform.commandsOf("r1")).toHaveLength(1)
      expect(pidOf(world, "r1")).toBe(world.platform.commandsOf("r1")[0]?.id)
    })
  )

  scenario("that could not be sent at all is sent again at once", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("start", { kind: "refused" }, 2)
      yield* within("10 seconds", bench.launchNow("r1"))
      expect(world.stages("r1")).toHaveLength(1)
      expect(world.types("r1").filter((type) => type === "PENDING")).toHaveLength(1)
    })
  )

  scenario("that is asked to slow down is sent again, by the same attempt", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("start", { kind: "429" }, 3)
      yield* within("30 seconds", bench.launchNow("r1"))
      expect(world.stages("r1")).toHaveLength(1)
      expect(world.types("r1").filter((type) => type === "PENDING")).toHaveLength(1)
    })
  )

  scenario("finds its workload deleted: it is made again, and the same attempt goes on", (world) =>
    Effect.gen(function* () {
      const bench = yield* warmedUp(world)
      yield* world.addRun("r1")
      const [workload] = world.platform.workloads.keys()
      world.platform.deleteWorkload(begin, "person", workload ?? "")
      yield* within("30 seconds", bench.launchNow("r1"))
      expect(world.chronicle.of("workload made")).toHaveLength(1)
      const [command, ...others] = world.platform.commandsOf("r1")
      expect(others).toEqual([])
      const transition = world.prefect.states("r1")[1]?.state_details?.transition_id
      expect(command?.tags?.["prefect.io/attempt"]).toMatch(new RegExp(`_${transition}$`, "u"))
      expect(world.types("r1").filter((type) => type === "PENDING")).toHaveLength(1)
    })
  )

  scenario("that the platform refuses is the end of the run, in the platform's words", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("start", {
        kind: "error",
        error: () =>
          new Refused({
            service: "Control Plane",
            request: "POST -command",
            status: 400,
            detail: "cpu is too large"
          })
      })
      yield* within("10 seconds", bench.launchNow("r1"))
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.run("r1").state?.message).toContain("cpu is too large")
      expect(world.logOf("r1")).toContain("cpu is too large")
    })
  )

  scenario(
    "that a quota holds up for the launch deadline gives the run back, and that does not count as lost",
    (world) =>
      Effect.gen(function* () {
        yield* world.addRun("r1")
        const bench = yield* makeBench(world, "agent-a")
        world.faults.onCall("start", quota, Number.POSITIVE_INFINITY)
        const launched = yield* Effect.forkChild(bench.launchNow("r1"))
        yield* pass("115 seconds")
        expect(world.stateOf("r1")).toBe("PENDING")
        yield* pass("35 seconds")
        expect((yield* Effect.flip(Fiber.join(launched))).message).toContain("a quota is reached")
        expect(world.run("r1")).toMatchObject({ state_type: "SCHEDULED", state_name: "AwaitingRetry" })
        expect(world.run("r1").state?.message).toMatch(
          /^Handed back by agent-a \| attempt \S+ \| \S+ \| try 1 \| drain$/u
        )
        // At its own time: whoever looks at the pool sees how late it is.
        expect(world.run("r1").next_scheduled_start_time).toBe(world.run("r1").expected_start_time)
      })
  )

  scenario(
    "with a credential that was taken away gives the run back, and that does not count as lost",
    (world) =>
      Effect.gen(function* () {
        const bench = yield* warmedUp(world)
        yield* world.addRun("r1")
        world.faults.onCall("start", {
          kind: "error",
          error: () => new Forbidden({ service: "Control Plane", request: "POST -command", detail: "no" })
        })
        const result = yield* within("10 seconds", bench.launchNow("r1"))
        expect(result).toMatchObject({ failure: { _tag: "Forbidden" } })
        expect(world.run("r1")).toMatchObject({ state_type: "SCHEDULED", state_name: "AwaitingRetry" })
        expect(world.run("r1").state?.message).toMatch(/\| drain$/u)
      })
  )

  scenario("that is drained while it is in doubt is left to the next agent, and not sent again", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("start", { kind: "reset", commit: "never" })
      let drained = false
      const launched = yield* Effect.forkChild(
        bench.launchNow("r1", { asked: () => drained, over: Effect.never })
      )
      yield* pass("5 seconds")
      drained = true
      yield* pass("1 minute")
      yield* Fiber.join(launched)
      expect(world.platform.commands()).toEqual([])
      expect(world.stateOf("r1")).toBe("PENDING")
    })
  )
})
