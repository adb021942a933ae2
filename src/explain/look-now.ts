/**
 * One look at a run from outside: its states, its jobs, and what an agent that saw it for the first time would decide.
 *
 * Invariant: nothing is written on either side, and nothing is concluded from one look that the table would not conclude.
 */
import { Effect, Layer, Logger, Schema } from "effect"
import type { HttpClient } from "effect/http"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { at as reachedAt } from "../cpln/place.ts"
import type { JobExecution } from "../cpln/schemas.ts"
import type { ApiError } from "../http/errors.ts"
import type { AgentConfig } from "../plan/targets.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun, PastState, WorkPool } from "../prefect/schemas.ts"
import { blankRun } from "../runs/look/board.ts"
import { RunsConfig } from "../runs/config.ts"
import { commandsOfRun } from "../runs/look/earlier.ts"
import { executionsOf, RecentExecutions } from "../runs/workloads/executions.ts"
import { historyOf, placesOf } from "../runs/look/history.ts"
import { type Judgement, judge } from "../runs/reconcile/judge.ts"
import { look } from "../runs/look/look.ts"
import { isFinal, type Located } from "../runs/decide/normalise.ts"
import { isKnownState } from "../runs/decide/phase.ts"
import { Places } from "../runs/places.ts"
import { Terms } from "../runs/prepare/terms.ts"
import { CurrentPool, isForAgents } from "../runs/pool.ts"
import { Preparation } from "../runs/prepare/preparation.ts"

export class NoSuchRun extends Schema.TaggedError<NoSuchRun>()("NoSuchRun", {
  id: Schema.String,
  url: Schema.String
}) {
  override get message() {
    return `There is no flow run ${this.id} on ${this.url}: it was deleted, or is on another server.`
  }
}

export interface Job extends Located {
  readonly execution: JobExecution | undefined
}

export interface Sight {
  readonly run: FlowRun
  readonly flow: string | undefined
  /** Undefined for a run in no pool, or in one that was deleted. */
  readonly pool: WorkPool | undefined
  /** Oldest first. */
  readonly states: ReadonlyArray<PastState>
  readonly jobs: ReadonlyArray<Job>
  /** Where jobs of it may be that cannot be seen, each in words. */
  readonly hidden: ReadonlyArray<string>
  /** Undefined where an agent of this kind would not judge it at all. */
  readonly judgement: Judgement | undefined
}

type Environment = Prefect | ControlPlane | HttpClient.HttpClient

export const lookNow = Effect.fn("explain.lookNow")(function* (
  runId: string,
  config: AgentConfig
): Effect.fn.Return<Sight, NoSuchRun | ApiError, Environment> {
  const prefect = yield* Prefect
  const seen = yield* prefect
    .readRun(runId)
    .pipe(Effect.catchTag("NotFound", () => Effect.fail(new NoSuchRun({ id: runId, url: prefect.url }))))
  const run = seen.value
  const states = yield* prefect.history(run.id)
  const flow = yield* prefect.readFlow(run.flow_id).pipe(
    Effect.map(({ name }) => name),
    Effect.catchTag("NotFound", () => Effect.succeed(undefined))
  )
  const name = run.work_pool_name ?? undefined
  const pool =
    name === undefined
      ? undefined
      : yield* prefect.readWorkPool(name).pipe(Effect.catchTag("NotFound", () => Effect.succeed(undefined)))
  if (pool === undefined || !(pool.type === "cpln" || isForAgents(pool)) || !isKnownState(run)) {
    return { run, flow, pool, states, jobs: [], hidden: [], judgement: undefined }
  }
  return yield* Effect.gen(function* () {
    const history = historyOf(states)
    const { places, unreachable } = yield* placesOf(run, history)
    const found = yield* Effect.forEach(places, (place) =>
      Effect.all([commandsOfRun(run.id, place), executionsOf(place)]).pipe(
        Effect.map(([commands, executions]) => ({
          jobs: commands.map((located): Job => {
            const name = `command-${located.command.id}`
            return {
              ...located,
              execution: executions.find(({ execution }) => execution.name === name)?.execution
            }
          }),
          hidden: [] as ReadonlyArray<string>
        })),
        Effect.catch((error) => Effect.succeed({ jobs: [] as ReadonlyArray<Job>, hidden: [error.message] })),
        reachedAt(place.access)
      )
    )
    const jobs = found.flatMap((each) => each.jobs)
    const bulk = jobs.filter(({ command }) => !isFinal(command))
    const memory = blankRun()
    const looked = yield* look(seen, memory, bulk, { runId: run.id })
    const judgement = yield* judge(seen, looked, memory)
    return {
      run,
      flow,
      pool,
      states,
      jobs,
      hidden: [
        ...unreachable.map((place) => `there is no credential here for ${place}`),
        ...found.flatMap((each) => each.hidden)
      ],
      judgement
    }
  }).pipe(
    Effect.provide(
      Preparation.layer.pipe(
        Layer.provide(CurrentPool.layer(pool)),
        Layer.merge(Places.layer),
        Layer.merge(RecentExecutions.layer),
        Layer.merge(Terms.layer),
        Layer.merge(Layer.succeed(RunsConfig, { ...config, pool: pool.name, poolId: pool.id }))
      )
    ),
    // What an agent would say of it has no place in an account.
    Effect.provide(Logger.layer([]))
  )
})
