import { describe, expect } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { Prefect } from "../../../src/prefect/prefect.ts"
import { startAgent } from "./agents.ts"
import type { Fault, Line } from "./faults.ts"
import { prefectFor } from "./prefect-service.ts"
import { pass, scenario } from "./scenario.ts"
import { begin, poolName, type World } from "./world.ts"

const somebody: Line = { by: "person", gate: Effect.void }

/** The tag of the error with which a read of run `r1` ends, or its state; after at most 40 s. */
const readWith = Effect.fnUntraced(function* (world: World, fault: Fault) {
  world.faults.onCall("readRun", fault)
  const read = Prefect.use((prefect) => prefect.readRun("r1")).pipe(
    Effect.map((seen) => seen.value.state_type),
    Effect.catch((error) => Effect.succeed(error._tag)),
    Effect.provide(prefectFor(world, somebody))
  )
  const fiber = yield* Effect.forkChild(read)
  yield* pass("40 seconds")
  return yield* Fiber.join(fiber)
})

const claimWith = Effect.fnUntraced(function* (world: World, id: string, fault: Fault) {
  yield* world.addRun(id)
  world.faults.onCall("propose", fault)
  const claim = Prefect.use((prefect) => prefect.propose(id, { type: "PENDING", transitionId: id })).pipe(
    Effect.map(({ status }) => status),
    Effect.catch((error) => Effect.succeed(error._tag)),
    Effect.provide(prefectFor(world, somebody))
  )
  const fiber = yield* Effect.forkChild(claim)
  yield* pass("40 seconds")
  return [yield* Fiber.join(fiber), world.stateOf(id)]
})

describe("a call that goes wrong", () => {
  scenario("ends as the client would end it", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      expect(yield* readWith(world, { kind: "refused" })).toBe("Unavailable")
      expect(yield* readWith(world, { kind: "503", commit: "never", retryAfterMillis: 9 })).toBe(
        "Unavailable"
      )
      expect(yield* readWith(world, { kind: "429" })).toBe("RateLimited")
      expect(yield* readWith(world, { kind: "quota" })).toBe("QuotaReached")
      expect(yield* readWith(world, { kind: "status", status: 401 })).toBe("Unauthorised")
      expect(yield* readWith(world, { kind: "status", status: 403 })).toBe("Forbidden")
      expect(yield* readWith(world, { kind: "status", status: 404 })).toBe("NotFound")
      expect(yield* readWith(world, { kind: "status", status: 409 })).toBe("Conflict")
      expect(yield* readWith(world, { kind: "status", status: 422 })).toBe("Refused")
      expect(yield* readWith(world, { kind: "broken body", commit: "never" })).toBe("Undecodable")
      expect(yield* readWith(world, { kind: "timeout", lands: "never" })).toBe("Unavailable")
      expect(yield* readWith(world, { kind: "slow", before: 0, after: 9_000 })).toBe("SCHEDULED")
    })
  )

  scenario("takes effect before the trouble, or not at all", (world) =>
    Effect.gen(function* () {
      expect(yield* claimWith(world, "a", { kind: "reset", commit: "after" })).toEqual([
        "Unavailable",
        "PENDING"
      ])
      expect(yield* claimWith(world, "b", { kind: "reset", commit: "never" })).toEqual([
        "Unavailable",
        "SCHEDULED"
      ])
      expect(yield* claimWith(world, "c", { kind: "broken body", commit: "after" })).toEqual([
        "Undecodable",
        "PENDING"
      ])
      expect(yield* claimWith(world, "d", { kind: "status", status: 422 })).toEqual(["Refused", "SCHEDULED"])
      expect(yield* claimWith(world, "e", { kind: "timeout", lands: 35_000 })).toEqual([
        "Unavailable",
        "PENDING"
      ])
    })
  )

  scenario("may lose a page, or the end of a list", (world) =>
    Effect.gen(function* () {
      for (const id of ["r1", "r2", "r3", "r4"]) yield* world.addRun(id)
      const found = Effect.fnUntraced(function* (fault?: Fault) {
        if (fault !== undefined) world.faults.onCall("findRuns", fault)
        const fiber = yield* Prefect.use((prefect) => prefect.findRuns({ pool: poolName })).pipe(
          Effect.map(({ value }) => value.map(({ id }) => id)),
          Effect.provide(prefectFor(world, somebody)),
          Effect.forkChild
        )
        yield* pass("1 second")
        return yield* Fiber.join(fiber)
      })
      expect(yield* found()).toHaveLength(4)
      expect(yield* found({ kind: "lost page", from: 0.25, to: 0.5 })).toHaveLength(3)
      expect(yield* found({ kind: "lost page", from: 0.5, to: 1 })).toHaveLength(2)
      expect(yield* found({ kind: "lost page", from: 0, to: 1 })).toEqual([])
    })
  )
})

describe("an agent of this world", () => {
  const starting = { service: "Control Plane", name: "start", nth: 1 } as const

  scenario("that is killed before a call takes effect has not done it", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      agent.onceAt({ ...starting, when: "before" }, agent.kill)
      yield* pass("5 minutes")
      expect(agent.waitsFor()).toBe(0)
      expect(world.stages("r1")).toEqual([])
      expect(world.stateOf("r1")).toBe("PENDING")
    })
  )

  scenario("that is killed right after a call took effect does nothing more", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      agent.onceAt({ ...starting, when: "after" }, agent.kill)
      yield* pass("5 minutes")
      expect(world.stages("r1")).toEqual(["completed"])
      expect(world.run("r1").infrastructure_pid).toBeUndefined()
      const seen = world.chronicle.of("worker seen").length
      yield* pass("5 minutes")
      expect(world.chronicle.of("worker seen")).toHaveLength(seen)
    })
  )

  scenario("that is paused at a call goes on with it when it is resumed", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      agent.onceAt({ ...starting, when: "before" }, agent.pause)
      yield* pass("1 minute")
      expect(world.stages("r1")).toEqual([])
      yield* agent.resume
      yield* pass("1 second")
      expect(world.stages("r1")).toEqual(["pending"])
      const [made] = world.chronicle.of("job made")
      expect(made?.at).toBeGreaterThanOrEqual(begin + 60_000)
    })
  )

  scenario("has a clock of its own, which may be wrong and may jump", (world) =>
    Effect.gen(function* () {
      const agents = [
        yield* startAgent(world, "agent-a", { clock: -300_000 }),
        yield* startAgent(world, "agent-b", { clock: 240_000 })
      ]
      yield* pass("10 seconds")
      yield* agents[0]?.setClock(3_600_000) ?? Effect.void
      yield* world.addRun("r1")
      yield* world.addRun("r2")
      yield* pass("2 minutes")
      yield* agents[1]?.setClock(-600_000) ?? Effect.void
      yield* world.addRun("r3")
      yield* pass("2 minutes")
      for (const id of ["r1", "r2", "r3"]) expect(world.stages(id)).toEqual(["completed"])
      // The services go by the true time.
      const [made] = world.chronicle.of("job made")
      expect((made?.at ?? 0) - begin).toBeLessThan(20_000)
      expect(yield* Clock.currentTimeMillis).toBe(begin + 250_000)
    })
  )
})
