/**
 * What a person needs who wants to know why a promise was broken: the violations, and the whole story of a few runs.
 *
 * Invariant: the stories are put together here and judged nowhere; that what the agents printed is among them changes no
 * verdict.
 */
import type { Running } from "../../../scripts/local/process.ts"
import type { Recorded, Violation } from "./audit.ts"

/** Every violation; of the first three runs their whole story, from the records and from what the agents printed. */
export const told = (
  violations: ReadonlyArray<Violation>,
  records: ReadonlyArray<Recorded>,
  agents: ReadonlyArray<Running>,
  title: string
): string => {
  const stories = [...new Set(violations.map(({ run }) => run))].slice(0, 3).flatMap((id) => {
    const record = records.find(({ run }) => run.id === id)
    if (record === undefined) return []
    return [
      `story of ${id}`,
      ...record.states.map(
        ({ message, name, state_details, timestamp }) =>
          `${timestamp} ${name} ${message ?? ""} (${state_details.transition_id ?? "no id"})`
      ),
      ...record.commands.map(
        ({ created, id: command, lastModified, lifecycleStage, tags }) =>
          `${created} command ${command} ${lifecycleStage} at ${lastModified}, ${tags?.["prefect.io/attempt"]} by ${tags?.["cpln/prefectAgent"]}`
      ),
      ...agents.flatMap((each) => each.output().split("\n")).filter((line) => line.includes(id))
    ]
  })
  return [
    `${title}, ${violations.length} violations`,
    ...violations.map(({ promise, run, seen }) => `not so: ${promise}; ${run}: ${seen}`),
    ...stories
  ].join("\n")
}
