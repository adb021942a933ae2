/**
 * The agent under test or on show: the compiled binary, with an environment of its own.
 *
 * Invariant: nothing of the caller's Prefect or Control Plane settings reaches it, only what is given here.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import type { ControlPlane, Place } from "./control-plane.ts"
import { type Operator, cleanEnvironment } from "./prefect-server.ts"
import { type Running, ProcessFailed, run, start, tail } from "./process.ts"

/** The values that Control Plane injects into a workload: the org and GVC bare, location and workload as links. */
export const injected = (place: Place): Readonly<Record<string, string>> => ({
  CPLN_ORG: place.org,
  CPLN_GVC: place.gvc,
  CPLN_LOCATION: `/org/${place.org}/location/${place.location}`,
  CPLN_WORKLOAD: `/org/${place.org}/gvc/${place.gvc}/workload/prefect-agent`
})

export interface AgentOptions {
  readonly agent: ReadonlyArray<string>
  readonly args: ReadonlyArray<string>
  /** An empty folder of its own: working directory, home, log file. */
  readonly home: string
  readonly env: Readonly<Record<string, string>>
}

const program = ({ agent: [command = "", ...first], args, home, env }: AgentOptions) => {
  mkdirSync(home, { recursive: true })
  return {
    name: `agent ${args.join(" ")}`,
    command,
    args: [...first, ...args],
    env: { ...cleanEnvironment(), HOME: home, ...env },
    logFile: join(home, "agent.log"),
    cwd: home
  }
}

export const access = (prefect: { readonly api: string }, cpln: Pick<ControlPlane, "url" | "token">) => ({
  PREFECT_API_URL: prefect.api,
  CPLN_ENDPOINT: cpln.url,
  CPLN_TOKEN: cpln.token
})

/** Starts an agent in the current scope, without waiting for anything. */
export const startAgent = (options: AgentOptions) => start(program(options))

/** Runs one command of the agent to its end: what it printed, or `ProcessFailed`. */
export const agentCommand = (options: AgentOptions) => run(program(options))

/** Waits until the server lists `count` workers of the pool as online; fails as soon as the agent ends. */
export const online = Effect.fnUntraced(function* (
  agent: Running,
  prefect: Operator,
  pool: string,
  count = 1
) {
  const listed = prefect.workers(pool).pipe(
    Effect.map((workers) => workers.filter(({ status }) => status === "ONLINE").length >= count),
    Effect.catchTag("BadAnswer", () => Effect.succeed(false)),
    Effect.repeat({ until: (there) => there, schedule: Schedule.spaced("100 millis") }),
    Effect.timeout("30 seconds")
  )
  const died = agent.ended.pipe(
    Effect.flatMap(({ code }) =>
      Effect.fail(new ProcessFailed({ name: agent.name, code, output: tail(agent.output(), 20) }))
    )
  )
  yield* Effect.raceFirst(listed, died)
})
