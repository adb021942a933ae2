/** SIGTERM: the agent goes, its jobs stay, and the next agent takes them over. */
import { join } from "node:path"
import { Effect } from "effect"
import { access, agentCommand, online, startAgent } from "../../scripts/local/agent.ts"
import { deploy, flowFolder } from "../../scripts/local/deployments.ts"
import { isFinal } from "../../scripts/local/prefect-server.ts"
import { readRecord, settled } from "../../scripts/local/run-record.ts"
import type { World } from "../../scripts/local/world.ts"
import { type Suite, keeps, must } from "./suite.ts"

export const signalTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { prefect, cpln, place, folder, agent } = world
  yield* suite.test(
    "SIGTERM ends the agent with exit code 0 and leaves its job running, which the next agent follows to its end",
    Effect.gen(function* () {
      const pool = "signals"
      const env = access(prefect, cpln)
      const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
      const start = (name: string) =>
        startAgent({
          agent,
          args: ["--pool", pool, "--name", name, "--interval", "5"],
          home: join(folder, name),
          env
        })
      yield* agentCommand({
        agent,
        args: ["pool", "create", pool, ...places],
        home: join(folder, "signals"),
        env
      })
      const first = yield* start("signals-1")
      yield* online(first, prefect, pool)
      const ids = yield* deploy(prefect, [
        { name: "signals", pool, source: flowFolder(folder), entrypoint: "flows.py:waits" }
      ])
      const { id } = yield* prefect.run(ids["signals"] ?? "")
      yield* prefect.waitFor(id, (run) => run.state_type === "RUNNING" || isFinal(run), 90)

      const from = performance.now()
      yield* first.signal("SIGTERM")
      const { code } = yield* first.ended.pipe(Effect.timeout("30 seconds"))
      const took = (performance.now() - from) / 1000
      yield* must(code === 0, `exit code ${code} after ${took.toFixed(1)} s`)
      const workers = yield* prefect.workers(pool)
      yield* must(workers.length === 0, `the worker is still listed: ${JSON.stringify(workers)}`)
      yield* Effect.sleep("3 seconds")
      const left = yield* readRecord(prefect, cpln, place, id)
      yield* must(left.run.state_type === "RUNNING", `the flow run is ${left.run.state_name}`)
      yield* must(
        left.commands.length === 1 && left.commands[0]?.command.lifecycleStage === "running",
        `commands: ${JSON.stringify(left.commands.map(({ command }) => command.lifecycleStage))}`
      )

      const second = yield* start("signals-2")
      yield* online(second, prefect, pool)
      yield* prefect.cancel(id)
      const run = yield* prefect.waitFor(id, isFinal, 90)
      yield* must(run.state_type === "CANCELLED", `the flow run is ${run.state_name}: ${run.state.message}`)
      const { checks } = yield* settled(readRecord(prefect, cpln, place, id), ({ commands }) => {
        const stage = commands[0]?.command.lifecycleStage ?? "none"
        return [
          {
            promise: "one command was started, and it is over",
            holds: commands.length === 1 && ["completed", "failed", "cancelled"].includes(stage),
            seen: `${commands.length} commands, the first ${stage}`
          }
        ]
      })
      yield* keeps(checks)
    }),
    "5 minutes"
  )
})
