/**
 * How a run's job is defined, wherever that stands: in its pool's template and job variables, or, in a pool for agents,
 * in the infrastructure block of its deployment.
 *
 * Invariant: nothing is created here. Runs whose infrastructure is of another kind are never refused: another agent of
 * that pool runs them.
 */
import { Effect, Schema } from "effect"
import type { ApiError } from "../../http/errors.ts"
import { configure, type ConfigurationSource } from "../../job/configuration.ts"
import { prepareInfrastructure } from "../../job/infrastructure-block.ts"
import { isRecord, type JsonRecord, valueAt } from "../../job/json.ts"
import { ofTheWhole, Problem, problemText } from "../../job/problem.ts"
import { blockKeyText, type Known, nothingKnown } from "../../job/references.ts"
import type { Deployment, Flow, FlowRun } from "../../prefect/schemas.ts"
import { RunsConfig } from "../config.ts"
import { isForAgents } from "../pool.ts"
import { Preparation } from "./preparation.ts"

/** The run cannot run as it is defined; its message is what its owner reads. */
export class RunRefused extends Schema.TaggedError<RunRefused>()("RunRefused", {
  problems: Schema.Array(Problem)
}) {
  override get message() {
    return problemText(this.problems)
  }
}

/** Its deployment says to run it elsewhere: not ours, whatever else it says. */
export class OtherInfrastructure extends Schema.TaggedError<OtherInfrastructure>()("OtherInfrastructure", {
  deployment: Schema.String,
  /** Slug of the block's type; undefined where the deployment has none, which means a process of the agent's host. */
  slug: Schema.UndefinedOr(Schema.String)
}) {
  override get message() {
    const has =
      this.slug === undefined
        ? "has no infrastructure block"
        : `has an infrastructure block of type ${JSON.stringify(this.slug)}`
    return `Deployment ${JSON.stringify(this.deployment)} ${has}, not ${infrastructureSlug}: its runs are left to other agents of the pool.`
  }
}

/** The block type that this agent runs, in a pool for agents. */
export const infrastructureSlug = "control-plane-infrastructure"

export interface Definition {
  readonly org: string
  readonly gvc: string
  /** Null: the first location of the GVC. */
  readonly location: string | null
  /** Holds a token. */
  readonly config: JsonRecord | null
  /** The Kubernetes Job. */
  readonly manifest: JsonRecord
  readonly jobType: string | undefined
  /** Seconds. */
  readonly podWatchTimeout: number
  /** Seconds. */
  readonly jobWatchTimeout: number | null
  readonly streamOutput: boolean
  readonly flowName: string
  readonly warnings: ReadonlyArray<string>
  /** What a field is called where it is set, such as `the variable "location"`. */
  readonly called: (field: string) => string
  /** Adds to a problem who set what is behind it; the path is one of the configuration, or of the manifest. */
  readonly explain: (problem: Problem) => Problem
  readonly explainManifest: (problem: Problem) => Problem
}

export const refuse = (problems: ReadonlyArray<Problem>) => new RunRefused({ problems })

export const definitionOf = Effect.fn("runs.definitionOf")(function* (
  run: FlowRun
): Effect.fn.Return<Definition, RunRefused | OtherInfrastructure | ApiError, Preparation | RunsConfig> {
  const preparation = yield* Preparation
  const [flow, deployment] = yield* Effect.all(
    [
      preparation.flow(run.flow_id),
      run.deployment_id == null ? Effect.succeed(undefined) : preparation.deployment(run.deployment_id)
    ],
    { concurrency: "unbounded" }
  )
  if (flow === undefined) return yield* refuse([ofTheWhole("Its flow was deleted.")])
  if (deployment === undefined && run.deployment_id != null) {
    return yield* refuse([ofTheWhole("Its deployment was deleted.")])
  }
  return isForAgents(yield* preparation.pool)
    ? yield* fromInfrastructure(run, flow, deployment)
    : yield* fromPool(run, flow, deployment)
})

/** In ms; undefined for none. */
export const deadlineOf = ({ jobWatchTimeout }: Definition): number | undefined =>
  jobWatchTimeout !== null && jobWatchTimeout > 0 ? jobWatchTimeout * 1000 : undefined

const deploymentOf = (deployment: Deployment) => ({
  id: deployment.id,
  name: deployment.name,
  updated: deployment.updated ?? undefined
})

/** What of the agent's own surroundings jobs may take. */
const surroundings = ({ injected, prefectSettings, server }: RunsConfig["Service"]) => ({
  version: server.text,
  settings: prefectSettings,
  injected: {
    org: injected.org,
    gvc: injected.gvc,
    location: injected.location,
    hasToken: injected.token !== undefined
  }
})

const fromPool = Effect.fnUntraced(function* (run: FlowRun, flow: Flow, deployment: Deployment | undefined) {
  const config = yield* RunsConfig
  const pool = yield* (yield* Preparation).pool
  const { configuration, explain, explainManifest, warnings } = yield* configured(run, flow, {
    ...surroundings(config),
    template: pool.base_job_template,
    run: { id: run.id, name: run.name, jobVariables: run.job_variables ?? {} },
    flow,
    deployment:
      deployment === undefined
        ? undefined
        : { ...deploymentOf(deployment), jobVariables: deployment.job_variables },
    pool: { id: pool.id, name: pool.name },
    workerName: config.workerName,
    environment: config.environment,
    context: undefined
  })
  return {
    org: configuration.org,
    gvc: configuration.namespace,
    location: configuration.location,
    config: configuration.config,
    manifest: configuration.job_manifest,
    jobType: undefined,
    podWatchTimeout: configuration.pod_watch_timeout_seconds,
    jobWatchTimeout: configuration.job_watch_timeout_seconds,
    streamOutput: configuration.stream_output,
    flowName: flow.name,
    warnings,
    called: (field) => `the variable "${field}"`,
    explain,
    explainManifest
  } satisfies Definition
})

/** Reads what the pure part asks for until it asks for no more; each is read once, so that this ends. */
const configured = Effect.fnUntraced(function* (run: FlowRun, flow: Flow, given: ConfigurationSource) {
  const preparation = yield* Preparation
  let known: Known = nothingKnown
  let source = given
  for (;;) {
    const step = configure(source, known)
    if (step._tag === "Refused") return yield* refuse(step.problems)
    if (step._tag === "Configured") return step
    // A run that is only planned is on no server.
    if (step.context) {
      source = { ...source, context: (yield* preparation.context(run)) ?? { flow, flow_run: run } }
    }
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

/** The run's own block and variables do not count: agents of 2.20 never read them. */
const fromInfrastructure = Effect.fnUntraced(function* (
  run: FlowRun,
  flow: Flow,
  deployment: Deployment | undefined
) {
  const config = yield* RunsConfig
  const block = yield* infrastructureOf(deployment)
  if (deployment === undefined || block === undefined || block.slug !== infrastructureSlug) {
    return yield* new OtherInfrastructure({ deployment: deployment?.name ?? "none", slug: block?.slug })
  }
  const made = prepareInfrastructure({
    ...surroundings(config),
    block: yield* withReferences(block.data),
    overrides: yield* withReferences(deployment.job_variables),
    run: { id: run.id, name: run.name },
    flow,
    deployment: deploymentOf(deployment)
  })
  if (made._tag === "Refused") return yield* refuse(made.problems)
  const { prepared } = made
  return {
    org: prepared.org,
    gvc: prepared.namespace,
    location: prepared.location,
    config: made.config,
    manifest: made.job,
    jobType: prepared.job_type ?? undefined,
    podWatchTimeout: prepared.pod_watch_timeout_seconds,
    jobWatchTimeout: prepared.job_watch_timeout_seconds,
    streamOutput: prepared.stream_output,
    flowName: flow.name,
    warnings: [],
    called: (field) => `"${field}" of the infrastructure block`,
    explain: (problem) => problem,
    explainManifest: (problem) => problem
  } satisfies Definition
})

/** Type and data of the deployment's infrastructure block. */
const infrastructureOf = Effect.fnUntraced(function* (deployment: Deployment | undefined) {
  const id = deployment?.infrastructure_document_id ?? undefined
  const document = id === undefined ? undefined : yield* (yield* Preparation).document(id)
  return document === undefined ? undefined : { slug: document.block_type?.slug, data: document.data }
})

/** A saved block that an override names instead of its data. The server itself puts in those of the block. */
const withReferences = Effect.fnUntraced(function* (
  data: JsonRecord
): Effect.fn.Return<JsonRecord, RunRefused | ApiError, Preparation> {
  const preparation = yield* Preparation
  const entries = yield* Effect.forEach(Object.entries(data), ([key, value]) =>
    Effect.gen(function* () {
      const reference = isRecord(value) ? valueAt(value, "$ref") : undefined
      const id = isRecord(reference) ? valueAt(reference, "block_document_id") : undefined
      if (typeof id !== "string") return [key, value] as const
      const found = yield* preparation.block({ id })
      if (found !== undefined) return [key, found] as const
      return yield* refuse([
        {
          path: key,
          rule: `block document ${id} does not exist`,
          remedy: "Create it, or correct the reference."
        }
      ])
    })
  )
  return Object.fromEntries(entries)
})

/** Whether an agent of our kind is to run it; in a pool for agents, its deployment's infrastructure tells. */
export const isToRunHere = Effect.fn("runs.isToRunHere")(function* (
  run: FlowRun
): Effect.fn.Return<boolean, ApiError, Preparation> {
  const preparation = yield* Preparation
  if (!isForAgents(yield* preparation.pool)) return true
  if (run.deployment_id == null) return false
  const block = yield* infrastructureOf(yield* preparation.deployment(run.deployment_id))
  return block?.slug === infrastructureSlug
})
