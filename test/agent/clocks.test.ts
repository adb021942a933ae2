import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { startAgent } from "../runs/world/agents.ts"
import { livesOf } from "../runs/world/audit.ts"
import { flow } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import { type World } from "../runs/world/world.ts"

const hour = 3_600_000

/** A run in its job; the first that this agent started. */
const running = Effect.fnUntraced(function* (world: World, clock: number) {
  world.usual = flow({ runs: 1_200 })
  yield* world.addRun("r1")
  const agent = yield* startAgent(world, "agent-a", { clock })
  yield* pass("30 seconds")
  expect(world.stateOf("r1")).toBe("RUNNING")
  return agent
})

describe("an agent whose clock is set", () => {
  for (const [from, to] of [
    [hour, 0],
    [0, hour]
  ] as const) {
    const how = to < from ? "back" : "forward"

    scenario(`${how} an hour notices a job that is gone in the same time as others`, (world) =>
      Effect.gen(function* () {
        const agent = yield* running(world, from)
        const [job] = world.platform.live("r1")
        yield* world.vanish(job?.id ?? "")
        yield* pass("80 seconds")
        yield* agent.setClock(to)
        yield* pass("2 minutes")
        expect(world.stateOf("r1")).toBe("RUNNING")
        yield* pass("4 minutes")
        expect(world.stateOf("r1")).toBe("CRASHED")
      })
    )

    scenario(`${how} an hour asks again for a stop that came to nothing`, (world) =>
      Effect.gen(function* () {
        const agent = yield* running(world, from)
        world.platform.vainStops = 1
        yield* world.propose("r1", "CANCELLING")
        yield* pass("25 seconds")
        expect(world.stopped()).toHaveLength(1)
        yield* agent.setClock(to)
        yield* pass("90 seconds")
        expect(world.stopped()).toHaveLength(2)
        expect(world.stateOf("r1")).toBe("CANCELLED")
      })
    )

    scenario(`${how} an hour tries again what was held back, in its time`, (world) =>
      Effect.gen(function* () {
        world.faults.onCall("start", { kind: "quota" }, 2)
        yield* world.addRun("r1")
        const agent = yield* startAgent(world, "agent-a", { clock: from })
        yield* pass("5 seconds")
        yield* agent.setClock(to)
        yield* pass("4 minutes")
        expect(world.stages("r1")).toEqual(["completed"])
      })
    )

    scenario(`${how} an hour waits out a start in doubt, and starts one job`, (world) =>
      Effect.gen(function* () {
        world.faults.onCall("start", { kind: "timeout", lands: 25_000 })
        yield* world.addRun("r1")
        const agent = yield* startAgent(world, "agent-a", { clock: from })
        yield* pass("18 seconds")
        yield* agent.setClock(to)
        yield* pass("3 minutes")
        expect(livesOf(world, "r1")).toHaveLength(1)
        expect(world.stateOf("r1")).toBe("COMPLETED")
      })
    )
  }
})
