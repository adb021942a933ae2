/**
 * The Prefect REST API as an agent uses it, on servers 2.20 and 3.x. It translates, and never decides.
 *
 * Invariant: no call of this service carries `force`, and every text that leaves is clean (no NUL, no unpaired
 * surrogate), because either makes the server answer 5xx for ever.
 */
import { Context, type Effect, Layer, type Option } from "effect"
import type { HttpClient } from "effect/http"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import type { Access } from "./access.ts"
import { makeClient } from "./client.ts"
import type {
  BlockDocument,
  Deployment,
  Flow,
  FlowRun,
  Orchestration,
  PastState,
  RunContext,
  Worker,
  WorkPool
} from "./schemas.ts"

/** `line` decides semantics; `text` is the package version, such as "3.8.8". */
export interface ServerVersion {
  readonly line: "2" | "3"
  readonly text: string
}

/** A state to propose. `transitionId` makes the call safe to repeat: the same id is never accepted twice. */
export interface Proposal {
  readonly type: "SCHEDULED" | "PENDING" | "COMPLETED" | "FAILED" | "CRASHED" | "CANCELLED" | "CANCELLING"
  readonly name?: string
  readonly message?: string
  readonly transitionId: string
  /** As it was read from a state of the same run: what the engine knows of its result. */
  readonly data?: unknown
  /** ISO time; for SCHEDULED only. */
  readonly scheduledTime?: string
}

/** Conditions are ANDed; lists inside one are ORed. */
export interface RunFilter {
  readonly ids?: ReadonlyArray<string>
  readonly stateTypes?: ReadonlyArray<string>
  readonly stateNames?: ReadonlyArray<string>
  /** Beside those of the types, runs in states of these names. */
  readonly alsoNamed?: ReadonlyArray<string>
  /** All of them; 2.20 knows no filter on any of them. */
  readonly tags?: ReadonlyArray<string>
  readonly pool?: string
  readonly queues?: ReadonlyArray<string>
  /** Only runs whose engine has run once. */
  readonly started?: true
  /** Only runs whose next scheduled time is then or before, in ms since 1970. */
  readonly dueBefore?: number
}

/** One line for a run's log. `level` is Python's number: 10 debug, 20 info, 30 warning, 40 error. */
export interface LogRecord {
  readonly runId: string
  readonly name: string
  readonly level: number
  readonly message: string
  /** Milliseconds since 1970. */
  readonly at: number
}

/** What `PATCH /flow_runs/{id}` may change; a key left out stays as it is. */
export interface RunChange {
  readonly infrastructurePid?: string
  readonly tags?: ReadonlyArray<string>
  readonly empiricalPolicy?: Readonly<Record<string, unknown>>
}

/** What the client allows itself: requests per second (0 is no limit), in flight, and tries of one that may be repeated. */
export interface Limits {
  readonly ratePerSecond: number
  readonly concurrency: number
  /** Of one call, where the server answers but cannot serve now. */
  readonly tries?: number
}

export class Prefect extends Context.Service<
  Prefect,
  {
    /** Base URL as the user gave it, without credentials: for messages. */
    readonly url: string
    /** Read once per process, and again after an outage. */
    readonly version: Effect.Effect<ServerVersion, ApiError>

    readWorkPool(name: string): Effect.Effect<WorkPool, ApiError>
    /** 409 is `Conflict`; 403 (a name starting with "prefect") is `Forbidden`. */
    createWorkPool(pool: {
      readonly name: string
      readonly type: string
      readonly description?: string
      readonly baseJobTemplate: Readonly<Record<string, unknown>>
    }): Effect.Effect<WorkPool, ApiError>
    updateWorkPool(
      name: string,
      change: { readonly baseJobTemplate: Readonly<Record<string, unknown>> }
    ): Effect.Effect<void, ApiError>
    /** Creates the queue when it is missing; true when it did. */
    ensureQueue(pool: string, queue: string): Effect.Effect<boolean, ApiError>
    /** Names of all queues of the pool, every page. */
    queueNames(pool: string): Effect.Effect<ReadonlyArray<string>, ApiError>
    /** Names of those that people paused: nothing of them is offered. */
    pausedQueues(pool: string): Effect.Effect<ReadonlyArray<string>, ApiError>
    heartbeat(pool: string, worker: string, intervalSeconds: number): Effect.Effect<void, ApiError>
    deleteWorker(pool: string, worker: string): Effect.Effect<void, ApiError>
    /** All workers of the pool, every page. */
    workers(pool: string): Effect.Effect<ReadonlyArray<Worker>, ApiError>

    /** Due runs in the server's order, at most `limit` (1 to 200). No queues means all. `before` is in ms since 1970. */
    scheduledRuns(ask: {
      readonly pool: string
      readonly queues: ReadonlyArray<string>
      readonly before: number
      readonly limit: number
    }): Effect.Effect<Seen<ReadonlyArray<FlowRun>>, ApiError>
    readRun(id: string): Effect.Effect<Seen<FlowRun>, ApiError>
    /** Every page of 200, ordered by id so that pages do not overlap. Absence from the answer proves nothing. */
    findRuns(filter: RunFilter): Effect.Effect<Seen<ReadonlyArray<FlowRun>>, ApiError>
    countRuns(filter: RunFilter): Effect.Effect<number, ApiError>
    /** Runs of the pool that are over, the last ones first, at most 200. */
    lastEnded(pool: string): Effect.Effect<ReadonlyArray<FlowRun>, ApiError>
    /** All states of a run, oldest first, with their messages and transition ids. */
    history(runId: string): Effect.Effect<ReadonlyArray<PastState>, ApiError>
    /**
     * Proposes a state, once: the caller reads the run before it tries again with the same transition id. A deleted run
     * is `NotFound`.
     */
    propose(runId: string, proposal: Proposal): Effect.Effect<Orchestration, ApiError>
    changeRun(runId: string, change: RunChange): Effect.Effect<void, ApiError>
    /** Worker labels on a run; does nothing on 2.20, which has none. */
    labelRun(runId: string, labels: Readonly<Record<string, string>>): Effect.Effect<void, ApiError>
    /** Renews a deployment's concurrency lease (3.x); `NotFound` or `Refused` (410) when it is gone. */
    renewLease(leaseId: string, seconds: number): Effect.Effect<void, ApiError>

    readDeployment(id: string): Effect.Effect<Deployment, ApiError>
    readFlow(id: string): Effect.Effect<Flow, ApiError>
    /** With secrets in clear: never log what this gives. */
    readBlock(id: string): Effect.Effect<BlockDocument, ApiError>
    readBlockByName(typeSlug: string, name: string): Effect.Effect<BlockDocument, ApiError>
    /** All that the server has of a run and its flow, parameters and all: never keep or log what this gives. */
    readContext(run: { readonly id: string; readonly flow_id: string }): Effect.Effect<RunContext, ApiError>
    /** None when the variable does not exist. */
    readVariable(name: string): Effect.Effect<Option.Option<unknown>, ApiError>

    /** In batches of at most 500 lines; the caller keeps the order. */
    writeLogs(records: ReadonlyArray<LogRecord>): Effect.Effect<void, ApiError>
    /** Worker events; does nothing where the server has them switched off. */
    emitEvents(events: ReadonlyArray<Readonly<Record<string, unknown>>>): Effect.Effect<void, ApiError>
  }
>()("agent/prefect/Prefect") {
  /** The real client: one per process, because CSRF tokens and limits are per process. Sends nothing until it is used. */
  static readonly layer = (
    access: Access,
    limits: Partial<Limits> = {}
  ): Layer.Layer<Prefect, never, HttpClient.HttpClient> => Layer.effect(Prefect, makeClient(access, limits))
}
