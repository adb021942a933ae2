/** Commands as the engine writes them down: new ones from what was posted, and the steps of those that act on a run. */
import { type Json, type JsonObject, objectOf, textOf } from "../json.ts"
import type { Command, Resource, Store } from "../store.ts"
import { isFinal, type RunState } from "./run-state.ts"

export interface NewRecord {
  readonly body: Readonly<Record<string, Json | undefined>>
  readonly id: string
  readonly now: number
  readonly run: RunState
  /** The name of the execution, where it is not made from the id. */
  readonly execution?: string
}

export const addRecord = (
  store: Store["Service"],
  workload: Resource,
  { body, id, now, run, execution }: NewRecord
): Command => {
  const spec = objectOf(body["spec"])
  return store.addCommand({
    id,
    workload: workload.path,
    type: String(body["type"]),
    tags: objectOf(body["tags"]) as JsonObject,
    spec,
    location: textOf(spec["location"]) ?? "",
    workloadVersion: workload.version,
    ...(execution === undefined ? {} : { execution }),
    created: now,
    lastModified: now,
    version: 1,
    run
  })
}

/** For commands without a pod of their own. */
export const step = (
  store: Store["Service"],
  command: Command,
  stage: RunState["stage"],
  now: number,
  message?: string
): void => {
  if (isFinal(command.run.stage)) return
  const times = isFinal(stage) ? { completionTime: now } : { startTime: now }
  const said = message === undefined ? {} : { message }
  store.advance(command, { ...command.run, ...times, ...said, stage }, now)
}
