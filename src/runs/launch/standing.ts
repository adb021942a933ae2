/**
 * Where an accepted claim stands when it took its time. The server's lock does not always hold: under load it lets a
 * claim through that waited while the run ended, and 2.20 on SQLite accepts two at once.
 *
 * Invariant: of two claims that were accepted at the same time one job comes: the second looks for the first one's for
 * longer than a proof of the first can last, and after that only the run's own state decides.
 */
import { Duration, Effect } from "effect"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import type { ApiError } from "../../http/errors.ts"
import { transitionOf } from "../../job/attempt.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { Claim } from "./claim.ts"
import { RunsConfig } from "../config.ts"
import { commandsOfRun } from "../look/earlier.ts"
import { historyOf, rivalsOf } from "../look/history.ts"
import { attemptTag, tagOf } from "../decide/normalise.ts"
import { outrunBy, restoreEnd } from "../act/overwritten.ts"
import { pauseBefore } from "../pause.ts"
import { placeFromText, type Places } from "../places.ts"
import { steadyMillis } from "../steady.ts"

/** Longer than the proof of another claimant holds, in ms. */
const searchFor = 7_000
const searchEvery = Duration.seconds(1)

/**
 * "too late": the run had ended, and has its end back. "outrun": it was given back or moved since the claim was asked for,
 * so that attempts would no longer sort by time. "second": another claimant's job is there, or will be.
 */
export type Standing = "first" | "too late" | "outrun" | "second" | "alone after all"

/**
 * Nobody else goes on with the claim: where a service does not answer, or refuses to, it is asked again, up to the launch
 * deadline.
 */
export const standingOf = Effect.fn("runs.standingOf")(function* (
  runId: string,
  held: Claim,
  drained: () => boolean
): Effect.fn.Return<Standing, ApiError, Prefect | ControlPlane | Places | RunsConfig> {
  const { launchDeadline } = yield* RunsConfig
  const begun = yield* steadyMillis
  for (let tried = 1; ; tried++) {
    const answer = yield* Effect.result(standingNow(runId, held))
    if (answer._tag === "Success") return answer.success
    const late = (yield* steadyMillis) - begun > launchDeadline
    if (answer.failure._tag === "NotFound" || late || drained()) return yield* answer.failure
    yield* pauseBefore(tried, answer.failure)
  }
})

const standingNow = Effect.fnUntraced(function* (
  runId: string,
  { state, transitionId, underWay }: Claim
): Effect.fn.Return<Standing, ApiError, Prefect | ControlPlane | Places | RunsConfig> {
  const states = yield* Prefect.use((prefect) => prefect.history(runId))
  if (yield* restoreEnd({ id: runId, state_id: state.id }, transitionId, states)) return "too late"
  const rivals = rivalsOf(historyOf(states), transitionId)
  const outrun = outrunBy(states, transitionId, underWay)
  if (outrun === "a newer claim") return "second"
  if (rivals.length === 0) return outrun === "an offer" ? "outrun" : "first"
  const ids = new Set(rivals.map((rival) => rival.transitionId))
  const begun = yield* steadyMillis
  while ((yield* steadyMillis) - begun < searchFor) {
    for (const { where } of rivals) {
      const place = yield* placeFromText(where)
      if (place === undefined || place === "no credential") continue
      const found = yield* commandsOfRun(runId, place)
      const theirs = found.some(({ command }) => ids.has(transitionOf(tagOf(command, attemptTag) ?? "")))
      if (theirs) return "second"
    }
    yield* Effect.sleep(searchEvery)
  }
  return "alone after all"
})
