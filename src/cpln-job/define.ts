/**
 * From a job to what is sent for it: its workload, and the command that starts it.
 *
 * Invariant: nothing is created here, and what Control Plane would refuse is refused here, every problem at once.
 */
import { Effect, Result, Schema } from "effect"
import type { ContainerOverride, StartCommand } from "../cpln/commands.ts"
import type { Access, ControlPlane } from "../cpln/control-plane.ts"
import { at, type Place } from "../cpln/place.ts"
import { WorkloadRef } from "../cpln/schemas.ts"
import { Workloads } from "../cpln/workloads.ts"
import type { ApiError } from "../http/errors.ts"
import { convert, type ConvertedJob, secretsToReveal } from "../job/convert.ts"
import { locationsOf } from "../job/places.ts"
import { type Problem, problemText } from "../job/problem.ts"
import { agentTag, attemptTag, poolTag, runTag } from "../runs/normalise.ts"
import type { LoneJob } from "./block.ts"

/** The job cannot run as it is defined; `problems` is the text that its owner reads. */
export class JobRefused extends Schema.TaggedError<JobRefused>()("JobRefused", { problems: Schema.String }) {
  override get message() {
    return this.problems
  }
}

export const refused = (problems: ReadonlyArray<Problem>) =>
  new JobRefused({ problems: problemText(problems) })

export interface DefinedJob {
  readonly place: Place
  readonly converted: ConvertedJob
  /** Of the workload, without an identity that nobody makes. */
  readonly spec: Readonly<Record<string, unknown>>
  /** Without the tag that tells one start from another. */
  readonly what: StartCommand
  readonly warnings: ReadonlyArray<string>
}

export const define = Effect.fn("cplnJob.define")(function* (
  job: LoneJob,
  access: Access
): Effect.fn.Return<DefinedJob, JobRefused | ApiError, ControlPlane> {
  const { location, problem } = yield* locationOf(job, access)
  const converted = convertLone(job, location)
  const problems = [
    ...(problem === undefined ? [] : [problem]),
    ...(Result.isFailure(converted) ? converted.failure : [])
  ]
  if (Result.isFailure(converted) || problems.length > 0) return yield* refused(problems)
  return defined(job, access, converted.success)
})

const defined = (job: LoneJob, access: Access, converted: ConvertedJob): DefinedJob => {
  const { identityLink, ...rest } = converted.spec
  const { tags, dropped } = ownTags(converted.labels)
  return {
    place: { access, workload: new WorkloadRef({ org: job.org, gvc: job.gvc, name: converted.name }) },
    converted,
    // One that nobody made must not be linked: the platform would refuse the workload.
    spec: converted.identity === undefined ? { ...rest, identityLink } : rest,
    what: {
      location: converted.location,
      containerOverrides: converted.overrides.map(withValues),
      ...(converted.activeDeadlineSeconds === undefined
        ? {}
        : { activeDeadlineSeconds: converted.activeDeadlineSeconds }),
      tags
    },
    warnings: [
      ...converted.warnings,
      ...dropped.map((tag) => `metadata.labels[${tag}]: left out, because it marks the jobs of flow runs.`)
    ]
  }
}

/** A variable without a value is an empty one in Kubernetes; the platform's commands ask for the value. */
const withValues = ({ env, ...override }: ConvertedJob["overrides"][number]): ContainerOverride => ({
  ...override,
  ...(env === undefined ? {} : { env: env.map(({ name, value }) => ({ name, value: value ?? "" })) })
})

/** By these an agent would take the job for a flow run's. */
const ofFlowRuns: ReadonlyArray<string> = [runTag, attemptTag, poolTag, agentTag]

const ownTags = (labels: Readonly<Record<string, string>>) => ({
  tags: Object.fromEntries(Object.entries(labels).filter(([key]) => !ofFlowRuns.includes(key))),
  dropped: Object.keys(labels).filter((key) => ofFlowRuns.includes(key))
})

/** Jobs that need an identity of ours to reveal secrets are refused: nothing makes identities and policies yet. */
export const convertLone = (
  { org, gvc, manifest }: LoneJob,
  location: string
): Result.Result<ConvertedJob, ReadonlyArray<Problem>> => {
  const toReveal = secretsToReveal(manifest)
  const secretKeys = new Map(toReveal.map((name) => [name, []] as const))
  const context = { org, gvc, location, jobType: undefined, poolId: undefined, secretKeys }
  return Result.flatMap(convert(manifest, context), (job) => {
    const secrets = [...new Set([...toReveal, ...(job.policy === undefined ? [] : job.secrets)])]
    return secrets.length === 0
      ? Result.succeed(job)
      : Result.fail([
          {
            path: "v1_job",
            rule: `it uses secrets (${secrets.join(", ")}): not supported yet`,
            remedy:
              toReveal.length > 0
                ? "Name each variable and the key of its secret in env; envFrom comes with a later version."
                : "Give the job a service account (serviceAccountName) whose identity may reveal them."
          }
        ])
  })
}

/** The location that is asked for, else the GVC's first; a problem when the GVC does not have it. */
const locationOf = Effect.fnUntraced(function* (
  { org, gvc, location }: LoneJob,
  access: Access
): Effect.fn.Return<
  { readonly location: string; readonly problem: Problem | undefined },
  ApiError,
  ControlPlane
> {
  const read = yield* Workloads.use((workloads) => workloads.readGvc(gvc)).pipe(
    at(access),
    Effect.catchTag("NotFound", () => Effect.succeed("missing" as const)),
    // A credential that may run jobs but not read the GVC is enough where the location is named.
    Effect.catchTag("Forbidden", (error) =>
      location === undefined ? Effect.fail(error) : Effect.succeed(undefined)
    )
  )
  const problem = (path: string, rule: string, remedy: string) => ({
    location: location ?? "",
    problem: { path, rule, remedy }
  })
  if (read === "missing") {
    return problem(
      "namespace",
      `GVC "${gvc}" does not exist in org "${org}", or the credential may not see it`,
      "Correct the GVC or the org, or CPLN_GVC and CPLN_ORG."
    )
  }
  const there = locationsOf(read)
  if (location === undefined && there[0] === undefined) {
    return problem(
      "location",
      `GVC "${gvc}" has no location, and no other is named`,
      "Add a location to the GVC, or name one."
    )
  }
  const chosen = location ?? there[0] ?? ""
  return there.length === 0 || there.includes(chosen)
    ? { location: chosen, problem: undefined }
    : problem(
        "location",
        `GVC "${gvc}" has no location "${chosen}"; it has ${there.join(", ")}`,
        "Correct the location, or CPLN_LOCATION, or add the location to the GVC."
      )
})
