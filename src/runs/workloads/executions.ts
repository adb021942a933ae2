/** Job executions: what a deployment tells of single runs of its job, exit codes and replicas among it. */
import { Effect } from "effect"
import { at, type Place } from "../../cpln/place.ts"
import type { Deployment, JobExecution } from "../../cpln/schemas.ts"
import { Workloads } from "../../cpln/workloads.ts"
import { mainContainer } from "../../job/manifest/containers.ts"

export interface Execution {
  /** Short name of where it ran. */
  readonly location: string
  readonly execution: JobExecution
}

/** All that the deployments of a workload list, in every location; none for a workload that is gone. */
export const executionsOf = Effect.fn("runs.executionsOf")(function* (place: Place) {
  const deployments = yield* Workloads.use((workloads) => workloads.deployments(place.workload)).pipe(
    Effect.catchTag("NotFound", () => Effect.succeed({ value: [] as ReadonlyArray<Deployment>, at: 0 })),
    at(place.access)
  )
  return deployments.value.flatMap(({ name, status }) =>
    (status?.jobExecutions ?? []).map((execution): Execution => ({ location: name, execution }))
  )
})

/** The command's entry among the job executions of any location. */
export const executionOf = Effect.fn("runs.executionOf")(function* (place: Place, commandId: string) {
  return (yield* executionsOf(place)).find(({ execution }) => execution.name === `command-${commandId}`)
})

const overStatuses = new Set(["successful", "failed", "removed", "invalid"])

/**
 * Whether the work of a job is over, of which this is all that is left: the command would name its main container, which
 * here is known by the name that it usually has. What is not said is taken for alive.
 */
export const isOver = ({ completionTime, containers, status }: JobExecution): boolean => {
  const main = containers?.[mainContainer]
  const mainEnded = (main?.restarts?.exitCode ?? undefined) !== undefined && main?.ready !== true
  return (completionTime ?? undefined) !== undefined || overStatuses.has(status ?? "") || mainEnded
}
