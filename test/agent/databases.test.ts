import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { type Agent, startAgent } from "../runs/world/agents.ts"
import { applyEvent, type Event } from "../runs/world/events.ts"
import { flow } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import type { World } from "../runs/world/world.ts"

/** Two agents, and three runs whose jobs run for forty minutes. */
const busy = Effect.fnUntraced(function* (world: World) {
  world.usual = flow({ runs: 2_400 })
  const ids = Array.from({ length: 3 }, (_, n) => `r${n + 1}`)
  yield* Effect.forEach(ids, (id) => world.addRun(id))
  const agents: Array<Agent> = [yield* startAgent(world, "agent-a"), yield* startAgent(world, "agent-b")]
  yield* pass("90 seconds")
  for (const id of ids) expect(world.stateOf(id)).toBe("RUNNING")
  const apply = (event: Event) =>
    applyEvent(
      { world, agents, replace: () => Effect.void, beside: (slot) => Effect.succeed(agents[slot]!) },
      event
    )
  return { ids, apply }
})

const secondPool = "5a1d8f0e-0000-4000-8000-000000000009"

/** Whatever becomes of the runs, their jobs go on. */
const noJobIsLost = (world: World, ids: ReadonlyArray<string>) => {
  expect(world.stopped()).toEqual([])
  for (const id of ids) expect(world.stages(id)).toEqual(["running"])
}

describe("a Prefect server that is not what it was does not cost a single job", () => {
  scenario("when it is empty, with another pool of that name", (world) =>
    Effect.gen(function* () {
      const { apply, ids } = yield* busy(world)
      yield* apply({ what: "database reset", poolId: secondPool })
      yield* pass("12 minutes")
      noJobIsLost(world, ids)
    })
  )

  scenario("when it is empty, with a pool of the same id", (world) =>
    Effect.gen(function* () {
      const { apply, ids } = yield* busy(world)
      const id = world.prefect.pools.get("cpln")?.pool.id ?? ""
      yield* apply({ what: "database reset", poolId: id })
      yield* pass("12 minutes")
      noJobIsLost(world, ids)
    })
  )

  for (const ago of [30, 85]) {
    scenario(`when it is what it was ${ago} s ago`, (world) =>
      Effect.gen(function* () {
        const { apply, ids } = yield* busy(world)
        yield* apply({ what: "database restored", ago })
        yield* pass("12 minutes")
        noJobIsLost(world, ids)
        for (const id of ids) expect(world.platform.commandsOf(id)).toHaveLength(1)
      })
    )
  }

  scenario(
    "when it is what it was, and a job that vanishes after that ends its run in half an hour",
    (world) =>
      Effect.gen(function* () {
        world.usual = flow({ runs: 3_600, pending: 20 })
        yield* world.addRun("r1")
        const agents = [yield* startAgent(world, "agent-a")]
        yield* pass("40 seconds")
        yield* world.addRun("r2")
        yield* pass("10 seconds")
        yield* Effect.forEach([1, 2, 3], (n) => world.addRun(`more${n}`))
        yield* pass("40 seconds")
        expect(world.stateOf("r1")).toBe("RUNNING")
        // Of the time when r1 had begun, and the others had only been claimed.
        yield* applyEvent(
          { world, agents, replace: () => Effect.void, beside: () => Effect.succeed(agents[0]!) },
          { what: "database restored", ago: 35 }
        )
        expect(world.stateOf("r1")).toBe("RUNNING")
        expect(world.stateOf("r2")).toBe("PENDING")
        yield* pass("2 minutes")
        yield* world.vanish(world.platform.live("r1")[0]?.id ?? "")
        yield* pass("30 minutes")
        expect(world.stopped()).toEqual([])
        expect(world.stateOf("r1")).toBe("CRASHED")
      })
  )

  for (const poolId of [secondPool, "the same"]) {
    scenario(
      `when a second one without the runs answers every other call, its pool with ${poolId === "the same" ? "the same" : "another"} id`,
      (world) =>
        Effect.gen(function* () {
          const { apply, ids } = yield* busy(world)
          const same = world.prefect.pools.get("cpln")?.pool.id ?? ""
          yield* apply({
            what: "database split",
            poolId: poolId === "the same" ? same : poolId,
            seconds: 900
          })
          yield* pass("18 minutes")
          noJobIsLost(world, ids)
          for (const id of ids) expect(world.stateOf(id)).toBe("RUNNING")
        })
    )
  }

  for (const poolId of [null, secondPool]) {
    scenario(`when the pool is deleted${poolId === null ? "" : ", and another made in its place"}`, (world) =>
      Effect.gen(function* () {
        const { apply, ids } = yield* busy(world)
        yield* apply({ what: "pool deleted", poolId })
        yield* pass("12 minutes")
        noJobIsLost(world, ids)
        for (const id of ids) expect(world.stateOf(id)).toBe("RUNNING")
      })
    )
  }

  scenario("when the deployment is deleted, which takes what has not begun", (world) =>
    Effect.gen(function* () {
      const { apply, ids } = yield* busy(world)
      yield* world.addRun("later", {
        due: world.run("r1").expected_start_time ? Date.parse("2026-03-01T05:00:00Z") : 0
      })
      yield* apply({ what: "deployment deleted" })
      yield* pass("45 minutes")
      expect(world.stopped()).toEqual([])
      for (const id of ids) expect(world.stateOf(id)).toBe("COMPLETED")
      expect(world.stateOf("later")).toBe("deleted")
    })
  )
})

describe("an API that is away for an hour", () => {
  for (const [service, hows] of [
    ["Prefect", ["refused", "503", "429"]],
    ["Control Plane", ["503"]]
  ] as const) {
    for (const how of hows) {
      scenario(
        `(${service}, ${how}) costs no run and no job, and what waited is launched soon after`,
        (world) =>
          Effect.gen(function* () {
            world.usual = flow({ runs: 600, pending: 2 })
            yield* Effect.forEach(["r1", "r2", "r3"], (id) => world.addRun(id))
            const agent = yield* startAgent(world, "agent-a")
            yield* pass("1 minute")
            const back = world.faults.outage(
              service,
              how === "503" ? { kind: "503", commit: "never" } : { kind: how }
            )
            yield* Effect.forEach(["r4", "r5", "r6"], (id) => world.addRun(id))
            yield* pass("1 hour")
            expect(agent.hasEnded()).toBe(false)
            const asked = world.faults.fired.length
            // No hot loop: a few requests a minute for each of the loops, at most.
            expect(asked).toBeLessThan(60 * 40)
            yield* Effect.sync(back)
            yield* pass("6 minutes")
            for (const id of ["r4", "r5", "r6"]) expect(world.stateOf(id)).toBe("RUNNING")
            yield* pass("20 minutes")
            for (const id of ["r1", "r2", "r3", "r4", "r5", "r6"]) {
              expect(world.stateOf(id)).toBe("COMPLETED")
              expect(world.stages(id)).toEqual(["completed"])
            }
            expect(world.stopped()).toEqual([])
          })
      )
    }
  }
})
