/** Job executions: what a deployment tells of single runs of its job, exit codes and replicas among it. */
import { Effect } from "effect"
import { at, type Place } from "../cpln/place.ts"
import type { Deployment, JobExecution } from "../cpln/schemas.ts"
import { Workloads } from "../cpln/workloads.ts"

/** The command's entry among the job executions of any location, with that location's name. */
export const executionOf = Effect.fn("runs.executionOf")(function* (place: Place, commandId: string) {
  const deployments = yield* Workloads.use((workloads) => workloads.deployments(place.workload)).pipe(
    // A workload that is gone lists no executions.
    Effect.catchTag("NotFound", () => Effect.succeed({ value: [] as ReadonlyArray<Deployment>, at: 0 })),
    at(place.access)
  )
  for (const deployment of deployments.value) {
    const execution = deployment.status?.jobExecutions?.find((each) => each.name === `command-${commandId}`)
    if (execution !== undefined) return { location: deployment.name, execution }
  }
  return undefined as { readonly location: string; readonly execution: JobExecution } | undefined
})
