/**
 * How jobs are named to the log service and found in its answers: a replica is named after its command.
 *
 * Invariant: what is asked for by `queryOf` is attributed by `commandOf`, by the whole id, to one job.
 */
import type { Place } from "../cpln/place.ts"

/** LogQL of all jobs of one workload, or of the jobs with these command ids. */
export const queryOf = (place: Place, commandIds?: ReadonlyArray<string>): string => {
  const { gvc, name } = place.workload
  return `{gvc=${quoted(gvc)}, workload=${quoted(name)}, replica=~${quoted(replicasOf(commandIds))}}`
}

const replicasOf = (commandIds: ReadonlyArray<string> | undefined): string => {
  if (commandIds === undefined) return "command-.+"
  const ids = commandIds.map((id) => id.replace(/[^\w-]/gu, String.raw`\$&`))
  return ids.length === 1 ? `command-${ids[0]}.*` : `command-(${ids.join("|")}).*`
}

/** LogQL takes Go's strings; JSON's are a part of them. */
const quoted = (text: string): string => JSON.stringify(text)

const replicaName = /command-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/u

/** The command that a replica runs; undefined for a replica that is no job's. */
export const commandOf = (replica: string): string | undefined => replicaName.exec(replica)?.[1]
