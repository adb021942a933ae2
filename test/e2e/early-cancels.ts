/** Runs that are cancelled before they ever started. */
import { join } from "node:path"
import { Effect } from "effect"
import { access, agentCommand, online, startAgent } from "../../scripts/local/agent.ts"
import { deploy, flowFolder } from "../../scripts/local/deployments.ts"
import type { World } from "../../scripts/local/world.ts"
import { type Suite, must } from "./suite.ts"

export const earlyCancelTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { prefect, cpln, place, folder, agent } = world
  yield* suite.test(
    "runs that are cancelled before they started, and by force once more, are CANCELLED without a job",
    Effect.gen(function* () {
      const pool = "early"
      const env = access(prefect, cpln)
      const home = join(folder, pool)
      const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
      yield* agentCommand({ agent, args: ["pool", "create", pool, ...places], home, env })
      const running = yield* startAgent({ agent, args: ["--pool", pool, "--interval", "5"], home, env })
      yield* online(running, prefect, pool)
      const ids = yield* deploy(prefect, [
        { name: pool, pool, source: flowFolder(folder), entrypoint: "flows.py:waits" }
      ])
      const later = { scheduled_time: new Date(Date.now() + 86_400_000).toISOString() }
      const runs = yield* Effect.forEach(Array.from({ length: 4 }), () =>
        prefect.run(ids[pool] ?? "", { state: { type: "SCHEDULED", state_details: later } })
      )
      for (const { id } of runs) {
        yield* prefect.cancel(id)
        const { state_type: type } = yield* prefect.flowRun(id)
        yield* must(type === "CANCELLED", `the server made it ${type}`)
        yield* prefect.cancel(id, true)
      }
      // That there is no job takes two searches 30 s apart.
      for (const { id } of runs) {
        const run = yield* prefect.waitFor(id, ({ state_type: type }) => type !== "CANCELLING", 60)
        yield* must(
          run.state_type === "CANCELLED" && run.state.message === "The run was cancelled and has no job",
          `${run.state_name}: ${run.state.message}`
        )
      }
    }),
    "2 minutes"
  )
})
