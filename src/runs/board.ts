/**
 * What the agent remembers of each run between looks. All of it can be lost: a restarted agent rebuilds what matters
 * from the two services, and merely looks more often before it concludes.
 *
 * Invariant: a run is on the board only while it is open or its job lives, so the board is as large as the live work.
 */
import { Context, Layer } from "effect"
import type { Command, JobExecution } from "../cpln/schemas.ts"
import type { Place } from "../cpln/place.ts"

/** Times are milliseconds since 1970 by the local clock, and used for pacing looks only, never for verdicts on age. */
export interface RunMemory {
  place: Place | undefined
  flowName: string | undefined
  /** `job_watch_timeout_seconds` in ms; null when the job has none, undefined when it is not known yet. */
  deadline: number | null | undefined
  streamOutput: boolean | undefined
  /** Looks that got 404 for a command that is known, counted at the monitor interval. */
  notFound: { looks: number; lastAt: number }
  /** Queries by tag that found nothing: the first and the last. */
  absent: { firstAt: number; lastAt: number } | undefined
  failed: { looks: number; lastAt: number }
  mainEndedSince: number | undefined
  /** Commands that we asked to stop, and when first and last. */
  readonly stops: Map<string, { firstAt: number; lastAt: number }>
  /** A command that became final, with its execution: it need not be read again. */
  final: { command: Command; execution: JobExecution | undefined } | undefined
  /** Reads of a deleted run that got 404: the first of at least two. */
  deletedSince: number | undefined
  /** When its concurrency lease was last renewed here. */
  leaseRenewedAt: number | undefined
  readonly said: Set<string>
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
        const fresh = blank()
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

const blank = (): RunMemory => ({
  place: undefined,
  flowName: undefined,
  deadline: undefined,
  streamOutput: undefined,
  notFound: { looks: 0, lastAt: 0 },
  absent: undefined,
  failed: { looks: 0, lastAt: 0 },
  mainEndedSince: undefined,
  stops: new Map(),
  final: undefined,
  deletedSince: undefined,
  leaseRenewedAt: undefined,
  said: new Set()
})
