/**
 * The objects of the Prefect REST API, cut down to what an agent reads. 2.20 and 3.x share these shapes.
 *
 * Invariant: unknown keys are ignored and unknown state types stay text, so that a newer server is never undecodable.
 */
import { Schema } from "effect"

const maybe = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const AnyRecord = Schema.Record(Schema.String, Schema.Unknown)

export const StateDetails = Schema.Struct({
  transition_id: maybe(Schema.String),
  scheduled_time: maybe(Schema.String),
  pause_reschedule: maybe(Schema.Boolean),
  deployment_concurrency_lease_id: maybe(Schema.String)
})

/** `type` is SCHEDULED, PENDING, RUNNING, COMPLETED, FAILED, CANCELLED, CRASHED, PAUSED, CANCELLING or something new. */
export const State = Schema.Struct({
  id: maybe(Schema.String),
  type: Schema.String,
  name: maybe(Schema.String),
  message: maybe(Schema.String),
  timestamp: Schema.String,
  state_details: Schema.optionalKey(StateDetails)
})
export type State = typeof State.Type

/** A state of the history, with what the engine stored of its result. */
export const PastState = Schema.Struct({ ...State.fields, data: maybe(Schema.Unknown) })
export type PastState = typeof PastState.Type

export const EmpiricalPolicy = Schema.Record(Schema.String, Schema.Unknown)

/** `state` is null in the answers of the pool's poll; `state_type`, `state_name` and `state_id` are always set. */
export const FlowRun = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  flow_id: Schema.String,
  deployment_id: maybe(Schema.String),
  work_pool_id: maybe(Schema.String),
  work_pool_name: maybe(Schema.String),
  work_queue_id: maybe(Schema.String),
  work_queue_name: maybe(Schema.String),
  infrastructure_document_id: maybe(Schema.String),
  state_id: maybe(Schema.String),
  state_type: maybe(Schema.String),
  state_name: maybe(Schema.String),
  state: maybe(State),
  run_count: Schema.Int,
  expected_start_time: maybe(Schema.String),
  next_scheduled_start_time: maybe(Schema.String),
  start_time: maybe(Schema.String),
  end_time: maybe(Schema.String),
  infrastructure_pid: maybe(Schema.String),
  job_variables: maybe(AnyRecord),
  empirical_policy: maybe(EmpiricalPolicy),
  tags: Schema.Array(Schema.String),
  updated: maybe(Schema.String)
})
export type FlowRun = typeof FlowRun.Type

/** 2.20 sends `infra_overrides`, 3.x `job_variables`; the client gives `job_variables` on both lines. */
export const Deployment = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  flow_id: Schema.String,
  updated: maybe(Schema.String),
  job_variables: AnyRecord,
  infrastructure_document_id: maybe(Schema.String),
  storage_document_id: maybe(Schema.String)
})
export type Deployment = typeof Deployment.Type

export const Flow = Schema.Struct({ id: Schema.String, name: Schema.String })
export type Flow = typeof Flow.Type

/** What job names may name, as `{{ ctx.flow.… }}` and `{{ ctx.flow_run.… }}`. */
export const RunContext = Schema.Struct({ flow: AnyRecord, flow_run: AnyRecord })
export type RunContext = typeof RunContext.Type

export const WorkPool = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  type: Schema.String,
  base_job_template: AnyRecord,
  is_paused: Schema.optionalKey(Schema.Boolean),
  status: maybe(Schema.String)
})
export type WorkPool = typeof WorkPool.Type

export const Worker = Schema.Struct({
  name: Schema.String,
  status: maybe(Schema.String),
  last_heartbeat_time: maybe(Schema.String)
})
export type Worker = typeof Worker.Type

export const BlockDocument = Schema.Struct({
  id: Schema.String,
  name: maybe(Schema.String),
  data: AnyRecord,
  block_type: maybe(Schema.Struct({ slug: Schema.String }))
})
export type BlockDocument = typeof BlockDocument.Type

/** The answer to a proposed state. Only `status` tells who won: losers of a race may get HTTP 201 too. */
export const Orchestration = Schema.Struct({
  state: Schema.NullOr(State),
  status: Schema.Literals(["ACCEPT", "REJECT", "ABORT", "WAIT"]),
  details: Schema.optionalKey(
    Schema.Struct({ reason: maybe(Schema.String), delay_seconds: maybe(Schema.Number) })
  )
})
export type Orchestration = typeof Orchestration.Type
