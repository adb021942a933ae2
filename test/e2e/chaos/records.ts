/**
 * What both services have of the flow runs of one pool, for the audit.
 *
 * Invariant: read over the services' own routes, again until a server that is being started anew answers.
 */
import { Effect, Schedule } from "effect"
import { type ControlPlane, type Place, startCommands } from "../../../scripts/local/control-plane.ts"
import type { BadAnswer } from "../../../scripts/local/http.ts"
import type { FlowRun, Operator } from "../../../scripts/local/prefect-server.ts"
import { type Running, tail } from "../../../scripts/local/process.ts"
import type { Recorded } from "./audit.ts"

/** An operator's request, again until the server that is being started anew answers. */
export const steady = <A>(request: Effect.Effect<A, BadAnswer>) =>
  request.pipe(
    Effect.retry({
      schedule: Schedule.max([Schedule.spaced("500 millis"), Schedule.recurs(120)]),
      while: ({ status }) => status === 0 || status === 429 || status >= 500
    })
  )

export const recordsOf = Effect.fnUntraced(function* (
  pool: string,
  cpln: ControlPlane,
  prefect: Operator,
  place: Place
) {
  const runs = yield* steady(prefect.flowRuns(pool))
  const commands = yield* startCommands(cpln, place)
  const workloads = [...new Set(commands.map(({ workload }) => workload))]
  const executions = new Map(
    (yield* Effect.forEach(workloads, (name) => cpln.executions(place, name)))
      .flat()
      .map((each) => [each.name.replace(/^command-/u, ""), each] as const)
  )
  return yield* Effect.forEach(
    runs,
    (run: FlowRun) =>
      Effect.map(steady(prefect.states(run.id)), (states): Recorded => ({
        run,
        states,
        commands: commands
          .map(({ command }) => command)
          .filter(({ tags }) => tags?.["prefect.io/flow-run-id"] === run.id),
        executions
      })),
    { concurrency: 4 }
  )
})

/** The last words of agents that should be running and are not. */
export const endedAgents = Effect.fnUntraced(function* (agents: ReadonlyArray<Running>) {
  const found: Array<string> = []
  for (const { ended, name, output } of agents) {
    const { code } = yield* ended.pipe(
      Effect.timeoutOrElse({ duration: 1, orElse: () => Effect.succeed(alive) })
    )
    if (code !== undefined) found.push(`${name} ended with exit code ${code}: ${tail(output(), 12)}`)
  }
  return found
})
const alive: { readonly code: number | undefined } = { code: undefined }
