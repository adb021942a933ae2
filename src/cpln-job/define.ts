/**
 * From a job to what is sent for it: its workload, and the command that starts it.
 *
 * Invariant: nothing is created here, and what Control Plane would refuse is refused here, every problem at once.
 */
import { Effect, Result, Schema } from "effect"
import type { StartCommand } from "../cpln/commands.ts"
import type { Access, ControlPlane } from "../cpln/control-plane.ts"
import type { Place } from "../cpln/place.ts"
import { WorkloadRef } from "../cpln/schemas.ts"
import type { ApiError } from "../http/errors.ts"
import type { ConvertedJob } from "../job/convert.ts"
import { Problem, problemText } from "../job/problem.ts"
import { agentTag, attemptTag, poolTag, runTag } from "../runs/decide/normalise.ts"
import { platformReads, startOf, toSend } from "../runs/prepare/to-send.ts"
import type { LoneJob } from "./block.ts"

/** The job cannot run as it is defined; its message is what its owner reads. */
export class JobRefused extends Schema.TaggedError<JobRefused>()("JobRefused", {
  problems: Schema.Array(Problem)
}) {
  override get message() {
    return problemText(this.problems)
  }
}

export const refused = (problems: ReadonlyArray<Problem>) => new JobRefused({ problems })

export interface DefinedJob {
  readonly place: Place
  readonly converted: ConvertedJob
  /** Without the tag that tells one start from another. */
  readonly what: StartCommand
  readonly warnings: ReadonlyArray<string>
}

export const define = Effect.fn("cplnJob.define")(function* (
  job: LoneJob,
  access: Access
): Effect.fn.Return<DefinedJob, JobRefused | ApiError, ControlPlane> {
  const converted = yield* toSend(
    {
      ...job,
      jobType: undefined,
      poolId: undefined,
      called: (field) => (field === "namespace" ? "the GVC" : `the ${field}`),
      ofWhom: "",
      explain: (problem) => problem,
      explainManifest: (problem) => problem,
      mayNotReveal: (org) =>
        `Name the keys one by one in env (secretKeyRef), or let the account of your token reveal the secret, by a policy of org ${org} with the permission reveal.`
    },
    access,
    yield* platformReads
  )
  return Result.isFailure(converted)
    ? yield* refused(converted.failure)
    : defined(job, access, converted.success)
})

const defined = (job: LoneJob, access: Access, converted: ConvertedJob): DefinedJob => {
  const { tags, dropped } = ownTags(converted.labels)
  return {
    place: { access, workload: new WorkloadRef({ org: job.org, gvc: job.gvc, name: converted.name }) },
    converted,
    what: startOf(converted, tags),
    warnings: [
      ...converted.warnings,
      ...dropped.map((tag) => `metadata.labels[${tag}]: left out, because it marks the jobs of flow runs.`)
    ]
  }
}

/** By these an agent would take the job for a flow run's. */
const ofFlowRuns: ReadonlyArray<string> = [runTag, attemptTag, poolTag, agentTag]

const ownTags = (labels: Readonly<Record<string, string>>) => ({
  tags: Object.fromEntries(Object.entries(labels).filter(([key]) => !ofFlowRuns.includes(key))),
  dropped: Object.keys(labels).filter((key) => ofFlowRuns.includes(key))
})
