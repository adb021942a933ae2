import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { parseHandBackMessage } from "../../../src/job/claim-message.ts"
import { rankOf } from "../../../src/runs/act/rendezvous.ts"
import { makeBench } from "../world/bench.ts"
import { pass, scenario, within } from "../world/scenario.ts"
import {
  attemptOf,
  begin,
  claimState,
  handedBack,
  pid,
  poolName,
  stateAt,
  whereOf,
  type World
} from "../world/world.ts"

const where = whereOf("w1")

/** Claimed a moment ago by an agent that is no more; `before` are its earlier attempts. */
const orphaned = Effect.fnUntraced(function* (world: World, before: ReadonlyArray<"lost" | "drain"> = []) {
  yield* world.addWorkload("w1")
  const history = before.flatMap((reason, index) => [
    claimState(`t${index}`, { where, tryNumber: index + 1 }),
    handedBack(`t${index}`, { where, tryNumber: index + 1, reason })
  ])
  yield* world.addRun("r1", {
    history,
    state: claimState("orphan", { where, tryNumber: before.length + 1, agent: "agent-gone" })
  })
})

/** Looks at the run every five seconds. */
const looking = Effect.fnUntraced(function* (world: World, name: string, seconds: number) {
  const bench = yield* makeBench(world, name)
  for (let passed = 0; passed < seconds; passed += 5) {
    yield* within("5 seconds", bench.look("r1"))
  }
})

describe("a claim whose job never came", () => {
  scenario("is left alone until the launch deadline is over", (world) =>
    Effect.gen(function* () {
      yield* orphaned(world)
      yield* looking(world, "agent-a", 115)
      expect(world.types("r1")).toEqual(["PENDING"])
      yield* looking(world, "agent-a", 60)
      expect(world.run("r1").state_name).toBe("AwaitingRetry")
    })
  )

  scenario("is handed back in words that the next claimant reads, at its own time", (world) =>
    Effect.gen(function* () {
      yield* orphaned(world, ["drain"])
      yield* looking(world, "agent-a", 200)
      expect(parseHandBackMessage(world.run("r1").state?.message ?? "")).toEqual({
        agent: "agent-a",
        transitionId: "orphan",
        where,
        tryNumber: 2,
        reason: "lost"
      })
      expect(world.run("r1").next_scheduled_start_time).toBe(new Date(begin).toISOString())
    })
  )

  scenario("needs two searches 30 s apart, however old the claim is", (world) =>
    Effect.gen(function* () {
      yield* orphaned(world)
      yield* pass("1 hour")
      yield* looking(world, "agent-a", 25)
      expect(world.stateOf("r1")).toBe("PENDING")
      yield* looking(world, "agent-a", 40)
      expect(world.stateOf("r1")).toBe("SCHEDULED")
    })
  )

  scenario("that was lost for the third time is CRASHED, and its log says so", (world) =>
    Effect.gen(function* () {
      yield* orphaned(world, ["lost", "drain", "lost"])
      yield* looking(world, "agent-a", 200)
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.run("r1").state?.message).toContain("lost before it started, 3 times")
      expect(world.logOf("r1")).toContain("lost before it started, 3 times")
      expect(world.run("r1").state?.message).toContain("[lost]")
    })
  )

  scenario("does not count hand-backs of agents that were only stopping", (world) =>
    Effect.gen(function* () {
      yield* orphaned(world, ["drain", "lost", "drain", "drain"])
      yield* looking(world, "agent-a", 200)
      expect(world.run("r1").state_name).toBe("AwaitingRetry")
    })
  )

  scenario("is not judged while Control Plane does not answer", (world) =>
    Effect.gen(function* () {
      yield* orphaned(world)
      world.faults.outage("Control Plane")
      yield* looking(world, "agent-a", 900)
      expect(world.types("r1")).toEqual(["PENDING"])
    })
  )

  scenario("is handed back once by two agents that conclude it together", (world) =>
    Effect.gen(function* () {
      yield* orphaned(world)
      const benches = [yield* makeBench(world, "agent-a"), yield* makeBench(world, "agent-b")]
      for (let passed = 0; passed < 200; passed += 5) {
        yield* within(
          "5 seconds",
          Effect.forEach(benches, (bench) => bench.look("r1"), { concurrency: 2 })
        )
      }
      expect(world.types("r1")).toEqual(["PENDING", "SCHEDULED"])
    })
  )

  for (const [place, until] of [
    ["first", 130],
    ["second", 160]
  ] as const) {
    scenario(`is handed back by the ${place} worker in the order only when it is its turn`, (world) =>
      Effect.gen(function* () {
        const names = ["agent-a", "agent-b"]
        // The other is silent, as one that died a moment ago.
        for (const name of names)
          world.prefect.workers.set(name, { pool: poolName, seenAt: begin + 3_600_000 })
        const self = names.find((name) => rankOf("r1", name, names) === (place === "first" ? 0 : 1)) ?? ""
        yield* orphaned(world)
        const bench = yield* makeBench(world, self)
        const looks = Effect.fnUntraced(function* (seconds: number) {
          for (let passed = 0; passed < seconds; passed += 5) yield* within("5 seconds", bench.look("r1"))
        })
        yield* looks(until - 10)
        expect(world.stateOf("r1")).toBe("PENDING")
        yield* looks(15)
        expect(world.run("r1").state?.message).toContain(`Handed back by ${self}`)
      })
    )
  }

  scenario(
    "of another kind of agent is never one to hand back, though its job was seen and is gone",
    (world) =>
      Effect.gen(function* () {
        const ref = yield* world.addWorkload("w1")
        const job = yield* world.addCommand(ref, "r1")
        yield* world.addRun("r1", {
          infrastructure_pid: pid("w1", job),
          state: stateAt(begin, "PENDING")
        })
        const bench = yield* makeBench(world, "agent-a")
        yield* within("5 seconds", bench.look("r1"))
        yield* world.vanish(job)
        for (let passed = 0; passed < 200; passed += 5) {
          const looked = yield* within("5 seconds", bench.look("r1"))
          expect(looked._tag === "Success" && looked.success?.decision._tag).toBe("Wait")
        }
      })
  )

  scenario("is not handed back when its job shows up at last", (world) =>
    Effect.gen(function* () {
      yield* orphaned(world)
      yield* looking(world, "agent-a", 100)
      const ref = world.platform.workloads.values().next().value?.ref
      if (ref === undefined) throw new Error("no workload")
      const command = yield* world.addCommand(ref, "r1", {
        stage: "pending",
        tags: { "prefect.io/attempt": `${new Date(begin).toISOString()}_orphan` }
      })
      yield* looking(world, "agent-a", 300)
      expect(world.types("r1")).toEqual(["PENDING"])
      expect(world.run("r1").infrastructure_pid).toMatch(new RegExp(`:${command}$`, "u"))
    })
  )
})

describe("a claim of a run that was claimed before", () => {
  /** Its workload has this job of that attempt, which the PID names. */
  const claimedAgain = Effect.fnUntraced(function* (world: World, transitionId: string, stage: string) {
    const ref = yield* world.addWorkload("w1")
    const job = yield* world.addCommand(ref, "r1", {
      stage,
      tags: { "prefect.io/attempt": attemptOf(transitionId) }
    })
    yield* world.addRun("r1", {
      infrastructure_pid: pid("w1", job),
      history: [claimState("t0", { where }), handedBack("t0", { where, reason: "drain" })],
      state: claimState("t1", { where, tryNumber: 2, agent: "agent-gone" })
    })
    return job
  })

  scenario("is not handed back for a minute in which its job was not to be seen", (world) =>
    Effect.gen(function* () {
      const job = yield* claimedAgain(world, "t1", "pending")
      yield* looking(world, "agent-a", 110)
      const back = world.faults.on(
        ({ name }) => name === "find" || name === "get",
        { kind: "status", status: 404 },
        1e9
      )
      yield* looking(world, "agent-b", 70)
      back()
      yield* looking(world, "agent-b", 300)
      expect(world.types("r1").at(-1)).toBe("PENDING")
      expect(world.stageOf(job)).toBe("pending")
    })
  )

  scenario("is handed back when five looks at the monitor interval have not found its job", (world) =>
    Effect.gen(function* () {
      yield* world.vanish(yield* claimedAgain(world, "t1", "pending"))
      yield* looking(world, "agent-a", 230)
      expect(world.stateOf("r1")).toBe("PENDING")
      yield* looking(world, "agent-b", 320)
      expect(world.run("r1").state_name).toBe("AwaitingRetry")
    })
  )

  scenario("is handed back sooner when its PID names a job that is known to be of before", (world) =>
    Effect.gen(function* () {
      yield* claimedAgain(world, "t0", "completed")
      yield* looking(world, "agent-a", 180)
      expect(world.run("r1").state_name).toBe("AwaitingRetry")
    })
  )
})

/** By its own time it is older than what the run went through before it was written: it waited in the server. */
describe("a hand-back that landed late", () => {
  const landedOn = Effect.fnUntraced(function* (world: World, last: string) {
    const ref = yield* world.addWorkload("w1")
    const job = yield* world.addCommand(ref, "r1", {
      stage: "completed",
      tags: { "prefect.io/attempt": attemptOf("t2", begin - 20_000) }
    })
    const late = begin - 25_000
    yield* world.addRun("r1", {
      run_count: 1,
      infrastructure_pid: pid("w1", job),
      history: [
        claimState("t1", { where, at: begin - 60_000 }),
        handedBack("t1", { where, at: begin - 26_000, agent: "agent-b" }),
        claimState("t2", { where, at: begin - 20_000, tryNumber: 2 }),
        stateAt(begin - 15_000, last)
      ],
      state: { ...handedBack("t1", { where, at: late }), id: "landed late" }
    })
    return job
  })

  for (const last of ["COMPLETED", "FAILED"]) {
    scenario(`on ${last} is undone, by whoever is offered the run, and nothing is started`, (world) =>
      Effect.gen(function* () {
        yield* landedOn(world, last)
        yield* within("10 seconds", (yield* makeBench(world, "agent-a")).launchNow("r1"))
        expect(world.stateOf("r1")).toBe(last)
        expect(world.stages("r1")).toEqual(["completed"])
      })
    )
  }

  scenario("is none where the server's clock was set back since the end", (world) =>
    Effect.gen(function* () {
      yield* world.addWorkload("w1")
      yield* world.addRun("r1", {
        run_count: 1,
        history: [claimState("t1", { where, at: begin - 9_000 }), stateAt(begin - 1_000, "FAILED")],
        state: stateAt(begin - 3_600_000, "SCHEDULED", { name: "AwaitingRetry" })
      })
      yield* within("10 seconds", (yield* makeBench(world, "agent-a")).launchNow("r1"))
      expect(world.stages("r1")).toHaveLength(1)
    })
  )

  scenario("on RUNNING lets the run be run again once its job is over", (world) =>
    Effect.gen(function* () {
      yield* landedOn(world, "RUNNING")
      yield* within("10 seconds", (yield* makeBench(world, "agent-a")).launchNow("r1"))
      expect(world.types("r1").filter((type) => type === "PENDING")).toHaveLength(3)
      expect(world.stages("r1")).toHaveLength(2)
    })
  )
})
