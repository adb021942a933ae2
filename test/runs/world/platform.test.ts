import { describe, expect } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { flow, type FlowPlan } from "./jobs.ts"
import { pass, scenario } from "./scenario.ts"
import { begin, location, type World } from "./world.ts"

const what = { location, containerOverrides: [{ name: "prefect-job" }], tags: {} }

/** A claimed run with a job that was just started. */
const started = Effect.fnUntraced(function* (world: World, plan: FlowPlan, sides = 0) {
  world.usual = flow(plan)
  yield* world.addRun("r1")
  yield* world.propose("r1", "PENDING")
  const ref = yield* world.addWorkload("w")
  const now = yield* Clock.currentTimeMillis
  const id = world.platform.start(now, "person", ref, {
    ...what,
    containerOverrides: ["prefect-job", ...Array.from({ length: sides }, (_, n) => `side-${n}`)].map(
      (name) => ({ name })
    ),
    tags: { "prefect.io/flow-run-id": "r1" }
  })
  if (id === undefined) throw new Error("not started")
  const stop = Effect.map(Clock.currentTimeMillis, (at) =>
    world.platform.stop(at, "person", ref, { replica: `command-${id}-replica`, location })
  )
  const execution = Effect.map(Clock.currentTimeMillis, (at) =>
    world.platform
      .deployments(at, ref)?.[0]
      ?.status?.jobExecutions?.find(({ name }) => name === `command-${id}`)
  )
  return { id, ref, stop, execution }
})

const seen = (world: World, id: string) => `${world.stateOf("r1")} ${world.stageOf(id)}`

describe("a job in the modelled platform", () => {
  scenario("waits for its image with a replica, and for a machine without one", (world) =>
    Effect.gen(function* () {
      const { execution, id, stop } = yield* started(world, { waits: { for: "image", seconds: 60 } })
      yield* pass("10 seconds")
      expect(yield* execution).toMatchObject({
        replica: `command-${id}-replica`,
        containers: { "prefect-job": { message: "ImagePullBackOff: manifest unknown" } }
      })
      expect(seen(world, id)).toBe("PENDING pending")
      yield* pass("60 seconds")
      expect(seen(world, id)).toBe("RUNNING running")
      expect(yield* stop).toBe("asked")
    })
  )

  scenario("without a replica cannot be stopped by name", (world) =>
    Effect.gen(function* () {
      const { execution, stop } = yield* started(world, { waits: { for: "capacity", seconds: 60 } })
      yield* pass("10 seconds")
      expect((yield* execution)?.replica).toBeUndefined()
      expect(yield* stop).toBe("missing")
    })
  )

  scenario("shows its replica late", (world) =>
    Effect.gen(function* () {
      world.platform.lag.replica = 20_000
      world.platform.lag.executions = 8_000
      const { execution, id, stop } = yield* started(world, {})
      yield* pass("5 seconds")
      expect(world.stageOf(id)).toBe("running")
      expect(world.platform.command(id)?.status?.replica).toBeUndefined()
      expect((yield* execution)?.replica).toBeUndefined()
      yield* pass("6 seconds")
      expect((yield* execution)?.replica).toBeDefined()
      expect(world.platform.command(id)?.status?.replica).toBeUndefined()
      yield* pass("12 seconds")
      expect(world.platform.command(id)?.status?.replica).toBeDefined()
      expect(yield* stop).toBe("asked")
    })
  )

  scenario("may not be stopped twice at once, and a stop may come to nothing", (world) =>
    Effect.gen(function* () {
      const { id, stop } = yield* started(world, { runs: 300 })
      yield* pass("10 seconds")
      world.platform.vainStops = 1
      expect([yield* stop, yield* stop]).toEqual(["asked", "already"])
      yield* pass("30 seconds")
      expect(seen(world, id)).toBe("RUNNING running")
      expect([yield* stop, yield* stop]).toEqual(["asked", "already"])
      yield* pass("11 seconds")
      expect(seen(world, id)).toBe("RUNNING cancelled")
      expect(yield* stop).toBe("missing")
    })
  )

  for (const [term, state] of [
    ["dies", "RUNNING"],
    ["reports CRASHED", "CRASHED"],
    ["reschedules", "SCHEDULED"]
  ] as const) {
    scenario(`${term} at SIGTERM, before the grace is over`, (world) =>
      Effect.gen(function* () {
        world.stopping.endsAs = "failed"
        const { id, stop } = yield* started(world, { runs: 300, term })
        yield* pass("10 seconds")
        yield* stop
        yield* pass("4 seconds")
        expect(seen(world, id)).toBe("RUNNING running")
        yield* pass("2 seconds")
        expect(seen(world, id)).toBe(`${state} ${term === "reschedules" ? "completed" : "failed"}`)
      })
    )
  }

  scenario("that was killed says of what it died, and may turn out to have completed", (world) =>
    Effect.gen(function* () {
      const { execution, id } = yield* started(world, {
        runs: 10,
        reports: "nothing",
        exitCode: 137,
        reason: "OOMKilled",
        corrected: 20
      })
      yield* pass("20 seconds")
      expect(seen(world, id)).toBe("RUNNING failed")
      expect(yield* execution).toMatchObject({
        containers: { "prefect-job": { restarts: { exitCode: 137, reason: "OOMKilled" } } }
      })
      yield* pass("20 seconds")
      expect(world.stageOf(id)).toBe("completed")
    })
  )

  scenario("loses its machine", (world) =>
    Effect.gen(function* () {
      const { id } = yield* started(world, { runs: 300 })
      yield* pass("10 seconds")
      world.platform.onKill(id, 137, "Evicted")
      yield* pass("5 minutes")
      expect(seen(world, id)).toBe("RUNNING failed")
    })
  )

  scenario("lives on while a side container does", (world) =>
    Effect.gen(function* () {
      const { execution, id } = yield* started(world, { runs: 10, sides: 100 }, 1)
      yield* pass("20 seconds")
      expect(seen(world, id)).toBe("COMPLETED running")
      expect(yield* execution).toMatchObject({
        containers: { "prefect-job": { restarts: { exitCode: 0 } } }
      })
      yield* pass("100 seconds")
      expect(world.stageOf(id)).toBe("completed")
    })
  )

  scenario("hears of a cancel, and runs its hooks first", (world) =>
    Effect.gen(function* () {
      const { id } = yield* started(world, { runs: 300, hearsCancel: 5, hooks: 12 })
      yield* pass("10 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("11 seconds")
      expect(seen(world, id)).toBe("CANCELLING running")
      yield* pass("7 seconds")
      expect(seen(world, id)).toBe("CANCELLED completed")
    })
  )

  scenario("waits inside while its run is paused, and ends when it is suspended", (world) =>
    Effect.gen(function* () {
      const { id } = yield* started(world, { runs: 10, pauses: { how: "paused", resumed: 30 } })
      yield* pass("15 seconds")
      expect(seen(world, id)).toBe("PAUSED running")
      yield* pass("60 seconds")
      expect(seen(world, id)).toBe("COMPLETED completed")
    })
  )

  scenario("of a suspended run is over, and another one goes on", (world) =>
    Effect.gen(function* () {
      const { id, ref } = yield* started(world, { runs: 10, pauses: { how: "suspended", resumed: 30 } })
      yield* pass("15 seconds")
      expect(seen(world, id)).toBe("PAUSED completed")
      yield* pass("30 seconds")
      expect(world.run("r1").state_name).toBe("Resuming")
      yield* world.propose("r1", "PENDING")
      const tags = { "prefect.io/flow-run-id": "r1" }
      world.platform.start(yield* Clock.currentTimeMillis, "person", ref, { ...what, tags })
      yield* pass("30 seconds")
      expect(world.stateOf("r1")).toBe("COMPLETED")
    })
  )

  scenario(
    "that starts again on a run that was cancelled is skipped, and on one that is completed runs again",
    (world) =>
      Effect.gen(function* () {
        const { ref } = yield* started(world, { runs: 10 })
        yield* pass("30 seconds")
        const again = Effect.map(Clock.currentTimeMillis, (now) =>
          world.platform.start(now, "person", ref, { ...what, tags: { "prefect.io/flow-run-id": "r1" } })
        )
        yield* again
        yield* pass("30 seconds")
        expect(world.types("r1")).toEqual([
          "SCHEDULED",
          "PENDING",
          "RUNNING",
          "COMPLETED",
          "RUNNING",
          "COMPLETED"
        ])
        yield* world.propose("r1", "CANCELLED")
        yield* again
        yield* pass("30 seconds")
        expect(world.stateOf("r1")).toBe("CANCELLED")
      })
  )
})

describe("the modelled platform", () => {
  scenario("keeps five finished executions of a workload, and forgets commands in time", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 1 })
      const ref = yield* world.addWorkload("w")
      const now = yield* Clock.currentTimeMillis
      for (let n = 0; n < 7; n++) world.platform.start(now, "person", ref, what)
      yield* pass("1 minute")
      expect(world.platform.deployments(begin + 60_000, ref)?.[0]?.status?.jobExecutions).toHaveLength(5)
      expect(world.platform.find(begin + 60_000, ref, [])).toHaveLength(7)
      world.platform.start(begin + 60_000, "person", ref, what)
      expect(world.platform.rotate(begin + 60_000, ref.path)).toBe(7)
      expect(world.platform.find(begin + 60_000, ref, [])).toHaveLength(1)
    })
  )
})
