/**
 * From a job manifest to what Control Plane takes, wherever the manifest came from: its location, the key names of the
 * secrets that it names, the conversion, and whether its secrets exist.
 *
 * Invariant: nothing is created here. Everything that is wrong with the job itself is a problem, all at once; what may pass
 * by itself (5xx, 429, a refused credential) is an `ApiError`.
 */
import { Effect, Result } from "effect"
import type { ContainerOverride, StartCommand } from "../../cpln/commands.ts"
import { type Access, ControlPlane } from "../../cpln/control-plane.ts"
import { at } from "../../cpln/place.ts"
import type { Gvc } from "../../cpln/schemas.ts"
import { Secrets, type SecretShape } from "../../cpln/secrets.ts"
import { Workloads } from "../../cpln/workloads.ts"
import type { ApiError } from "../../http/errors.ts"
import { convert, type ConvertedJob, secretsToReveal } from "../../job/convert.ts"
import type { JsonRecord } from "../../job/json.ts"
import { isResourceName } from "../../job/limits.ts"
import { locationsOf } from "../../job/places.ts"
import type { Problem } from "../../job/problem.ts"

/** Whether a secret is there; "unknown" where the credential may not look. */
export type SecretFound = "there" | "missing" | "unknown"

/** What is read of Control Plane for a conversion. What does not exist is undefined, never an error. */
export interface PlatformReads {
  gvc(access: Access, name: string): Effect.Effect<Gvc | undefined, ApiError>
  secret(access: Access, name: string): Effect.Effect<SecretFound, ApiError>
  /** Type and key names; "forbidden" where the credential may not reveal it. */
  secretShape(access: Access, name: string): Effect.Effect<SecretShape | "forbidden" | undefined, ApiError>
}

/** Asks every time. */
export const platformReads: Effect.Effect<PlatformReads, never, ControlPlane> = Effect.map(
  ControlPlane,
  (controlPlane) => {
    const ofSecrets = <A>(access: Access, ask: (secrets: Secrets["Service"]) => Effect.Effect<A, ApiError>) =>
      Secrets.use(ask).pipe(at(access), Effect.provideService(ControlPlane, controlPlane))
    return {
      gvc: (access, name) =>
        orUndefined(Workloads.use((workloads) => workloads.readGvc(name))).pipe(
          at(access),
          Effect.provideService(ControlPlane, controlPlane)
        ),
      secret: (access, name) =>
        ofSecrets(access, (secrets) => secrets.look(name)).pipe(
          Effect.as<SecretFound>("there"),
          Effect.catchTag("NotFound", () => Effect.succeed<SecretFound>("missing")),
          Effect.catchTag(["Forbidden", "Refused"], () => Effect.succeed<SecretFound>("unknown"))
        ),
      secretShape: (access, name) =>
        ofSecrets(access, (secrets) => secrets.shape(name)).pipe(
          orUndefined,
          Effect.catchTag("Forbidden", () => Effect.succeed("forbidden" as const))
        )
    }
  }
)

export const orUndefined = <A, R>(read: Effect.Effect<A, ApiError, R>) =>
  Effect.catchTag(read, "NotFound", () => Effect.succeed(undefined))

export interface ToSend {
  readonly manifest: JsonRecord
  readonly org: string
  readonly gvc: string
  /** Undefined: the first of the GVC. */
  readonly location: string | undefined
  readonly jobType: string | undefined
  /** Undefined for a job that is no flow run's. */
  readonly poolId: string | undefined
  /** Where a field such as "location" is set, for a person who is to correct it. */
  readonly called: (field: string) => string
  /** Whose environment has the defaults, such as " of the agent". */
  readonly ofWhom: string
  /** Adds to a problem who set what is behind it: of where the job runs, and of the manifest. */
  readonly explain: (problem: Problem) => Problem
  readonly explainManifest: (problem: Problem) => Problem
  /** What helps when the credential may not reveal a secret. */
  readonly mayNotReveal: (org: string, secret: string) => string
}

/** The converted job, or every problem of it. */
export const toSend = Effect.fn("runs.toSend")(function* (
  job: ToSend,
  access: Access,
  reads: PlatformReads
): Effect.fn.Return<Result.Result<ConvertedJob, ReadonlyArray<Problem>>, ApiError> {
  const { explain, explainManifest, gvc, jobType, manifest, org, poolId } = job
  const { location, problems } = yield* locationOf(job, access, reads)
  const converted = convert(manifest, {
    org,
    gvc,
    location,
    jobType,
    poolId,
    ...(yield* revealed(job, access, reads))
  })
  const all = [
    ...problems.map(explain),
    ...(Result.isFailure(converted) ? converted.failure.map(explainManifest) : [])
  ]
  if (Result.isFailure(converted) || all.length > 0) return Result.fail(all)
  const missing = yield* missingSecrets(converted.success.secrets, org, access, reads)
  return missing.length > 0 ? Result.fail(missing) : converted
})

/** The start of a converted job. */
export const startOf = (job: ConvertedJob, tags: Readonly<Record<string, string>>): StartCommand => ({
  location: job.location,
  containerOverrides: job.overrides.map(withValues),
  ...(job.activeDeadlineSeconds === undefined ? {} : { activeDeadlineSeconds: job.activeDeadlineSeconds }),
  tags
})

/** A variable without a value is an empty one in Kubernetes; the platform's commands ask for the value. */
const withValues = ({ env, ...override }: ConvertedJob["overrides"][number]): ContainerOverride => ({
  ...override,
  ...(env === undefined ? {} : { env: env.map(({ name, value }) => ({ name, value: value ?? "" })) })
})

/** The location that is asked for, else the GVC's first; a problem when the GVC does not have it. */
const locationOf = Effect.fnUntraced(function* (
  { called, gvc, location, ofWhom, org }: ToSend,
  access: Access,
  reads: PlatformReads
) {
  const read = yield* reads.gvc(access, gvc).pipe(
    // A credential that may run jobs but not read the GVC is enough where the location is named.
    Effect.catchTag("Forbidden", (error) =>
      location === undefined ? Effect.fail(error) : Effect.succeed("unread" as const)
    )
  )
  const found = (problem?: Problem) => ({
    location: location ?? "",
    problems: problem === undefined ? [] : [problem]
  })
  if (read === "unread") return found()
  if (read === undefined) {
    return found({
      path: "namespace",
      rule: `GVC "${gvc}" does not exist in org "${org}", or the credential may not see it`,
      remedy: `Correct ${called("namespace")} or "org", or CPLN_GVC and CPLN_ORG${ofWhom}.`
    })
  }
  const there = locationsOf(read)
  const [first] = there
  if (location === undefined) {
    return first === undefined
      ? found({
          path: "location",
          rule: `GVC "${gvc}" has no location, and no other is named`,
          remedy: `Add a location to the GVC, or set ${called("location")}.`
        })
      : { location: first, problems: [] }
  }
  return there.length === 0 || there.includes(location)
    ? found()
    : found({
        path: "location",
        rule: `GVC "${gvc}" has no location "${location}"; it has ${there.join(", ")}`,
        remedy: `Correct ${called("location")}, or CPLN_LOCATION${ofWhom}, or add the location to the GVC.`
      })
})

/** Key names of the secrets that `envFrom` names: the only thing that secrets are ever revealed for. */
const revealed = Effect.fnUntraced(function* (
  { manifest, mayNotReveal, org }: ToSend,
  access: Access,
  reads: PlatformReads
) {
  const secretKeys = new Map<string, ReadonlyArray<string>>()
  const secretTypes = new Map<string, string>()
  const secretsHidden = new Map<string, string>()
  // What can be no name is refused by the conversion, and asked of nobody.
  for (const name of secretsToReveal(manifest).filter(isResourceName)) {
    const shape = yield* reads.secretShape(access, name)
    if (shape === "forbidden") secretsHidden.set(name, mayNotReveal(org, name))
    else if (shape?.type === "dictionary") secretKeys.set(name, shape.keys)
    else if (shape !== undefined) secretTypes.set(name, shape.type)
  }
  return { secretKeys, secretTypes, secretsHidden }
})

/** A job that refers to a secret which does not exist waits without a word. */
const missingSecrets = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>,
  org: string,
  access: Access,
  reads: PlatformReads
): Effect.fn.Return<ReadonlyArray<Problem>, ApiError> {
  const found = yield* Effect.forEach(
    names,
    (name) => Effect.map(reads.secret(access, name), (is) => ({ name, is })),
    { concurrency: 8 }
  )
  return found
    .filter(({ is }) => is === "missing")
    .map(({ name }) => ({
      path: `cpln://secret/${name}`,
      rule: `there is no secret "${name}" in org "${org}"`,
      remedy: "Create it, or correct the name where the job refers to it."
    }))
})
