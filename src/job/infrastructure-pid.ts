/**
 * The infrastructure PID `org:gvc:workload:command_id` and the flow run's tags that say the same.
 *
 * Invariant: what parses names a job: four parts, none empty, none that could change a request's path.
 */

export interface InfrastructurePid {
  readonly org: string
  readonly gvc: string
  readonly workload: string
  readonly commandId: string
}

export const infrastructurePid = ({ org, gvc, workload, commandId }: InfrastructurePid): string =>
  `${org}:${gvc}:${workload}:${commandId}`

/** Names of the platform hold nothing else; command ids are UUIDs, but a longer alphabet does no harm. */
const part = /^[A-Za-z0-9][-._A-Za-z0-9]*$/u

/** Undefined for a PID of another worker, or a malformed one. */
export const parseInfrastructurePid = (text: string): InfrastructurePid | undefined => {
  const [org, gvc, workload, ...rest] = text.split(":")
  const commandId = rest.join(":")
  if (org === undefined || gvc === undefined || workload === undefined) return undefined
  return [org, gvc, workload, commandId].every((each) => part.test(each))
    ? { org, gvc, workload, commandId }
    : undefined
}

/** Added to the tags that the flow run has. */
export const flowRunTags = ({ org, gvc, workload, commandId }: InfrastructurePid): ReadonlyArray<string> => [
  `cpln:org:${org}`,
  `cpln:gvc:${gvc}`,
  `cpln:workload:${workload}`,
  `cpln:command:${commandId}`
]
