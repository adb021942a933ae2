/**
 * The workload that a job wants, and what is told where it cannot be had.
 */
import { Schema } from "effect"
import type { Place } from "../../cpln/place.ts"
import type { ConvertedIdentity, ConvertedPolicy } from "../../job/convert.ts"

/** What to make when it is missing. */
export interface Wanted {
  readonly place: Place
  readonly tags: Readonly<Record<string, string>>
  /** With its `identityLink`. */
  readonly spec: Readonly<Record<string, unknown>>
  /** To be made first; undefined when the job's owner named one, which `spec` links. */
  readonly identity: ConvertedIdentity | undefined
  /** To be made with the identity; undefined without secrets. */
  readonly policy: ConvertedPolicy | undefined
  /** Names of all secrets that the job reads. */
  readonly secrets: ReadonlyArray<string>
  /** Short location name. */
  readonly location: string
  /** `pod_watch_timeout_seconds`, in ms: how long readiness may take. */
  readonly readyWithin: number
}

/** The workload cannot be used for this run; `message` is what the user reads on the run. */
export class WorkloadUnusable extends Schema.TaggedError<WorkloadUnusable>()("WorkloadUnusable", {
  workload: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Workload ${this.workload} cannot run this job: ${this.reason}`
  }
}
