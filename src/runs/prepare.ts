/**
 * From a flow run to what is sent for it: reads what the run is made from, and hands it to the pure part (`src/job`).
 *
 * Invariant: nothing is created here, and what Control Plane would refuse is refused here, every problem at once. What
 * may pass by itself (5xx, 429, a refused credential) is an `ApiError`, never a refusal.
 */
import { Effect, Redacted, Result } from "effect"
import type { ContainerOverride, StartCommand } from "../cpln/commands.ts"
import { Access } from "../cpln/control-plane.ts"
import { WorkloadRef } from "../cpln/schemas.ts"
import type { ApiError } from "../http/errors.ts"
import { convert, type ConvertedJob, secretsToReveal } from "../job/convert.ts"
import { isResourceName } from "../job/limits.ts"
import { locationsOf } from "../job/places.ts"
import type { Problem } from "../job/problem.ts"
import { revealPolicy, toApply } from "../job/to-apply.ts"
import { tokenOf } from "../job/where.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { type Injected, RunsConfig } from "./config.ts"
import {
  type Definition,
  definitionOf,
  type OtherInfrastructure,
  refuse,
  type RunRefused
} from "./definition.ts"
import { Preparation } from "./preparation.ts"
import type { Wanted } from "./workload.ts"

export { Preparation } from "./preparation.ts"

export interface Prepared {
  readonly wanted: Wanted
  /** The start's own part, without the tags that say which agent, pool and attempt it is of. */
  readonly what: StartCommand
  /** `org:gvc:workload`, as it stands in claim messages. */
  readonly where: string
  readonly warnings: ReadonlyArray<string>
  readonly flowName: string
  /** `job_watch_timeout_seconds`, in ms. */
  readonly deadline: number | undefined
  readonly streamOutput: boolean | undefined
}

export const prepare = Effect.fn("runs.prepare")(function* (
  run: FlowRun
): Effect.fn.Return<Prepared, RunRefused | OtherInfrastructure | ApiError, Preparation | RunsConfig> {
  const { poolId, injected } = yield* RunsConfig
  const definition = yield* definitionOf(run)
  const { explain, explainManifest, gvc, org } = definition
  const access = accessOf(definition, injected)
  const { location, problems } = yield* locationOf(definition, access)
  const converted = convert(definition.manifest, {
    org,
    gvc,
    location,
    jobType: definition.jobType,
    poolId,
    ...(yield* revealed(definition, access))
  })
  const all = [
    ...problems.map(explain),
    ...(Result.isFailure(converted) ? converted.failure.map(explainManifest) : [])
  ]
  if (Result.isFailure(converted) || all.length > 0) return yield* refuse(all)
  const job = converted.success
  yield* refuseMissingSecrets(job.secrets, org, access)
  const workload = new WorkloadRef({ org, gvc, name: job.name })
  const deadline = definition.jobWatchTimeout ?? 0
  return {
    wanted: {
      place: { access, workload },
      tags: job.tags,
      spec: job.spec,
      identity: job.identity,
      policy: job.policy,
      secrets: job.secrets,
      location,
      readyWithin: Math.max(0, definition.podWatchTimeout) * 1000
    },
    what: {
      location,
      containerOverrides: job.overrides.map(withValues),
      ...(job.activeDeadlineSeconds === undefined
        ? {}
        : { activeDeadlineSeconds: job.activeDeadlineSeconds }),
      // The watch finds the run by this tag, whatever label a user gave that name.
      tags: { ...job.labels, "prefect.io/flow-run-id": run.id }
    },
    where: `${workload.org}:${workload.gvc}:${workload.name}`,
    warnings: [...definition.warnings, ...job.warnings],
    flowName: definition.flowName,
    deadline: deadline > 0 ? deadline * 1000 : undefined,
    streamOutput: definition.streamOutput
  }
})

/** A variable without a value is an empty one in Kubernetes; the platform's commands ask for the value. */
const withValues = ({ env, ...override }: ConvertedJob["overrides"][number]): ContainerOverride => ({
  ...override,
  ...(env === undefined ? {} : { env: env.map(({ name, value }) => ({ name, value: value ?? "" })) })
})

/** The configuration block goes before the agent's own credential. */
const accessOf = ({ config, org }: Definition, { endpoint, token }: Injected): Access => {
  const own = tokenOf(config)
  // Without either, the definition was refused.
  const credential = own === undefined ? (token ?? Redacted.make("")) : Redacted.make(own)
  return new Access({ endpoint, org, token: credential })
}

/** The location that is asked for, else the GVC's first; a problem when the GVC does not have it. */
const locationOf = Effect.fnUntraced(function* ({ called, gvc, location, org }: Definition, access: Access) {
  const preparation = yield* Preparation
  const read = yield* preparation.gvc(access, gvc).pipe(
    // A credential that may run jobs but not read the GVC is enough where the location is named.
    Effect.catchTag("Forbidden", (error) =>
      location === null ? Effect.fail(error) : Effect.succeed("unread" as const)
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
      remedy: `Correct ${called("namespace")} or "org", or CPLN_GVC and CPLN_ORG of the agent.`
    })
  }
  const there = locationsOf(read)
  const [first] = there
  if (location === null) {
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
        remedy: `Correct ${called("location")}, or CPLN_LOCATION of the agent, or add the location to the GVC.`
      })
})

/** Key names of the secrets that `envFrom` names: the only thing that secrets are ever revealed for. */
const revealed = Effect.fnUntraced(function* ({ manifest, org }: Definition, access: Access) {
  const preparation = yield* Preparation
  const secretKeys = new Map<string, ReadonlyArray<string>>()
  const secretTypes = new Map<string, string>()
  const secretsHidden = new Map<string, string>()
  // What can be no name is refused by the conversion, and asked of nobody.
  for (const name of secretsToReveal(manifest).filter(isResourceName)) {
    const shape = yield* preparation.secretShape(access, name)
    if (shape === "forbidden") secretsHidden.set(name, revealForAgent(org, name))
    else if (shape?.type === "dictionary") secretKeys.set(name, shape.keys)
    else if (shape !== undefined) secretTypes.set(name, shape.type)
  }
  return { secretKeys, secretTypes, secretsHidden }
})

const revealForAgent = (org: string, secret: string): string =>
  [
    `Name the keys one by one in env (secretKeyRef), or let the agent's own account reveal them by this policy (cpln apply --org ${org} --file FILE, with the account's link in place of AGENT):`,
    toApply(
      revealPolicy(`prefect-agent-reveal-${secret}`.slice(0, 49), `/org/${org}/serviceaccount/AGENT`, [
        secret
      ])
    )
  ].join("\n")

/** A job that refers to a secret which does not exist waits without a word. */
const refuseMissingSecrets = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>,
  org: string,
  access: Access
) {
  const preparation = yield* Preparation
  const found = yield* Effect.forEach(
    names,
    (name) => Effect.map(preparation.secret(access, name), (is) => ({ name, is })),
    { concurrency: 8 }
  )
  const missing = found.filter(({ is }) => is === "missing")
  if (missing.length === 0) return
  yield* refuse(
    missing.map(({ name }) => ({
      path: `cpln://secret/${name}`,
      rule: `there is no secret "${name}" in org "${org}"`,
      remedy: "Create it, or correct the name where the job refers to it."
    }))
  )
})
