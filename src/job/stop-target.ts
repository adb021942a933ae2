/**
 * Which replica a stop has to name, from what the workload's deployments list.
 *
 * Invariant: a job that is listed without a replica is not stopped: it starts later all the same, so a stop keeps
 * looking. The location is the one where the job runs, whatever the job's configuration says.
 */

/** The part of a deployment that matters: its name is the location's. */
export interface ListedDeployment {
  readonly name: string
  readonly status?:
    | {
        readonly jobExecutions?:
          | ReadonlyArray<{ readonly name: string; readonly replica?: string | null | undefined }>
          | null
          | undefined
      }
    | null
    | undefined
}

export type StopTarget =
  | { readonly _tag: "Replica"; readonly replica: string; readonly location: string }
  /** The job is there and has no replica yet: look again. */
  | { readonly _tag: "NoReplicaYet" }
  /** No location lists the job, or the workload itself is gone. */
  | { readonly _tag: "Nothing" }

/** `deployments` is undefined when the workload is gone (404). */
export const stopTarget = (
  commandId: string,
  deployments: ReadonlyArray<ListedDeployment> | undefined
): StopTarget => {
  const listed = (deployments ?? []).flatMap((deployment) =>
    (deployment.status?.jobExecutions ?? [])
      .filter(({ name }) => name === `command-${commandId}`)
      .map(({ replica }) => ({ replica, location: deployment.name }))
  )
  // Listed in two locations, the one that has a replica counts.
  const [running] = listed.flatMap(({ replica, location }) => (replica ? [{ replica, location }] : []))
  if (running !== undefined) return { _tag: "Replica", ...running }
  return listed.length > 0 ? { _tag: "NoReplicaYet" } : { _tag: "Nothing" }
}
