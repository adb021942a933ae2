import { describe, expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { claimMessage } from "../../../src/job/claim-message.ts"
import { makeBench } from "../world/bench.ts"
import { flow } from "../world/jobs.ts"
import { pass, scenario, within } from "../world/scenario.ts"
import { gvc, org, type World } from "../world/world.ts"

const changes = (world: World, runId: string) =>
  world.chronicle
    .of("run changed")
    .filter((each) => each.runId === runId && each.by !== "person")
    .map(({ change }) => change)

describe("writing down where the job is", () => {
  scenario("is one change of PID and tags, in which what people wrote stays", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", { tags: ["nightly", "cpln:command:of-an-earlier-attempt"] })
      yield* within("5 seconds", (yield* makeBench(world, "agent-a")).launchNow("r1"))
      const [command] = world.platform.commandsOf("r1")
      const name = world.platform.workloadOf(command?.id ?? "")?.name
      expect(changes(world, "r1")).toEqual([
        {
          infrastructure_pid: `${org}:${gvc}:${name}:${command?.id}`,
          tags: [
            "nightly",
            `cpln:org:${org}`,
            `cpln:gvc:${gvc}`,
            `cpln:workload:${name}`,
            `cpln:command:${command?.id}`
          ]
        }
      ])
    })
  )

  scenario("does not happen when a newer attempt has the run, and then the own job is stopped", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.usual = flow({ pending: 1, startUp: 60 })
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("start", { kind: "slow", before: 0, after: 8_000 })
      const launched = yield* Effect.forkChild(bench.launchNow("r1"))
      yield* pass("4 seconds")
      yield* world.propose("r1", "SCHEDULED", { name: "AwaitingRetry" })
      yield* world.propose("r1", "PENDING", { transitionId: "newer" })
      yield* pass("30 seconds")
      expect(yield* Fiber.join(launched)).toBe(undefined)
      expect(changes(world, "r1")).toEqual([])
      expect(world.stages("r1")).toEqual(["cancelled"])
      expect(world.run("r1").state?.state_details?.transition_id).toBe("newer")
    })
  )

  scenario("does not happen when the run went back to the pool, and then the own job is stopped", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.usual = flow({ pending: 1, startUp: 60 })
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("start", { kind: "slow", before: 0, after: 8_000 })
      const launched = yield* Effect.forkChild(bench.launchNow("r1"))
      yield* pass("4 seconds")
      yield* world.propose("r1", "SCHEDULED", { name: "AwaitingRetry" })
      yield* pass("30 seconds")
      yield* Fiber.join(launched)
      expect(changes(world, "r1")).toEqual([])
      expect(world.stages("r1")).toEqual(["cancelled"])
    })
  )

  scenario("happens though the engine is quicker, because its states prove nothing against us", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.usual = flow({ pending: 1, startUp: 1 })
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("start", { kind: "slow", before: 0, after: 10_000 })
      yield* within("30 seconds", bench.launchNow("r1"))
      expect(changes(world, "r1")).toHaveLength(1)
      expect(world.stopped()).toEqual([])
      expect(world.stateOf("r1")).toBe("RUNNING")
    })
  )

  scenario("is left to a look at both jobs when another claim was accepted at the same time", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.prefect.acceptsTwo = true
      world.usual = flow({ pending: 1, startUp: 120 })
      const [a, b] = [yield* makeBench(world, "agent-a"), yield* makeBench(world, "agent-b")]
      world.faults.onCall("start", { kind: "timeout", lands: 20_000 })
      world.faults.onCall("start", { kind: "timeout", lands: 35_000 })
      const first = yield* Effect.forkChild(a.launchNow("r1"))
      yield* pass("1 second")
      const second = yield* Effect.forkChild(b.launchNow("r1"))
      yield* pass("1 minute")
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      expect(world.types("r1").slice(0, 3)).toEqual(["SCHEDULED", "PENDING", "PENDING"])
      for (const bench of [a, b]) yield* within("10 seconds", bench.look("r1"))
      const [oldest] = world.platform.commandsOf("r1")
      expect(world.stopped()).not.toContain(oldest?.id)
      expect(world.run("r1").infrastructure_pid).toContain(`:${oldest?.id}`)
    })
  )

  scenario(
    "does not happen when a newer claim's job runs already, and then the own job is stopped",
    (world) =>
      Effect.gen(function* () {
        yield* world.addRun("r1")
        world.usual = flow({ pending: 1, startUp: 60 })
        const bench = yield* makeBench(world, "agent-a")
        world.faults.onCall("start", { kind: "slow", before: 0, after: 14_000 })
        const launched = yield* Effect.forkChild(bench.launchNow("r1"))
        yield* pass("4 seconds")
        yield* world.propose("r1", "SCHEDULED", { name: "AwaitingRetry" })
        const newer = {
          agent: "agent-b",
          where: `${org}:${gvc}:elsewhere`,
          tryNumber: 2,
          transitionId: "newer"
        }
        yield* world.propose("r1", "PENDING", { transitionId: "newer", message: claimMessage(newer) })
        yield* world.propose("r1", "RUNNING")
        yield* pass("30 seconds")
        expect(yield* Fiber.join(launched)).toBe(undefined)
        expect(changes(world, "r1")).toEqual([])
        expect(world.stages("r1")).toEqual(["cancelled"])
      })
  )

  scenario("that fails is made up by the next look", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.usual = flow({ runs: 600 })
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("changeRun", { kind: "503", commit: "never" })
      yield* within("10 seconds", bench.launchNow("r1"))
      expect(world.run("r1").infrastructure_pid ?? "none").toBe("none")
      yield* within("10 seconds", bench.look("r1"))
      expect(world.run("r1").infrastructure_pid).toMatch(/:command1$/u)
    })
  )

  scenario("comes with the worker's labels on 3.x, for which nobody waits", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("labelRun", { kind: "timeout", lands: "never" })
      expect(yield* within("2 seconds", bench.launchNow("r1"))).toMatchObject({ _tag: "Success" })
    })
  )
})
