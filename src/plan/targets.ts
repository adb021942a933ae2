/**
 * From what a person names to what is planned: a run, a deployment, or all deployments of a pool.
 *
 * Invariant: one that cannot be planned is an entry of the answer, and does not keep the others from it.
 */
import { Effect, Layer, Schema } from "effect"
import type { HttpClient } from "effect/http"
import type { ControlPlane } from "../cpln/control-plane.ts"
import type { ApiError } from "../http/errors.ts"
import { ofTheWhole, type Problem } from "../job/problem.ts"
import { type DeploymentRow, Inspection } from "../prefect/inspection.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun, WorkPool } from "../prefect/schemas.ts"
import { RunsConfig } from "../runs/config.ts"
import { CurrentPool, isForAgents } from "../runs/pool.ts"
import { Preparation } from "../runs/prepare/preparation.ts"
import { failed, type Plan, planRun, runOf } from "./plan.ts"

/** There is nothing of this name, or it is in no pool. */
export class NoSuchTarget extends Schema.TaggedError<NoSuchTarget>()("NoSuchTarget", {
  reason: Schema.String
}) {
  override get message() {
    return this.reason
  }
}

/** All of an agent's configuration but the pool. */
export type AgentConfig = Omit<RunsConfig["Service"], "pool" | "poolId">

type Environment = Prefect | Inspection | ControlPlane | HttpClient.HttpClient

/** `name` is an id, or `flow/deployment`. `pool` stands for the one that it is in. */
export const planNamed = Effect.fn("plan.named")(function* (
  name: string,
  pool: string | undefined,
  config: AgentConfig
): Effect.fn.Return<Plan, NoSuchTarget | ApiError, Environment> {
  const prefect = yield* Prefect
  const slash = name.indexOf("/")
  if (slash > 0) return yield* planDeployment(yield* named(name, slash), pool, config)
  const run = yield* prefect.readRun(name).pipe(
    Effect.map(({ value }) => value),
    Effect.catchTag("NotFound", () => Effect.succeed(undefined))
  )
  if (run !== undefined) {
    const own = pool ?? run.work_pool_name ?? undefined
    return own === undefined
      ? yield* new NoSuchTarget({
          reason: `Flow run ${run.name} (${name}) is in no work pool, so that no agent runs it.`
        })
      : yield* inPool(own, config, planOfRun(run, `flow run ${run.name} (${run.id})`))
  }
  const inspection = yield* Inspection
  const deployment = yield* inspection.deployment(name).pipe(
    Effect.catchTag("NotFound", () =>
      Effect.fail(
        new NoSuchTarget({
          reason: `There is no flow run and no deployment ${name} on ${prefect.url}, and no file of that name here.`
        })
      )
    )
  )
  return yield* planDeployment(deployment, pool, config)
})

const named = Effect.fnUntraced(function* (name: string, slash: number) {
  const { url } = yield* Prefect
  const inspection = yield* Inspection
  return yield* inspection.deploymentByName(name.slice(0, slash), name.slice(slash + 1)).pipe(
    Effect.catchTag("NotFound", () =>
      Effect.fail(
        new NoSuchTarget({
          reason: `There is no deployment ${name} on ${url}, and no file of that name here.`
        })
      )
    )
  )
})

const planDeployment = Effect.fnUntraced(function* (
  deployment: DeploymentRow,
  pool: string | undefined,
  config: AgentConfig
) {
  const own = pool ?? deployment.work_pool_name ?? undefined
  return own === undefined
    ? yield* new NoSuchTarget({
        reason: `Deployment ${deployment.name} is in no work pool, so that no agent runs it. With --pool it is planned as if it were in that one.`
      })
    : yield* inPool(own, config, planOfDeployment(deployment))
})

/** Every deployment of the pool, by name. */
export const planAll = Effect.fn("plan.all")(function* (
  pool: string,
  config: AgentConfig
): Effect.fn.Return<ReadonlyArray<Plan>, NoSuchTarget | ApiError, Environment> {
  const inspection = yield* Inspection
  const rows = yield* inspection.deploymentsOf(pool)
  const plans = yield* inPool(pool, config, Effect.forEach(rows, planOfDeployment, { concurrency: 4 }))
  return [...plans].sort((a, b) => (a.target < b.target ? -1 : 1))
})

const planOfDeployment = Effect.fnUntraced(function* (deployment: DeploymentRow) {
  const flow = yield* Preparation.use((preparation) => preparation.flow(deployment.flow_id)).pipe(
    Effect.orElseSucceed(() => undefined)
  )
  const target = `deployment ${flow?.name ?? "?"}/${deployment.name} (${deployment.id})`
  return yield* planOfRun(runOf(deployment), target)
})

/** A template that nobody has written yet is written by the first agent of the pool. */
const noTemplate: Problem = {
  path: "base_job_template",
  rule: "the pool has no template yet: the first agent that serves it writes one",
  remedy: "Start it, or: agent pool create."
}

const planOfRun = Effect.fnUntraced(function* (run: FlowRun, target: string) {
  const pool = yield* Preparation.use((preparation) => preparation.pool)
  if (isForAgents(pool)) return yield* planRun(run, target)
  if (pool.type !== "cpln") {
    return failed(target, [
      ofTheWhole(
        `Work pool "${pool.name}" has the type "${pool.type}"; this agent serves pools of type "cpln".`
      )
    ])
  }
  return Object.keys(pool.base_job_template).length === 0
    ? failed(target, [noTemplate])
    : yield* planRun(run, target)
})

/** As an agent of that pool would see it. */
const inPool = <A, E>(
  name: string,
  config: AgentConfig,
  work: Effect.Effect<A, E, Preparation | RunsConfig | ControlPlane | HttpClient.HttpClient>
): Effect.Effect<A, E | NoSuchTarget | ApiError, Prefect | ControlPlane | HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const prefect = yield* Prefect
    const pool = yield* prefect
      .readWorkPool(name)
      .pipe(
        Effect.catchTag("NotFound", () =>
          Effect.fail(new NoSuchTarget({ reason: `Work pool "${name}" does not exist on ${prefect.url}.` }))
        )
      )
    return yield* Effect.provide(work, layersOf(pool, config))
  })

const layersOf = (pool: WorkPool, config: AgentConfig) =>
  Preparation.layer.pipe(
    Layer.provide(CurrentPool.layer(pool)),
    Layer.merge(Layer.succeed(RunsConfig, { ...config, pool: pool.name, poolId: pool.id }))
  )
