/**
 * The infrastructure PID `org:gvc:workload:command_id`, the flow run's tags that say the same, and whose job it is.
 *
 * Invariant: what parses names a job: at least four parts, none empty, none that could change a request's path. Nothing
 * is trimmed, and colons beyond the third belong to the command id, as in the Python reference.
 */

export interface InfrastructurePid {
  readonly org: string
  readonly gvc: string
  readonly workload: string
  readonly commandId: string
}

export const infrastructurePid = ({ org, gvc, workload, commandId }: InfrastructurePid): string =>
  `${org}:${gvc}:${workload}:${commandId}`

/** Separators of paths and queries, escapes, and control characters; "." and ".." are steps in a path. */
const harmful = /[/?#%\\\p{Cc}]|^\.{1,2}$/u

const isPart = (text: string): boolean => text.trim() !== "" && !harmful.test(text)

/** Undefined for a PID of another worker, a malformed one, or none. */
export const parseInfrastructurePid = (text: string | null | undefined): InfrastructurePid | undefined => {
  const [org = "", gvc = "", workload = "", ...rest] = (text ?? "").split(":")
  const commandId = rest.join(":")
  return [org, gvc, workload, commandId].every(isPart) ? { org, gvc, workload, commandId } : undefined
}

/** Added to the tags that the flow run has. */
export const flowRunTags = ({ org, gvc, workload, commandId }: InfrastructurePid): ReadonlyArray<string> => [
  `cpln:org:${org}`,
  `cpln:gvc:${gvc}`,
  `cpln:workload:${workload}`,
  `cpln:command:${commandId}`
]

/**
 * Why the job must not be touched on behalf of a configuration that names this org and GVC; undefined when it may. The
 * texts are the reference's.
 */
export const outOfScope = (
  pid: InfrastructurePid,
  place: { readonly org: string; readonly gvc: string }
): string | undefined => {
  if (pid.org !== place.org) {
    return `Unable to kill job '${pid.workload}': The job is running on another Control Plane organization than the one specified by the infrastructure PID.`
  }
  return pid.gvc === place.gvc
    ? undefined
    : `Unable to kill job '${pid.workload}': The job is running in namespace '${pid.gvc}' but this worker expected jobs to be running in namespace '${place.gvc}' based on the work pool and deployment configuration.`
}
