import { describe, expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { makeBench } from "../world/bench.ts"
import { flow } from "../world/jobs.ts"
import { pass, scenario, within } from "../world/scenario.ts"

/** The next claim of agent-b takes this long to land, in ms. */
const late = (before: number) => ({ kind: "slow", before, after: 0 }) as const
const isClaimOfB = (call: { readonly name: string; readonly by: string }) =>
  call.name === "propose" && call.by === "agent agent-b"

describe("a claim that lands late", () => {
  scenario("on a finished run starts nothing, and the run has its end back", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const [a, b] = [yield* makeBench(world, "agent-a"), yield* makeBench(world, "agent-b")]
      world.faults.on(isClaimOfB, late(60_000))
      const slow = yield* Effect.forkChild(b.launchNow("r1"))
      yield* within("5 seconds", a.launchNow("r1"))
      yield* pass("2 minutes")
      yield* Fiber.join(slow)
      expect(world.platform.commandsOf("r1")).toHaveLength(1)
      expect(world.stateOf("r1")).toBe("COMPLETED")
      expect(world.types("r1").slice(-3)).toEqual(["COMPLETED", "PENDING", "COMPLETED"])
    })
  )

  scenario("is started all the same when Prefect does not answer for a while after it", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-b")
      world.faults.on(isClaimOfB, { kind: "slow", before: 0, after: 9_000 })
      world.faults.onCall("history", { kind: "429", retryAfterMillis: 3_000 }, 3)
      yield* within("1 minute", bench.launchNow("r1"))
      expect(world.platform.commandsOf("r1")).toHaveLength(1)
      expect(world.types("r1").slice(0, 3)).toEqual(["SCHEDULED", "PENDING", "RUNNING"])
    })
  )

  scenario("beside another that was accepted too uses that one's job, which nobody stops", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      // Its container lives, and its engine has not reported yet.
      world.usual = flow({ pending: 1, startUp: 120 })
      world.prefect.acceptsTwo = true
      const [a, b] = [yield* makeBench(world, "agent-a"), yield* makeBench(world, "agent-b")]
      world.faults.on(isClaimOfB, late(1_000))
      const slow = yield* Effect.forkChild(b.launchNow("r1"))
      yield* within("500 millis", a.launchNow("r1"))
      yield* pass("30 seconds")
      yield* Fiber.join(slow)
      expect(world.types("r1").slice(0, 3)).toEqual(["SCHEDULED", "PENDING", "PENDING"])
      for (const bench of [a, b]) yield* within("5 seconds", bench.look("r1"))
      expect(world.platform.commandsOf("r1")).toHaveLength(1)
      expect(world.chronicle.of("job stop asked")).toEqual([])
    })
  )

  scenario("beside another whose agent died before it started anything starts the one job", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.prefect.acceptsTwo = true
      const [a, b] = [yield* makeBench(world, "agent-a"), yield* makeBench(world, "agent-b")]
      world.faults.on((call) => call.name === "propose" && call.by === "agent agent-a", {
        kind: "slow",
        before: 0,
        after: 500
      })
      const dying = yield* Effect.forkDetach(
        a.launchNow("r1", { asked: () => false, over: Effect.sleep(100) })
      )
      world.faults.on(isClaimOfB, late(1_000))
      const slow = yield* Effect.forkChild(b.launchNow("r1"))
      yield* pass("1 minute")
      yield* Fiber.await(dying)
      yield* Fiber.join(slow)
      expect(world.platform.commandsOf("r1")).toHaveLength(1)
      expect(world.platform.commandsOf("r1")[0]?.tags?.["cpln/prefectAgent"]).toBe("agent-b")
    })
  )

  scenario("beside another goes on when the search for that one's job was refused once", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.prefect.acceptsTwo = true
      const [a, b] = [yield* makeBench(world, "agent-a"), yield* makeBench(world, "agent-b")]
      world.faults.on((call) => call.name === "propose" && call.by === "agent agent-a", {
        kind: "slow",
        before: 0,
        after: 500
      })
      const dying = yield* Effect.forkDetach(
        a.launchNow("r1", { asked: () => false, over: Effect.sleep(100) })
      )
      world.faults.on(isClaimOfB, late(1_000))
      world.faults.on(({ name }) => name === "find" && world.types("r1").length > 2, {
        kind: "status",
        status: 403
      })
      const slow = yield* Effect.forkChild(b.launchNow("r1"))
      yield* pass("1 minute")
      yield* Fiber.await(dying)
      yield* Fiber.join(slow)
      expect(world.platform.commandsOf("r1")).toHaveLength(1)
    })
  )

  scenario("beside another is no proof that a cancelled run has no job", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.prefect.acceptsTwo = true
      const [a, b] = [yield* makeBench(world, "agent-a"), yield* makeBench(world, "agent-b")]
      world.faults.on((call) => call.name === "propose" && call.by === "agent agent-a", {
        kind: "slow",
        before: 0,
        after: 1_000
      })
      world.faults.on(isClaimOfB, late(100))
      // It is under way while the first one looks for it.
      world.faults.onCall("start", { kind: "slow", before: 12_000, after: 0 })
      const offers = [yield* a.offerOf("r1"), yield* b.offerOf("r1")] as const
      const first = yield* Effect.forkChild(a.launch(offers[0]))
      const second = yield* Effect.forkChild(b.launch(offers[1]))
      yield* pass("5 seconds")
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "PENDING"])
      yield* world.propose("r1", "CANCELLING")
      yield* pass("20 seconds")
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      expect(world.platform.commandsOf("r1")).toHaveLength(1)
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "PENDING", "CANCELLING"])
    })
  )

  scenario("beside another is not handed back: that one's job may be on its way", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.prefect.acceptsTwo = true
      const [a, b] = [yield* makeBench(world, "agent-a"), yield* makeBench(world, "agent-b")]
      world.faults.on(isClaimOfB, late(100))
      world.faults.on(({ by, name }) => name === "start" && by === "agent agent-b", {
        kind: "status",
        status: 403
      })
      const offers = [yield* a.offerOf("r1"), yield* b.offerOf("r1")] as const
      const second = yield* Effect.forkChild(Effect.result(b.launch(offers[1])))
      yield* within("10 seconds", a.launch(offers[0]))
      yield* Fiber.join(second)
      expect(world.platform.commandsOf("r1")).toHaveLength(1)
      expect(world.types("r1").slice(0, 4)).toEqual(["SCHEDULED", "PENDING", "PENDING", "RUNNING"])
    })
  )
})
