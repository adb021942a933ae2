/**
 * What it proves that no job of a run was found, by the looks and searches that found none so far.
 *
 * Invariant: absence is counted look by look, and only for a job that surely was there; a verdict needs several, at a
 * distance from each other.
 */
import { Effect } from "effect"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import type { ApiError } from "../../http/errors.ts"
import type { Seen } from "../../http/seen.ts"
import { infrastructurePid, type InfrastructurePid } from "../../job/infrastructure-pid.ts"
import { type About, say } from "../../observe/say.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { AttemptMemory, Existed, RunMemory } from "./board.ts"
import { RunsConfig } from "../config.ts"
import { executionOf, isOver } from "../workloads/executions.ts"
import { attemptIn, type History, newestRound } from "./history.ts"
import { isFinal, type Located, oldestFirst, pidOf } from "../decide/normalise.ts"
import { placeFromText, type Places } from "../places.ts"

export interface Absent {
  readonly _tag: "Absent"
  readonly gone: boolean
  readonly provenAbsent: boolean
  readonly whose: "ours" | "nobody" | "other"
  readonly strays: ReadonlyArray<Located>
}

/** 404 counts as gone after this many looks, as the manual of the Python agent says. */
export const looksUntilGone = 5
/** The two searches that prove absence are at least this far apart, in ms. */
const apart = 30_000

type Environment = ControlPlane | Places | RunsConfig

/** What a look that found nothing was after. */
export interface Missed {
  /** The job that is not there, as far as it is known. */
  readonly pid: InfrastructurePid | undefined
  readonly existed: Existed
  /** The run's PID names a job that is surely another run's, and says nothing of who has this one. */
  readonly foreign: boolean
}

/**
 * Counts a look that found nothing, where it was one, and says what that proves by now.
 */
export const absence = Effect.fnUntraced(function* (
  { at: seenAt, value: run }: Seen<FlowRun>,
  mem: AttemptMemory,
  history: History,
  now: number,
  missed: Missed | undefined,
  strays: ReadonlyArray<Located>,
  about: About
): Effect.fn.Return<Absent, ApiError, Environment> {
  const { launchDeadline } = yield* RunsConfig
  if (missed !== undefined) {
    const { existed, foreign } = missed
    mem.absent = { firstAt: mem.absent?.firstAt ?? now, lastAt: now, foreignPid: foreign, existed }
  }
  const whose =
    history.claims.length > 0 || mem.adopted
      ? "ours"
      : (run.infrastructure_pid ?? undefined) === undefined || mem.absent?.foreignPid === true
        ? "nobody"
        : "other"
  if (missed !== undefined && (mem.adopted || missed.existed !== "no"))
    yield* countNotFound(mem, now, missed.pid, about)
  const claimedAt = history.claims.at(-1)?.at
  // What another kind of agent claimed is never handed back.
  const old = claimedAt === undefined ? run.state_type !== "PENDING" : seenAt - claimedAt > launchDeadline
  const searched = mem.absent !== undefined && mem.absent.lastAt - mem.absent.firstAt >= apart
  // What was started is never called unstarted: as for any job, only looks at the monitor interval tell that it is gone. What
  // only perhaps was needs those looks too.
  const existed = run.state_type === "PENDING" ? (mem.absent?.existed ?? "no") : "no"
  const { gone } = mem.notFound
  const provenAbsent = old && searched && (existed === "no" || (existed === "perhaps" && gone))
  return { _tag: "Absent", gone: gone && existed !== "perhaps", provenAbsent, whose, strays }
})

/**
 * Whether a job of the newest claim existed, when none of it is found. That is sure once the run left PENDING; before that
 * its PID tells it, when the command that it names is not known to be another attempt's. `named` is what is found there.
 */
export const existedBy = (
  run: FlowRun,
  history: History,
  pid: InfrastructurePid | undefined,
  named: Located | undefined
): Existed => {
  const newest = newestRound(history)
  if (newest.length === 0) return "no"
  if (run.state_type !== "PENDING") return "surely"
  if (pid === undefined || named !== undefined) return "no"
  const isAlone = newest.length === history.claims.length
  return isAlone || newest.some(({ adopts }) => adopts === pid.commandId) ? "surely" : "perhaps"
}

export const isSame =
  (one: Located) =>
  ({ command }: Located): boolean =>
    command.id === one.command.id

/**
 * The job that counted, when it is not there any more and all that is left of its attempt is over: doubles, which were
 * stopped and tell nothing of the run. It is the oldest that was seen alive here, else the one that the PID names, when
 * that can be of no other attempt.
 */
export const vanishedBeside = (
  left: Located | undefined,
  all: ReadonlyArray<Located>,
  pid: InfrastructurePid | undefined,
  { counted }: RunMemory,
  history: History
): InfrastructurePid | undefined => {
  if (left === undefined || !isFinal(left.command)) return undefined
  const attempt = attemptIn(history)
  const first = counted
    .filter(({ command }) => attempt(command) === attempt(left.command))
    .sort(oldestFirst)[0]
  if (first !== undefined && !all.some(isSame(first))) return pidOf(first)
  const isAlone = newestRound(history).length === history.claims.length
  const isThere = all.some(({ command }) => command.id === pid?.commandId)
  return isAlone && history.claims.length > 0 && !isThere ? pid : undefined
}

/** One look in each monitor interval. After the last, the job executions must not show the job as alive either. */
const countNotFound = Effect.fnUntraced(function* (
  mem: AttemptMemory,
  now: number,
  pid: InfrastructurePid | undefined,
  about: About
): Effect.fn.Return<void, ApiError, Environment> {
  const { monitorInterval } = yield* RunsConfig
  const { gone, lastAt, looks } = mem.notFound
  if (gone || (looks > 0 && now - lastAt < monitorInterval * 0.9)) return
  mem.notFound = { looks: Math.min(looks + 1, looksUntilGone), lastAt: now, gone: false }
  yield* say(
    "warning",
    "Sync CPLN→Prefect",
    { ...about, gvc: pid?.gvc, workload: pid?.workload, command: pid?.commandId },
    `Got 404 (${mem.notFound.looks}/${looksUntilGone}): ${pid === undefined ? "no job of this run is found" : "the command does not exist"}.`
  )
  if (mem.notFound.looks < looksUntilGone) return
  const place = pid === undefined ? undefined : yield* placeFromText(infrastructurePid(pid))
  const listed =
    pid === undefined || place === undefined || place === "no credential"
      ? undefined
      : yield* executionOf(place, pid.commandId)
  if (listed === undefined || isOver(listed.execution)) mem.notFound = { ...mem.notFound, gone: true }
})
