/**
 * What it proves that no job of a run was found, by the looks and searches that found none so far.
 *
 * Invariant: absence is counted look by look, and only for a job that surely was there; a verdict needs several, at a
 * distance from each other.
 */
import { Effect } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import { type InfrastructurePid, parseInfrastructurePid } from "../job/infrastructure-pid.ts"
import { type About, say } from "../observe/say.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import type { AttemptMemory } from "./board.ts"
import { RunsConfig } from "./config.ts"
import { executionOf, isOver } from "./executions.ts"
import type { History } from "./history.ts"
import type { Located } from "./normalise.ts"
import { placeFromText, type Places } from "./places.ts"

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

/**
 * Counts a look that found nothing (when `counted`) and says what that proves by now. `pid` is the PID as far as it is this
 * run's; `foreign`: it names a job that is surely another run's, and says nothing of who has this one.
 */
export const absence = Effect.fnUntraced(function* (
  { at: seenAt, value: run }: Seen<FlowRun>,
  mem: AttemptMemory,
  history: History,
  now: number,
  counted: { readonly pid: InfrastructurePid | undefined; readonly foreign: boolean } | undefined,
  strays: ReadonlyArray<Located>,
  about: About
): Effect.fn.Return<Absent, ApiError, Environment> {
  const { launchDeadline } = yield* RunsConfig
  if (counted !== undefined) {
    mem.absent = { firstAt: mem.absent?.firstAt ?? now, lastAt: now, foreignPid: counted.foreign }
  }
  const whose =
    history.claims.length > 0 || mem.adopted
      ? "ours"
      : (run.infrastructure_pid ?? undefined) === undefined || mem.absent?.foreignPid === true
        ? "nobody"
        : "other"
  if (counted !== undefined && (mem.adopted || jobWasThere(run, history)))
    yield* countNotFound(run, mem, now, counted.pid, about)
  const claimedAt = history.claims.at(-1)?.at
  // What another kind of agent claimed is never handed back.
  const old = claimedAt === undefined ? run.state_type !== "PENDING" : seenAt - claimedAt > launchDeadline
  const searched = mem.absent !== undefined && mem.absent.lastAt - mem.absent.firstAt >= apart
  // What was started is never called unstarted: as for any job, only looks at the monitor interval tell that it is gone.
  const wasStarted =
    run.state_type === "PENDING" && jobWasThere(run, history) && mem.absent?.foreignPid !== true
  const { gone } = mem.notFound
  return { _tag: "Absent", gone, provenAbsent: old && searched && !wasStarted, whose, strays }
})

/**
 * That a job existed is sure once the run left PENDING. Before that, a PID proves it only when it can be of no earlier
 * attempt.
 */
const jobWasThere = (run: FlowRun, { claims }: History): boolean =>
  claims.length > 0 &&
  (run.state_type !== "PENDING" ||
    (claims.length === 1 && parseInfrastructurePid(run.infrastructure_pid ?? "") !== undefined))

/** One look in each monitor interval. After the last, the job executions must not show the job as alive either. */
const countNotFound = Effect.fnUntraced(function* (
  run: FlowRun,
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
  const place = pid === undefined ? undefined : yield* placeFromText(run.infrastructure_pid ?? "")
  const listed =
    pid === undefined || place === undefined || place === "no credential"
      ? undefined
      : yield* executionOf(place, pid.commandId)
  if (listed === undefined || isOver(listed.execution)) mem.notFound = { ...mem.notFound, gone: true }
})
