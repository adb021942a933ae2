/**
 * What the agent remembers of each run between looks. All of it can be lost: a restarted agent rebuilds what matters
 * from the two services, and merely looks more often before it concludes.
 *
 * Invariant: a run is on the board only while it is open or its job lives, so the board is as large as the live work; and
 * what was counted for one attempt never judges another.
 */
import { Context, Layer } from "effect"
import type { Place } from "../../cpln/place.ts"
import type { Command, JobExecution } from "../../cpln/schemas.ts"
import type { About, Area } from "../../observe/say.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { History } from "./history.ts"
import type { Located } from "../decide/normalise.ts"

/** Whether the newest claim's job existed; "perhaps" where all that speaks for it is a PID that may be older than the claim. */
export type Existed = "surely" | "perhaps" | "no"

/** The rows of a run that nothing happens to, as they were at its last look, and until when, by `steadyMillis`, time changes nothing. */
export interface Quiet {
  readonly run: FlowRun
  readonly command: Command
  readonly until: number
}

/** Counted for one attempt. Times are of `steadyMillis`, for pacing looks only, never for verdicts on age. */
export interface AttemptMemory {
  /** Transition id and PID that it was counted for. */
  readonly transitionId: string | undefined
  pid: string | undefined
  /** The job that the last look found: what was noted of another tells nothing of it. */
  counts: string | undefined
  /** Looks that got 404 for a job that was there, counted at the monitor interval; `gone` once nothing else shows it. */
  notFound: { readonly looks: number; readonly lastAt: number; readonly gone: boolean }
  /** Searches that found nothing: the first and the last, and what the last one told of the PID and its job. */
  absent:
    | {
        readonly firstAt: number
        readonly lastAt: number
        readonly foreignPid: boolean
        readonly existed: Existed
      }
    | undefined
  failed: { readonly looks: number; readonly lastAt: number }
  mainEndedSince: number | undefined
  /**
   * A command that became final, with its execution: it need not be read again while the run stays in that state. `readAt`
   * is local.
   */
  final:
    | {
        readonly found: Located
        readonly execution: JobExecution | undefined
        readonly readAt: number
        readonly stateId: string | null | undefined
      }
    | undefined
  /** The run's history as of a state of it. */
  history: { readonly stateId: string | null | undefined; readonly of: History } | undefined
  /** When its concurrency lease was last renewed here. */
  leaseRenewedAt: number | undefined
  /** A job without an attempt was seen, of an agent whose runs are ours. */
  adopted: boolean
  /** Since when a hand-back is wanted. */
  handBackSince: number | undefined
  /** Why it could not start, in the platform's words, kept for the crash that follows the stop. */
  startTrouble: string | undefined
}

/** A stop of ours: of what, and how that is spoken of. */
export interface StopMemory {
  /** When it was first and last wanted. */
  readonly firstAt: number
  readonly wantedAt: number
  /** When it was last sent, and when the platform last took or refused it. */
  readonly sentAt: number | undefined
  readonly answeredAt: number | undefined
  /** When it was last said aloud that it comes to nothing. */
  readonly complainedAt: number | undefined
  readonly place: Place
  readonly area: Area
  readonly about: About
}

export interface RunMemory {
  place: Place | undefined
  /** The last jobs that counted while they lived, in the order in which they were first seen. */
  readonly counted: Array<Located>
  flowName: string | undefined
  /** `job_watch_timeout_seconds` in ms; null when the job has none, undefined when it is not known yet. */
  deadline: number | null | undefined
  streamOutput: boolean | undefined
  attempt: AttemptMemory
  readonly stops: Map<string, StopMemory>
  /** Jobs that were not stopped though the run's state asked for it, and of which state that was found. */
  readonly spared: Map<string, { readonly stateId: string | null | undefined; readonly at: number }>
  /** Ids of the run's last states, the newest last, as far as they were seen. */
  readonly states: Array<string>
  /** The server's clock, in ms, of the last answer that showed the newest of them. */
  newestAt: number
  /** The latest time, in ms since 1970, that a state of the run was seen to bear. */
  youngest: number
  /** The state that may have come too late, and the one of which the history told whether it had. */
  suspect: string | undefined
  cleared: string | undefined
  /** When the run was last seen to be in an earlier state again, and since when it has been in one. */
  flippedAt: number | undefined
  backSince: number | undefined
  /** Reads of a deleted run that got 404: the first of at least two. */
  deletedSince: number | undefined
  readonly said: Set<string>
  quiet: Quiet | undefined
}

export class Board extends Context.Service<
  Board,
  {
    /** The memory of this run, made when it is new. */
    readonly of: (runId: string) => RunMemory
    readonly forget: (runId: string) => void
    readonly size: () => number
    /** Runs with a stop of ours that has not been seen to its end. */
    readonly stopping: () => ReadonlyArray<string>
    /** Forgets all runs but these. */
    readonly retain: (runIds: ReadonlySet<string>) => void
    /** True for the one caller that may work on the run until it calls `leave`. */
    readonly enter: (runId: string) => boolean
    readonly leave: (runId: string) => void
  }
>()("agent/runs/Board") {
  static readonly layer = Layer.sync(Board, () => {
    const memories = new Map<string, RunMemory>()
    const busy = new Set<string>()
    return Board.of({
      of: (runId) => {
        const known = memories.get(runId)
        if (known !== undefined) return known
        const fresh = blankRun()
        memories.set(runId, fresh)
        return fresh
      },
      forget: (runId) => void memories.delete(runId),
      size: () => memories.size,
      stopping: () => [...memories].filter(([, each]) => each.stops.size > 0).map(([id]) => id),
      retain: (runIds) => {
        for (const id of memories.keys()) if (!runIds.has(id) && !busy.has(id)) memories.delete(id)
      },
      enter: (runId) => !busy.has(runId) && busy.add(runId).has(runId),
      leave: (runId) => void busy.delete(runId)
    })
  })
}

export const blankRun = (): RunMemory => ({
  place: undefined,
  counted: [],
  flowName: undefined,
  deadline: undefined,
  streamOutput: undefined,
  attempt: blankAttempt(undefined, undefined),
  stops: new Map(),
  spared: new Map(),
  states: [],
  newestAt: 0,
  youngest: 0,
  suspect: undefined,
  cleared: undefined,
  flippedAt: undefined,
  backSince: undefined,
  deletedSince: undefined,
  said: new Set(),
  quiet: undefined
})

const blankAttempt = (transitionId: string | undefined, pid: string | undefined): AttemptMemory => ({
  transitionId,
  pid,
  counts: undefined,
  notFound: { looks: 0, lastAt: 0, gone: false },
  absent: undefined,
  failed: { looks: 0, lastAt: 0 },
  mainEndedSince: undefined,
  final: undefined,
  history: undefined,
  leaseRenewedAt: undefined,
  adopted: false,
  handBackSince: undefined,
  startTrouble: undefined
})

/** Begins anew when the run shows another attempt: PENDING with another transition id, or another PID than before. */
export const attemptMemory = (memory: RunMemory, run: FlowRun): AttemptMemory => {
  const transitionId =
    run.state_type === "PENDING" ? (run.state?.state_details?.transition_id ?? undefined) : undefined
  const pid = run.infrastructure_pid ?? undefined
  const before = memory.attempt
  const claimedAnew = transitionId !== undefined && transitionId !== before.transitionId
  const movedOn = before.pid !== undefined && pid !== undefined && pid !== before.pid
  if (claimedAnew || movedOn) memory.attempt = blankAttempt(transitionId ?? before.transitionId, pid)
  else before.pid = pid
  return memory.attempt
}
