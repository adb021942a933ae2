/**
 * What became of earlier attempts of a run, read from its state history: claim messages say where each may have a job.
 *
 * Invariant: a run that was claimed before is claimed again only when no job of it lives, or when the one that lives is
 * taken over; else one run would have two jobs.
 */
import { Effect } from "effect"
import { Commands } from "../cpln/commands.ts"
import type { ControlPlane } from "../cpln/control-plane.ts"
import type { Command } from "../cpln/schemas.ts"
import type { ApiError } from "../http/errors.ts"
import { type ClaimMessage, parseClaimMessage, parseHandBackMessage } from "../job/claim-message.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun, State } from "../prefect/schemas.ts"
import type { RunsConfig } from "./config.ts"
import { attemptTag, isFinal, runTag, tagOf } from "./normalise.ts"
import { at, type Place } from "../cpln/place.ts"
import { placeFromText, Places } from "./places.ts"

/** All that the history tells of our kind's claims. */
export interface Claims {
  readonly claims: ReadonlyArray<ClaimMessage>
  /** Transition ids of attempts that were handed back. */
  readonly handedBack: ReadonlySet<string>
  /** How many attempts were handed back because their job was lost; drains do not count. */
  readonly lost: number
}

export interface Earlier {
  /** How often the run was claimed by our kind. */
  readonly claims: number
  /** A live command of an attempt that was handed back: to be taken over. */
  readonly adoptable: Command | undefined
  /** A live command of an attempt that ended otherwise: it must be final before the run is claimed. */
  readonly live: Command | undefined
}

const none: Earlier = { claims: 0, adoptable: undefined, live: undefined }

/** A run that was never started needs no look at its history. */
const isFresh = (run: FlowRun): boolean =>
  (run.infrastructure_pid ?? undefined) === undefined &&
  run.run_count === 0 &&
  (run.state_name === "Scheduled" || run.state_name === "Late")

export const claimsOf = (states: ReadonlyArray<State>): Claims => {
  const handBacks = states.flatMap((state) => parseHandBackMessage(state.message ?? "") ?? [])
  return {
    claims: states.flatMap((state) => parseClaimMessage(state.message ?? "") ?? []),
    handedBack: new Set(handBacks.map((each) => each.transitionId)),
    lost: handBacks.filter((each) => each.reason === "lost").length
  }
}

/** Every place that the history and the PID name, once. */
export const placesOf = Effect.fnUntraced(function* (
  run: FlowRun,
  history: Claims
): Effect.fn.Return<ReadonlyArray<Place>, never, Places | RunsConfig> {
  const texts = [run.infrastructure_pid ?? "", ...history.claims.map((each) => each.where)]
  const found = new Map<string, Place>()
  for (const text of texts) {
    const place = yield* placeFromText(text)
    if (place !== undefined) found.set(place.workload.path, place)
  }
  return [...found.values()]
})

/** All commands of the run in one place, whatever their stage; none when the workload is gone. */
export const commandsOfRun = Effect.fn("runs.commandsOfRun")(function* (runId: string, place: Place) {
  return yield* Commands.use((commands) =>
    commands.find(place.workload, [{ op: "=", tag: runTag, value: runId }])
  ).pipe(
    Effect.catchTag("NotFound", () => Effect.succeed({ value: [] as ReadonlyArray<Command>, at: 0 })),
    at(place.access)
  )
})

export const earlierAttempts = Effect.fn("runs.earlierAttempts")(function* (
  run: FlowRun
): Effect.fn.Return<Earlier, ApiError, Prefect | ControlPlane | Places | RunsConfig> {
  if (isFresh(run)) return none
  const history = claimsOf(yield* Prefect.use((prefect) => prefect.history(run.id)))
  const places = yield* placesOf(run, history)
  const found = yield* Effect.forEach(places, (place) => commandsOfRun(run.id, place), { concurrency: 4 })
  const live = found.flatMap(({ value }) => value).filter((each) => !isFinal(each))
  const wasHandedBack = (each: Command) => {
    const attempt = tagOf(each, attemptTag)
    return attempt !== undefined && history.handedBack.has(attempt.slice(attempt.lastIndexOf("_") + 1))
  }
  return {
    claims: history.claims.length,
    adoptable: live.every(wasHandedBack) ? live[0] : undefined,
    live: live.find((each) => !wasHandedBack(each))
  }
})
