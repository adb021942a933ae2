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
import { Secrets } from "../cpln/secrets.ts"
import { Workloads } from "../cpln/workloads.ts"
import type { ApiError } from "../http/errors.ts"
import { convert, type ConvertedJob, secretsToReveal } from "../job/convert.ts"
import { isResourceName } from "../job/limits.ts"
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
  /** Without the tag that tells one start from another. */
  readonly what: StartCommand
  readonly warnings: ReadonlyArray<string>
}

export const define = Effect.fn("cplnJob.define")(function* (
  job: LoneJob,
  access: Access
): Effect.fn.Return<DefinedJob, JobRefused | ApiError, ControlPlane> {
  const { location, problem } = yield* locationOf(job, access)
  const { gvc, org } = job
  const known = yield* revealed(job, access)
  const converted = convert(job.manifest, {
    org,
    gvc,
    location,
    jobType: undefined,
    poolId: undefined,
    ...known
  })
  const problems = [
    ...(problem === undefined ? [] : [problem]),
    ...(Result.isFailure(converted) ? converted.failure : [])
  ]
  if (Result.isFailure(converted) || problems.length > 0) return yield* refused(problems)
  yield* refuseMissingSecrets(converted.success.secrets, job, access)
  return defined(job, access, converted.success)
})

const defined = (job: LoneJob, access: Access, converted: ConvertedJob): DefinedJob => {
  const { tags, dropped } = ownTags(converted.labels)
  return {
    place: { access, workload: new WorkloadRef({ org: job.org, gvc: job.gvc, name: converted.name }) },
    converted,
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

/** Key names of the secrets that `envFrom` names: the only thing that secrets are ever revealed for. */
const revealed = Effect.fnUntraced(function* ({ manifest, org }: LoneJob, access: Access) {
  const secrets = yield* Secrets.pipe(at(access))
  const secretKeys = new Map<string, ReadonlyArray<string>>()
  const secretTypes = new Map<string, string>()
  const secretsHidden = new Map<string, string>()
  // What can be no name is refused by the conversion, and asked of nobody.
  for (const name of secretsToReveal(manifest).filter(isResourceName)) {
    const shape = yield* secrets.shape(name).pipe(
      Effect.catchTag("NotFound", () => Effect.succeed(undefined)),
      Effect.catchTag("Forbidden", () => Effect.succeed("forbidden" as const))
    )
    if (shape === "forbidden") {
      const remedy = `Name the keys one by one in env (secretKeyRef), or let the account of your token reveal the secret, by a policy of org ${org} with the permission reveal.`
      secretsHidden.set(name, remedy)
    } else if (shape?.type === "dictionary") secretKeys.set(name, shape.keys)
    else if (shape !== undefined) secretTypes.set(name, shape.type)
  }
  return { secretKeys, secretTypes, secretsHidden }
})

/** A job that refers to a secret which does not exist waits without a word. */
const refuseMissingSecrets = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>,
  { org }: LoneJob,
  access: Access
) {
  const secrets = yield* Secrets.pipe(at(access))
  const missing: Array<string> = []
  for (const name of names) {
    yield* secrets.look(name).pipe(
      Effect.catchTag("NotFound", () => Effect.sync(() => missing.push(name))),
      // One that may not be seen may well be there.
      Effect.catchTag("Forbidden", () => Effect.void)
    )
  }
  if (missing.length === 0) return
  yield* refused(
    missing.map((name) => ({
      path: `cpln://secret/${name}`,
      rule: `there is no secret "${name}" in org "${org}"`,
      remedy: "Create it, or correct the name where the job refers to it."
    }))
  )
})

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
