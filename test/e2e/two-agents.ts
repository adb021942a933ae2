/**
 * Two agents on one pool and a hundred runs due at once: each is started once, and none is lost.
 *
 * The jobs are virtual (no processes), and test/engine plays the flow engine for them; both services' records count.
 */
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { access, agentCommand, online, startAgent } from "../../scripts/local/agent.ts"
import { emulator, ensureGvc, startCommands } from "../../scripts/local/control-plane.ts"
import { register } from "../../scripts/local/deployments.ts"
import { isFinal, prefectServer } from "../../scripts/local/prefect-server.ts"
import type { World } from "../../scripts/local/world.ts"
import { startEngine } from "./engine.ts"
import { type Suite, must } from "./suite.ts"

const wanted = 100

export const twoAgentTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { place, folder, agent } = world
  yield* suite.test(
    `two agents on one pool, ${wanted} runs at once: each is started once, none is lost`,
    Effect.gen(function* () {
      const pool = "shared"
      // A hundred runs at once keep a server so busy that others on it would be told to come back later.
      const prefect = yield* prefectServer(world.prefect.venv, join(folder, "shared-server"))
      const cpln = yield* emulator({ agent, home: join(folder, "virtual"), args: ["--mode", "virtual"] })
      yield* ensureGvc(cpln, place)
      const env = access(prefect, cpln)
      const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
      yield* agentCommand({
        agent,
        args: ["pool", "create", pool, ...places],
        home: join(folder, "shared"),
        env
      })
      const engine = yield* startEngine(folder, prefect.api, cpln)
      const start2 = (name: string) =>
        startAgent({
          agent,
          args: ["--pool", pool, "--name", name, "--interval", "5"],
          home: join(folder, name),
          env
        })
      const agents = [yield* start2("shared-1"), yield* start2("shared-2")]
      for (const running of agents) yield* online(running, prefect, pool, 2)
      const deployment = yield* register(prefect, {
        name: "shared",
        pool,
        source: folder,
        entrypoint: "flows.py:completes"
      })

      // All are due at one moment a little ahead, so that both agents meet all of them.
      const due = new Date(Date.now() + 15_000).toISOString()
      const runs = yield* Effect.forEach(
        Array.from({ length: wanted }),
        () =>
          prefect
            .run(deployment, {
              state: { type: "SCHEDULED", state_details: { scheduled_time: due } }
            })
            .pipe(Effect.retry({ times: 5, schedule: Schedule.spaced("500 millis") })),
        { concurrency: 4 }
      )
      yield* prefect.flowRuns(pool).pipe(
        Effect.repeat({
          until: (all) => all.filter(isFinal).length >= wanted,
          schedule: Schedule.spaced("1 seconds")
        }),
        Effect.timeoutOption("150 seconds")
      )

      const all = yield* prefect.flowRuns(pool)
      const counts: Record<string, number> = {}
      for (const { state_type } of all) counts[state_type] = (counts[state_type] ?? 0) + 1
      const other = all.find(({ state_type }) => state_type !== "COMPLETED")
      const otherStates = other === undefined ? [] : yield* prefect.states(other.id)
      const otherStory = [
        ...otherStates.map(({ message, name, timestamp }) => `${timestamp} ${name} ${message ?? ""}`),
        ...agents.flatMap((each) =>
          each
            .output()
            .split("\n")
            .filter((line) => line.includes(other?.id ?? "-"))
        )
      ]
      yield* must(
        counts["COMPLETED"] === wanted,
        `the runs are ${JSON.stringify(counts)}; engine: ${engine.output().slice(-200)}\n${otherStory.join("\n")}`
      )
      const started = (yield* startCommands(cpln, place)).map(({ command }) => command)
      const perRun = new Map<string, number>()
      for (const { tags } of started) {
        const id = tags?.["prefect.io/flow-run-id"] ?? "none"
        perRun.set(id, (perRun.get(id) ?? 0) + 1)
      }
      const twice = [...perRun].find(([, count]) => count > 1)?.[0]
      // What happened to one of them says more than how many there are.
      const story =
        twice === undefined
          ? []
          : [
              ...(yield* prefect.states(twice)).map(
                ({ message, name, state_details, timestamp }) =>
                  `${timestamp} ${name} ${message ?? ""} (${state_details.transition_id ?? "no id"})`
              ),
              ...started
                .filter(({ tags }) => tags?.["prefect.io/flow-run-id"] === twice)
                .map(
                  ({ created, id, lifecycleStage, tags }) =>
                    `${created} command ${id} ${lifecycleStage} ${tags?.["prefect.io/attempt"]} by ${tags?.["cpln/prefectAgent"]}`
                ),
              ...agents.flatMap((each) =>
                each
                  .output()
                  .split("\n")
                  .filter((line) => line.includes(twice))
              )
            ]
      yield* must(
        started.length === wanted && runs.every(({ id }) => perRun.get(id) === 1),
        `${started.length} commands for ${perRun.size} runs; more than one: ${[...perRun].filter(([, n]) => n > 1).length}\n${story.join("\n")}`
      )
      const byAgent = agents.map(
        (_, index) =>
          started.filter(({ tags }) => tags?.["cpln/prefectAgent"] === `shared-${index + 1}`).length
      )
      yield* must(
        byAgent.reduce((sum, count) => sum + count, 0) === wanted,
        `launched by each: ${byAgent.join(" and ")}`
      )
      console.log(`          launched by each: ${byAgent.join(" and ")}`)
    }),
    "6 minutes"
  )
})
