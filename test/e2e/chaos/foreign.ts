/**
 * What is not the agents' to touch, put where they cannot fail to see it: jobs in a workload of theirs that somebody else
 * started, and runs of another pool.
 *
 * Invariant: `touched` reads both services anew and tells every difference.
 */
import { Effect } from "effect"
import { type ControlPlane, type Place, startCommands } from "../../../scripts/local/control-plane.ts"
import type { Operator } from "../../../scripts/local/prefect-server.ts"

export interface Foreign {
  /** The ids of the jobs. */
  readonly commands: ReadonlySet<string>
  readonly touched: Effect.Effect<ReadonlyArray<string>, unknown>
}

/** `deployment` is one of a pool that the agents do not serve; `workload` is one of theirs. */
export const foreign = Effect.fnUntraced(function* (
  prefect: Operator,
  cpln: () => ControlPlane,
  place: Place,
  workload: string,
  deployment: string
) {
  const runs = yield* Effect.forEach(["SCHEDULED", "PENDING", "RUNNING"], (type) =>
    Effect.gen(function* () {
      const { id } = yield* prefect.run(deployment)
      if (type !== "SCHEDULED")
        yield* prefect.post(`/flow_runs/${id}/set_state`, { state: { type }, force: false })
      return yield* prefect.flowRun(id)
    })
  )
  const path = `/org/${place.org}/gvc/${place.gvc}/workload/${workload}/-command`
  const marks: ReadonlyArray<Record<string, string>> = [
    {},
    { "prefect.io/flow-run-id": crypto.randomUUID() },
    {
      "prefect.io/flow-run-id": runs.at(-1)?.id ?? "",
      "prefect.io/work-pool-id": crypto.randomUUID()
    }
  ]
  const commands = new Set(
    yield* Effect.forEach(marks, (tags) =>
      Effect.map(
        cpln().post(path, { type: "runCronWorkload", spec: { location: place.location }, tags }),
        ({ headers }) => headers.get("location")?.split("/").at(-1) ?? "none"
      )
    )
  )
  const handle: Foreign = {
    commands,
    touched: Effect.gen(function* () {
      const found = (yield* startCommands(cpln(), place)).filter(({ command }) => commands.has(command.id))
      const stopped = found.filter(({ command: { lifecycleStage: stage } }) => stage !== "running")
      const now = yield* Effect.forEach(runs, ({ id }) => prefect.flowRun(id))
      return [
        ...(found.length === marks.length
          ? []
          : [`${marks.length - found.length} jobs of somebody else are gone`]),
        ...stopped.map(
          ({ command }) => `the job ${command.id} of somebody else is ${command.lifecycleStage}`
        ),
        ...now
          // A scheduled run becomes Late by the server's own doing.
          .filter(
            (run, index) => run.state_type !== runs[index]?.state_type || run.infrastructure_pid !== null
          )
          .map((run) => `the run ${run.id} of another pool is ${run.state_name}`)
      ]
    })
  }
  return handle
})
