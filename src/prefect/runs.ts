/**
 * Flow runs: what is due, what they are, and the states that we propose.
 *
 * Invariant: a proposal says `force: false` and carries its transition id, so that the server decides and a repetition is
 * never accepted twice; it is never repeated here, because a late repetition may meet a run that has moved on. Every answer about a run comes with the server's time, because ages are taken from that.
 */
import { DateTime, Duration, Effect, Schema } from "effect"
import { type Api, json, jsonWith, RawRows } from "../http/api.ts"
import type { ApiError } from "../http/errors.ts"
import { type IsUnchanged, keptRows } from "../http/rows.ts"
import { hasLabels, malformedIsMissing, withAllTags } from "./lines.ts"
import { everyPage, pageSize } from "./pages.ts"
import type { Prefect, RunFilter, ServerVersion } from "./prefect.ts"
import { done, get, patch, path, post } from "./requests.ts"
import { FlowRun, Orchestration, PastState } from "./schemas.ts"

type Runs = Pick<
  Prefect["Service"],
  | "scheduledRuns"
  | "readRun"
  | "findRuns"
  | "countRuns"
  | "lastEnded"
  | "history"
  | "propose"
  | "changeRun"
  | "labelRun"
  | "renewLease"
>

/** The run itself carries no pool in this answer; its row does. */
const Scheduled = Schema.Array(
  Schema.Struct({ work_pool_id: FlowRun.fields.work_pool_id, flow_run: FlowRun })
)

const any = (values: ReadonlyArray<string> | undefined) =>
  values === undefined ? undefined : { any_: values }

/** Keys that are `undefined` are left out of the JSON: an empty group is a condition less, not one that nothing meets. */
const asFilter = ({
  alsoNamed,
  dueBefore,
  ids,
  pool,
  queues,
  started,
  stateNames,
  stateTypes,
  tags
}: RunFilter) => ({
  flow_runs: {
    id: any(ids),
    tags: tags === undefined ? undefined : withAllTags(tags),
    start_time: started === undefined ? undefined : { is_null_: false },
    next_scheduled_start_time:
      dueBefore === undefined ? undefined : { before_: DateTime.formatIso(DateTime.makeUnsafe(dueBefore)) },
    state:
      stateTypes === undefined && stateNames === undefined
        ? undefined
        : {
            operator: alsoNamed === undefined ? undefined : "or_",
            type: any(stateTypes),
            name: any(alsoNamed ?? stateNames)
          }
  },
  work_pools: pool === undefined ? undefined : { name: any([pool]) },
  work_pool_queues: queues === undefined ? undefined : { name: any(queues) }
})

/** Whatever changes a run changes one of these: `updated` moves with every column of its row, and a state is another row. */
const isUnchanged: IsUnchanged<FlowRun> = (row, run) =>
  typeof row["updated"] === "string" &&
  row["updated"] === run.updated &&
  row["state_id"] === run.state_id &&
  row["infrastructure_pid"] === run.infrastructure_pid &&
  String(row["tags"]) === String(run.tags)

/** A proposal that waits longer for its turn is not sent: the read that it rests on would be too old. */
const proposalPatience = Duration.seconds(1)

export const runs = (
  { once, repeatable }: Api,
  version: Effect.Effect<ServerVersion, ApiError>,
  found = keptRows(FlowRun, isUnchanged)
): Runs => ({
  scheduledRuns: Effect.fn("Prefect.scheduledRuns")(function* ({ pool, queues, before, limit }) {
    const { value, at } = yield* repeatable(
      post(path`/work_pools/${pool}/get_scheduled_flow_runs`, {
        work_queue_names: queues,
        // Without it the runs of next week come too.
        scheduled_before: DateTime.formatIso(DateTime.makeUnsafe(before)),
        limit
      })
    ).pipe(Effect.flatMap(json(Scheduled)))
    return {
      value: value.map(({ flow_run, work_pool_id }) =>
        work_pool_id === undefined ? flow_run : { ...flow_run, work_pool_id }
      ),
      at
    }
  }),

  readRun: Effect.fn("Prefect.readRun")(function* (id) {
    return yield* malformedIsMissing(repeatable(get(path`/flow_runs/${id}`))).pipe(
      Effect.flatMap(json(FlowRun))
    )
  }),

  findRuns: Effect.fn("Prefect.findRuns")(function* (filter) {
    const conditions = asFilter(filter)
    return yield* everyPage(
      (page) =>
        repeatable(post("/flow_runs/filter", { ...conditions, ...page, sort: "ID_DESC" })).pipe(
          Effect.flatMap(jsonWith(RawRows, found))
        ),
      (run) => run.id
    )
  }),

  countRuns: Effect.fn("Prefect.countRuns")(function* (filter) {
    const { value } = yield* repeatable(post("/flow_runs/count", asFilter(filter))).pipe(
      Effect.flatMap(json(Schema.Int))
    )
    return value
  }),

  lastEnded: Effect.fn("Prefect.lastEnded")(function* (pool) {
    const conditions = asFilter({ pool, stateTypes: ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"] })
    const { value } = yield* repeatable(
      post("/flow_runs/filter", { ...conditions, limit: pageSize, sort: "END_TIME_DESC" })
    ).pipe(Effect.flatMap(json(Schema.Array(FlowRun))))
    return value
  }),

  history: Effect.fn("Prefect.history")(function* (runId) {
    const { value } = yield* malformedIsMissing(
      repeatable(get(path`/flow_run_states/?flow_run_id=${runId}`))
    ).pipe(Effect.flatMap(json(Schema.Array(PastState))))
    return value
  }),

  propose: Effect.fn("Prefect.propose")(function* (runId, proposal) {
    const { data, message, name, scheduledTime, transitionId, type } = proposal
    const { value } = yield* once(
      post(path`/flow_runs/${runId}/set_state`, {
        force: false,
        state: {
          type,
          name,
          message,
          data,
          state_details: { transition_id: transitionId, scheduled_time: scheduledTime }
        }
      }),
      { patience: proposalPatience }
    ).pipe(Effect.flatMap(json(Orchestration)))
    return value
  }),

  changeRun: Effect.fn("Prefect.changeRun")(function* (runId, { infrastructurePid, tags, empiricalPolicy }) {
    yield* done(
      repeatable(
        patch(path`/flow_runs/${runId}`, {
          infrastructure_pid: infrastructurePid,
          tags,
          empirical_policy: empiricalPolicy
        })
      )
    )
  }),

  labelRun: Effect.fn("Prefect.labelRun")(function* (runId, labels) {
    if (!hasLabels(yield* version)) return
    yield* done(repeatable(patch(path`/flow_runs/${runId}/labels`, labels)))
  }),

  renewLease: Effect.fn("Prefect.renewLease")(function* (leaseId, seconds) {
    yield* done(
      repeatable(
        post(path`/v2/concurrency_limits/leases/${leaseId}/renew`, {
          // The server refuses anything outside of these.
          lease_duration: Math.min(86_400, Math.max(60, Math.ceil(seconds)))
        })
      )
    )
  })
})
