import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { type Agent, startAgent } from "../runs/world/agents.ts"
import { flow } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"

/** At debug each look at a run whose job runs says so. */
const looks = ({ lines }: Agent) => lines.filter((line) => line.includes("> the job runs")).length

describe("a run that nothing happens to", () => {
  scenario("is looked at with every sync, and not between two", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 3_600 })
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("2 minutes")
      const before = looks(agent)
      yield* pass("5 minutes")
      expect(looks(agent) - before).toBe(5)
    })
  )

  scenario("is looked at when its deadline is over, whenever the next sync is", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 3_600 })
      yield* world.addRun("r1", { job_variables: { job_watch_timeout_seconds: 300 } })
      yield* startAgent(world, "agent-a", { settings: { interval: "3600" } })
      yield* pass("2 minutes")
      const started = Date.parse(String(world.run("r1").start_time))
      yield* pass("4 minutes")
      const [stop] = world.chronicle.of("job stop asked")
      expect((stop?.at ?? Infinity) - started).toBeGreaterThan(300_000)
      expect((stop?.at ?? Infinity) - started).toBeLessThan(315_000)
    })
  )

  scenario("is looked at as soon as its job is over", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 300, reports: "nothing", exitCode: 1 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a", { settings: { interval: "3600" } })
      yield* pass("6 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
    })
  )
})
