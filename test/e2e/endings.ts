/**
 * How a run can end, through a pool that names its org, GVC and location and through one that leaves them blank, so that
 * the agent takes the values that Control Plane injects into its own workload.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { access, agentCommand, injected, online, startAgent } from "../../scripts/local/agent.ts"
import { countingProxy } from "../../scripts/local/counting-proxy.ts"
import { type Deployment, deploy, flowFolder, flowRepository } from "../../scripts/local/deployments.ts"
import { isFinal } from "../../scripts/local/prefect-server.ts"
import { type Expected, promises, readRecord, settled } from "../../scripts/local/run-record.ts"
import type { World } from "../../scripts/local/world.ts"
import { type Suite, keeps, must } from "./suite.ts"

interface Ending {
  readonly name: string
  readonly deployment: Omit<Deployment, "pool" | "source"> & { readonly from: "folder" | "git" }
  readonly cancel?: "asked" | "by force"
  readonly expected: Expected
}

const endings: ReadonlyArray<Ending> = [
  {
    name: "a flow from a folder that completes",
    deployment: { name: "completes", from: "folder", entrypoint: "flows.py:completes", tags: ["kept"] },
    expected: {
      state: "COMPLETED",
      stages: ["completed"],
      output: "printed by the flow process for world",
      exit: 0
    }
  },
  {
    name: "a flow from a git repository that completes",
    deployment: { name: "git", from: "git", entrypoint: "flows.py:completes", parameters: { name: "git" } },
    expected: { state: "COMPLETED", stages: ["completed"], output: "printed by the flow process for git" }
  },
  {
    name: "a flow that raises",
    deployment: { name: "fails", from: "folder", entrypoint: "flows.py:fails" },
    expected: { state: "FAILED", stages: ["completed"], message: /the input file is empty/ }
  },
  {
    name: "a flow whose processes die before they report",
    deployment: { name: "vanishes", from: "folder", entrypoint: "flows.py:vanishes" },
    expected: {
      state: "CRASHED",
      stages: ["failed"],
      message: /137/,
      output: "last words of the flow process",
      lastWords: "last words of the flow process",
      exit: 137
    }
  },
  {
    name: "a flow that is cancelled while it runs",
    deployment: { name: "cancelled", from: "folder", entrypoint: "flows.py:waits" },
    cancel: "asked",
    expected: { state: "CANCELLED", stages: ["completed"], output: "hook ran", unstopped: true }
  },
  {
    name: "a flow that is cancelled in the user interface, by force,",
    deployment: { name: "cancelled-by-force", from: "folder", entrypoint: "flows.py:waits" },
    cancel: "by force",
    expected: { state: "CANCELLED", stages: ["completed"], output: "hook ran", unstopped: true }
  }
]

const pools = [
  { name: "named", blank: false, title: "from a pool that names its place" },
  { name: "blank", blank: true, title: "from a pool that leaves its place blank" }
]

/** Whether anything in the text asks for a forced write; a body that cannot be read counts as one that does. */
const isForced = (body: string): boolean => {
  const forced = (value: unknown): boolean =>
    typeof value === "object" &&
    value !== null &&
    Object.entries(value).some(([key, each]) => (key === "force" && each !== false) || forced(each))
  try {
    return body !== "" && forced(JSON.parse(body))
  } catch {
    return true
  }
}

export const endingTests = Effect.fnUntraced(function* (suite: Suite, world: World) {
  const { prefect, cpln, place, folder, agent } = world
  // The agents ask through it, their jobs do not: what is recorded are the agents' own requests.
  let launched = 0
  const recorded: Array<{ readonly route: string; readonly body: string }> = []
  const proxy = yield* countingProxy(new URL(prefect.api).origin, (route, body) =>
    recorded.push({ route, body })
  )
  const sources = { folder: flowFolder(folder), git: yield* flowRepository(folder) }

  for (const { name: poolName, blank, title } of pools) {
    // What is injected reaches the pool in the same way on both lines: there one ending shows that it does.
    const here = blank && prefect.venv.line === "2" ? endings.slice(0, 1) : endings
    const home = join(folder, `agent-${poolName}`)
    const env = {
      ...access({ api: `${proxy.url}${new URL(prefect.api).pathname}` }, cpln),
      ...(blank ? injected(place) : {})
    }
    const args = blank ? [] : ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
    yield* Effect.scoped(
      Effect.gen(function* () {
        yield* agentCommand({ agent, args: ["pool", "create", poolName, ...args], home, env })
        const pool = yield* prefect.pool(poolName)
        const running = yield* startAgent({
          agent,
          // A runner looks for cancels every 10 s and then loads the flow anew: beside other tests that takes long.
          args: ["--pool", poolName, "--interval", "5", "--cancel-grace", "60"],
          home,
          env
        })
        yield* online(running, prefect, poolName)

        yield* suite.test(
          `the server lists the agent as an online worker of the pool, ${title}`,
          Effect.gen(function* () {
            const workers = yield* prefect.workers(poolName)
            yield* must(workers.length === 1, `workers: ${JSON.stringify(workers)}`)
            const { type, status } = yield* prefect.pool(poolName)
            yield* must(type === "cpln" && status === "READY", `pool of type ${type}, ${status}`)
          })
        )

        launched += here.length
        const ids = yield* deploy(
          prefect,
          here.map(({ deployment: { from, ...rest } }) => ({
            ...rest,
            job_variables: { env: { PREFECT_API_URL: prefect.api } },
            pool: poolName,
            source: sources[from]
          }))
        )
        // One after the other would take minutes; all at once they share two cores, as in a busy pool.
        yield* Effect.forEach(
          here,
          (ending) =>
            suite.test(
              `${ending.name} ends ${ending.expected.state} on both sides, ${title}`,
              Effect.gen(function* () {
                const { id } = yield* prefect.run(ids[ending.deployment.name] ?? "")
                if (ending.cancel !== undefined) {
                  yield* prefect.waitFor(id, (run) => run.state_type === "RUNNING" || isFinal(run), 90)
                  yield* Effect.sleep("2 seconds")
                  yield* prefect.cancel(id, ending.cancel === "by force")
                }
                yield* prefect.waitFor(id, isFinal, 150)
                // The command is over a moment after the engine's report, its last lines come a moment later still.
                const { checks, record } = yield* settled(readRecord(prefect, cpln, place, id), (seen) =>
                  promises(seen, ending.expected, {
                    place,
                    pool,
                    agentOutput: running.output(),
                    line: prefect.venv.line,
                    ...(blank
                      ? { agentName: `/org/${place.org}/gvc/${place.gvc}/workload/prefect-agent` }
                      : {})
                  })
                )
                yield* keeps(checks)
                if (ending.cancel !== undefined) {
                  const asked = record.states.find(({ type }) => type === "CANCELLING")?.timestamp ?? ""
                  const over = record.commands[0]?.command.lastModified ?? ""
                  console.log(
                    `          its job was over ${((Date.parse(over) - Date.parse(asked)) / 1000).toFixed(1)} s after the cancel`
                  )
                }
                const kept = ending.deployment.tags ?? []
                yield* must(
                  kept.every((tag) => record.run.tags.includes(tag)),
                  `the run's own tags ${kept.join(", ")} are gone: ${record.run.tags.join(", ")}`
                )
              }),
              "4 minutes"
            ),
          { concurrency: 3 }
        )
      })
    )
  }

  yield* suite.test(
    "however they end on both sides, no request of an agent carried force",
    Effect.gen(function* () {
      const proposals = recorded.filter(({ route }) => route.endsWith("/set_state"))
      // Each run was claimed, and the one that vanished was ended.
      yield* must(
        proposals.length > launched,
        `${proposals.length} proposals of ${launched} runs among ${recorded.length} requests`
      )
      const forced = recorded.filter(({ body, route }) => route.includes("force") || isForced(body))
      yield* must(forced.length === 0, forced.map(({ body, route }) => `${route} ${body}`).join("\n"))
    })
  )
})
