import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { startAgent } from "../runs/world/agents.ts"
import { flow } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"

const stages = ["completed", "cancelled", "failed"]

/** Two agents whose claims of the same second are both accepted, as 2.20 on SQLite does under load: each starts a job. */
describe("of two jobs whose claims were accepted at once", () => {
  for (const pending of [2, 60]) {
    scenario(
      `the older one lives, whoever looks, and the run ends once (${pending} s to start)`,
      (world) =>
        Effect.gen(function* () {
          world.prefect.acceptsTwo = true
          world.usual = flow({ pending, runs: 200, term: "reports CRASHED" })
          for (const id of ["r1", "r2", "r3"]) yield* world.addRun(id, { retries: 1 })
          for (const name of ["agent-a", "agent-b", "agent-c"]) yield* startAgent(world, name)
          yield* pass("15 minutes")
          for (const id of ["r1", "r2", "r3"]) {
            const commands = world.platform.commandsOf(id)
            expect(commands.length, `jobs of ${id}`).toBeGreaterThan(1)
            const [oldest, ...others] = commands.map((each) => each.id)
            expect(world.stopped(), `stops of ${id}`).not.toContain(oldest)
            for (const each of others) expect(world.stopped()).toContain(each)
            expect(world.stateOf(id)).toBe("COMPLETED")
            expect(commands.every((each) => stages.includes(each.lifecycleStage))).toBe(true)
          }
        }),
      { line: "2" }
    )
  }
})
