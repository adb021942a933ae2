/**
 * From a flow run to what is sent for it: reads what the run is made from, and hands it to the pure part (`src/job`).
 *
 * Invariant: nothing is created here, and what Control Plane would refuse is refused here, every problem at once. What
 * may pass by itself (5xx, 429, a refused credential) is an `ApiError`, never a refusal.
 */
import { Effect, Redacted, Result, Schema } from "effect"
import type { ContainerOverride, StartCommand } from "../cpln/commands.ts"
import { Access } from "../cpln/control-plane.ts"
import { WorkloadRef } from "../cpln/schemas.ts"
import type { ApiError } from "../http/errors.ts"
import { type Configuration, configure, type ConfigurationSource } from "../job/configuration.ts"
import { convert, type ConvertedJob, secretsToReveal } from "../job/convert.ts"
import { locationsOf } from "../job/places.ts"
import { type Problem, problemText } from "../job/problem.ts"
import { blockKeyText, type Known, nothingKnown } from "../job/references.ts"
import { tokenOf } from "../job/where.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { RunsConfig } from "./config.ts"
import { Preparation } from "./preparation.ts"
import type { Wanted } from "./workload.ts"

export { Preparation } from "./preparation.ts"

/** The run cannot run as it is defined; `problems` is the text that its owner reads. */
export class RunRefused extends Schema.TaggedError<RunRefused>()("RunRefused", { problems: Schema.String }) {
  override get message() {
    return this.problems
  }
}

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

const refuse = (problems: ReadonlyArray<Problem>) => new RunRefused({ problems: problemText(problems) })

export const prepare = Effect.fn("runs.prepare")(function* (
  run: FlowRun
): Effect.fn.Return<Prepared, RunRefused | ApiError, Preparation | RunsConfig> {
  const { poolId, injected } = yield* RunsConfig
  const source = yield* readSource(run)
  const { configuration, warnings, explain, explainManifest } = yield* configured(source)
  const access = accessOf(configuration, injected)
  const { location, problems } = yield* locationOf(configuration, access)
  const converted = convertJob(configuration, location, poolId)
  const all = [
    ...problems.map(explain),
    ...(Result.isFailure(converted) ? converted.failure.map(explainManifest) : [])
  ]
  if (Result.isFailure(converted) || all.length > 0) return yield* refuse(all)
  const job = converted.success
  const workload = new WorkloadRef({
    org: configuration.org,
    gvc: configuration.namespace,
    name: job.name
  })
  const deadline = configuration.job_watch_timeout_seconds ?? 0
  return {
    wanted: {
      place: { access, workload },
      tags: job.tags,
      spec: specOf(job),
      location,
      readyWithin: Math.max(0, configuration.pod_watch_timeout_seconds) * 1000
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
    warnings: [...warnings, ...job.warnings],
    flowName: source.flow.name,
    deadline: deadline > 0 ? deadline * 1000 : undefined,
    streamOutput: configuration.stream_output
  }
})

/** A variable without a value is an empty one in Kubernetes; the platform's commands ask for the value. */
const withValues = ({ env, ...override }: ConvertedJob["overrides"][number]): ContainerOverride => ({
  ...override,
  ...(env === undefined ? {} : { env: env.map(({ name, value }) => ({ name, value: value ?? "" })) })
})

/** Pool, deployment, flow and run, as the pure part takes them. */
const readSource = Effect.fnUntraced(function* (run: FlowRun) {
  const preparation = yield* Preparation
  const config = yield* RunsConfig
  const [flow, deployment] = yield* Effect.all(
    [
      preparation.flow(run.flow_id),
      run.deployment_id == null ? Effect.succeed(undefined) : preparation.deployment(run.deployment_id)
    ],
    { concurrency: "unbounded" }
  )
  if (flow === undefined) return yield* new RunRefused({ problems: "Its flow was deleted." })
  if (deployment === undefined && run.deployment_id != null) {
    return yield* new RunRefused({ problems: "Its deployment was deleted." })
  }
  const pool = yield* preparation.pool
  const { injected } = config
  return {
    template: pool.base_job_template,
    version: config.server.text,
    run: { id: run.id, name: run.name, jobVariables: run.job_variables ?? {} },
    flow,
    deployment:
      deployment === undefined
        ? undefined
        : {
            id: deployment.id,
            name: deployment.name,
            updated: deployment.updated ?? undefined,
            jobVariables: deployment.job_variables
          },
    pool: { id: pool.id, name: pool.name },
    workerName: config.workerName,
    settings: config.prefectSettings,
    environment: config.environment,
    injected: {
      org: injected.org,
      gvc: injected.gvc,
      location: injected.location,
      hasToken: injected.token !== undefined
    },
    context: { flow, flow_run: run }
  } satisfies ConfigurationSource
})

/** Reads blocks and variables until the pure part asks for no more; each is read once, so that this ends. */
const configured = Effect.fnUntraced(function* (source: ConfigurationSource) {
  const preparation = yield* Preparation
  let known: Known = nothingKnown
  for (;;) {
    const step = configure(source, known)
    if (step._tag === "Refused") return yield* refuse(step.problems)
    if (step._tag === "Configured") return step
    const blocks = yield* Effect.forEach(
      step.blocks,
      (key) => Effect.map(preparation.block(key), (data) => [blockKeyText(key), data] as const),
      { concurrency: 8 }
    )
    const variables = yield* Effect.forEach(
      step.variables,
      (name) => Effect.map(preparation.variable(name), (value) => [name, value] as const),
      { concurrency: 8 }
    )
    known = {
      blocks: new Map([...known.blocks, ...blocks]),
      variables: new Map([...known.variables, ...variables])
    }
  }
})

/** The pool's configuration block goes before the agent's own credential. */
const accessOf = (
  { org, config }: Configuration,
  { endpoint, token }: RunsConfig["Service"]["injected"]
): Access => {
  const own = tokenOf(config)
  // Without either, `configure` has refused.
  const credential = own === undefined ? (token ?? Redacted.make("")) : Redacted.make(own)
  return new Access({ endpoint, org, token: credential })
}

/** The location that is asked for, else the GVC's first; a problem when the GVC does not have it. */
const locationOf = Effect.fnUntraced(function* ({ org, namespace, location }: Configuration, access: Access) {
  const preparation = yield* Preparation
  const gvc = yield* preparation.gvc(access, namespace).pipe(
    // A credential that may run jobs but not read the GVC is enough where the location is named.
    Effect.catchTag("Forbidden", (error) =>
      location === null ? Effect.fail(error) : Effect.succeed("unread" as const)
    )
  )
  const found = (problem?: Problem) => ({
    location: location ?? "",
    problems: problem === undefined ? [] : [problem]
  })
  if (gvc === "unread") return found()
  if (gvc === undefined) {
    return found({
      path: "namespace",
      rule: `GVC "${namespace}" does not exist in org "${org}", or the credential may not see it`,
      remedy: 'Correct the variable "namespace" or "org", or CPLN_GVC and CPLN_ORG of the agent.'
    })
  }
  const there = locationsOf(gvc)
  const [first] = there
  if (location === null) {
    return first === undefined
      ? found({
          path: "location",
          rule: `GVC "${namespace}" has no location, and no other is named`,
          remedy: `Add a location to the GVC, or set the variable "location".`
        })
      : { location: first, problems: [] }
  }
  return there.length === 0 || there.includes(location)
    ? found()
    : found({
        path: "location",
        rule: `GVC "${namespace}" has no location "${location}"; it has ${there.join(", ")}`,
        remedy:
          'Correct the variable "location", or CPLN_LOCATION of the agent, or add the location to the GVC.'
      })
})

/** Jobs that need an identity of ours to reveal secrets are refused: nothing makes identities and policies yet. */
const convertJob = (
  { org, namespace, job_manifest }: Configuration,
  location: string,
  poolId: string
): Result.Result<ConvertedJob, ReadonlyArray<Problem>> => {
  const toReveal = secretsToReveal(job_manifest)
  const secretKeys = new Map(toReveal.map((name) => [name, []] as const))
  const context = { org, gvc: namespace, location, jobType: undefined, poolId, secretKeys }
  return Result.flatMap(convert(job_manifest, context), (job) => {
    const secrets = [...new Set([...toReveal, ...(job.policy === undefined ? [] : job.secrets)])]
    return secrets.length === 0
      ? Result.succeed(job)
      : Result.fail([
          {
            path: "job_manifest",
            rule: `it uses secrets (${secrets.join(", ")}): not supported yet by this agent`,
            remedy:
              toReveal.length > 0
                ? "Name each variable and the key of its secret in env; envFrom comes with a later version."
                : "Give the job a service account (service_account_name) whose identity may reveal them."
          }
        ])
  })
}

/** An identity that nobody made must not be linked: the platform would refuse the workload. Name and hash stay. */
const specOf = ({ spec, identity }: ConvertedJob): Wanted["spec"] => {
  if (identity === undefined) return spec
  const { identityLink: _notMade, ...rest } = spec
  return rest
}
