/**
 * States that came too late: the server accepts a claim, a hand-back and an engine's RUNNING over a finished run, so that a
 * proposal which waited in it while the run came to its end takes the end away.
 *
 * Invariant: nothing is started for such a claim or after such a hand-back, no other end is written, and the run gets back
 * the very end that it had.
 */
import { Effect } from "effect"
import type { ApiError } from "../../http/errors.ts"
import { say } from "../../observe/say.ts"
import { Prefect, type Proposal } from "../../prefect/prefect.ts"
import type { FlowRun, PastState } from "../../prefect/schemas.ts"
import { derivedId } from "../ids.ts"
import { freshRun } from "../look/fresh.ts"
import { timeOf } from "../decide/phase.ts"
import { type Ending, historyOf, isEnd, isEnding, isOffer } from "../look/history.ts"
import { type Judged, proposeFor, type Written } from "./propose.ts"

/** No request waits longer in the server, in ms. */
const waitsInServer = 120_000
/** The server stamps a state a little after it was asked for, in ms. */
const stampTakes = 1_000

/**
 * The end that a claim replaced; undefined for a claim of a run that was not over. A claim is taken from SCHEDULED, so an
 * end since the last SCHEDULED was there when it landed: its own time tells when it was asked for, not when it was written.
 */
export const endBefore = (states: ReadonlyArray<PastState>, transitionId: string): Ending | undefined => {
  const inOrder = [...states].sort((a, b) => (timeOf(a.timestamp) ?? 0) - (timeOf(b.timestamp) ?? 0))
  const scheduled = inOrder.findLastIndex(isOffer)
  const since = inOrder.slice(scheduled + 1)
  return since.some((state) => state.state_details?.transition_id === transitionId)
    ? since.findLast(isEnd)
    : undefined
}

/**
 * What came between a claim's asking and its landing, `underWay` ms later: the run was given back, moved or retried, and
 * perhaps claimed anew. Attempts sort by the times of asking, so that one can no longer be made of it. A time beyond that
 * is of a clock that was set back.
 */
export const outrunBy = (
  states: ReadonlyArray<PastState>,
  transitionId: string,
  underWay: number
): "nothing" | "an offer" | "a newer claim" => {
  const { claims } = historyOf(states)
  const own = claims.find((claim) => claim.transitionId === transitionId)
  if (own === undefined) return "nothing"
  const cameBetween = (at: number) => at > own.at && at - own.at <= underWay + stampTakes
  const offers = states.flatMap((state) => (isOffer(state) ? (timeOf(state.timestamp) ?? 0) : []))
  const newer = claims.findLast((claim) => claim.round > own.round && cameBetween(claim.at))
  // What was claimed anew may have been given back again.
  if (newer !== undefined && !offers.some((at) => at > newer.at)) return "a newer claim"
  return offers.some(cameBetween) ? "an offer" : "nothing"
}

/** Writes the end again that the claim replaced, when it replaced one: then true, and nothing is to be started. */
export const restoreEnd = Effect.fn("runs.restoreEnd")(function* (
  claimed: Judged,
  transitionId: string,
  /** The run's history from after the claim. */
  states: ReadonlyArray<PastState>
): Effect.fn.Return<boolean, ApiError, Prefect> {
  const end = endBefore(states, transitionId)
  if (end === undefined) return false
  const written = yield* writeAgain(claimed, end)
  yield* say(
    "warning",
    "Job",
    { runId: claimed.id },
    `Claimed too late: the run had ended ${end.type} by then${written === "written" ? ", which is written back" : ""}. Nothing is started.`
  )
  return true
})

/**
 * For a run that is in a state of which the server's history, which goes by the times at which states were asked for,
 * shows a younger one: what is asked for last is no longer what came last. An end is written again, and so is the wish for
 * one. True when the run is in another state now.
 */
export const restoreYounger = Effect.fn("runs.restoreYounger")(function* (
  run: FlowRun
): Effect.fn.Return<boolean, ApiError, Prefect> {
  const states = yield* Prefect.use((prefect) => prefect.history(run.id))
  const youngest = states.at(-1)
  const landed = states.find(({ id }) => id === run.state_id)
  if (!isEnding(youngest) || landed === undefined || landed === youngest || isEnding(landed)) return false
  // Of more than that the server's clock is the reason, which was set back.
  const waited = (timeOf(youngest.timestamp) ?? 0) - (timeOf(landed.timestamp) ?? 0)
  if (waited > waitsInServer) return false
  const written = yield* writeAgain(run, youngest)
  if (written === "written") {
    yield* say(
      "warning",
      "Job",
      { runId: run.id },
      `${run.state_name ?? run.state_type} came too late: the run ${isCancel(youngest) ? "was cancelled by then, which is asked for again" : `had ended ${youngest.type} by then, which is written back`}.`
    )
    return true
  }
  // Where the server refuses it, the run is judged as it is.
  return (yield* freshRun(run.id)).value.state_id !== run.state_id
})

const isCancel = ({ type }: Ending): boolean => type === "CANCELLED" || type === "CANCELLING"

/** CANCELLED only says that no job is left, which is to be found out: the cancel is asked for again. */
const writeAgain = (judged: Judged, end: Ending): Effect.Effect<Written, ApiError, Prefect> => {
  const proposal: Proposal = {
    type: isCancel(end) ? "CANCELLING" : end.type,
    ...(end.name && !isCancel(end) ? { name: end.name } : {}),
    ...(end.message ? { message: end.message } : {}),
    ...(end.data === undefined || end.data === null ? {} : { data: end.data }),
    // Of the state that came too late: whoever finds it writes the same.
    transitionId: derivedId(judged.id, judged.state_id ?? "", "restore")
  }
  return proposeFor(judged, () => proposal)
}
