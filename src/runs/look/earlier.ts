/**
 * What became of earlier attempts of a run that is to be launched.
 *
 * Invariant: a run that was claimed before is claimed again only when no job of it lives, or when the one that lives is
 * taken over; else one run would have two jobs.
 */
import { Effect } from "effect"
import { Commands } from "../../cpln/commands.ts"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { at, type Place } from "../../cpln/place.ts"
import type { Command } from "../../cpln/schemas.ts"
import { type ApiError, Unavailable } from "../../http/errors.ts"
import { transitionOf } from "../../job/attempt.ts"
import type { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { RunsConfig } from "../config.ts"
import { type History, holdsAttempt, placesOf, readHistory } from "./history.ts"
import { attemptTag, isFinal, type Located, poolTag, runTag, tagOf } from "../decide/normalise.ts"
import { Places } from "../places.ts"
import type { Preparation } from "../prepare/preparation.ts"

export interface Earlier {
  /** How often the run was claimed by our kind. */
  readonly claims: number
  /** How often it was handed back because its job was lost. */
  readonly lost: number
  /** A live command of an attempt that was handed back, or that this database never knew: to be taken over. */
  readonly adoptable: Located | undefined
  /** Whether there is a live command of an attempt that the history should hold, and does not. */
  readonly wentBack: boolean
  /** A live command of an attempt that ended otherwise: it must be final before the run is claimed. */
  readonly live: Located | undefined
  /** The run's state by its history; undefined where that was not read. */
  readonly stateId: string | undefined
}

const none: Earlier = {
  claims: 0,
  lost: 0,
  adoptable: undefined,
  wentBack: false,
  live: undefined,
  stateId: undefined
}

/** A run that was never started needs no look at its history. */
const isFresh = (run: FlowRun): boolean =>
  (run.infrastructure_pid ?? undefined) === undefined &&
  run.run_count === 0 &&
  (run.state_name === "Scheduled" || run.state_name === "Late")

/**
 * All commands of the run in one place, whatever their stage; none when the workload is gone. Those that carry another
 * pool's id are another database's. A place where one lives is asked from now on, so that it is followed and can be stopped.
 */
export const commandsOfRun = Effect.fn("runs.commandsOfRun")(function* (
  runId: string,
  place: Place
): Effect.fn.Return<ReadonlyArray<Located>, ApiError, ControlPlane | Places | RunsConfig> {
  const { poolId } = yield* RunsConfig
  const places = yield* Places
  const seen = yield* Commands.use((commands) =>
    commands.find(place.workload, [{ op: "=", tag: runTag, value: runId }])
  ).pipe(
    Effect.catchTag("NotFound", () => Effect.succeed({ value: [] as ReadonlyArray<Command>, at: 0 })),
    at(place.access)
  )
  const own = seen.value.filter((command) => (tagOf(command, poolTag) ?? poolId) === poolId)
  if (!own.every(isFinal)) places.remember(place)
  return own.map((command) => ({ place, command, at: seen.at }))
})

/**
 * The run's live commands in every place that its PID and its claims name, and in these others; a place that does not
 * answer is an error.
 */
export const liveCommands = Effect.fn("runs.liveCommands")(function* (
  run: FlowRun,
  history: History,
  seenAt: ReadonlyArray<Place> = []
): Effect.fn.Return<ReadonlyArray<Located>, ApiError, ControlPlane | Places | RunsConfig | Preparation> {
  const { places, unreachable } = yield* placesOf(run, history)
  if (unreachable.length > 0) {
    return yield* new Unavailable({
      service: "Control Plane",
      request: "look for jobs of the run",
      detail: `no credential for ${unreachable.join(", ")}, where a job of this run may live`,
      mayHaveHappened: false
    })
  }
  const all = new Map([...seenAt, ...places].map((place) => [place.workload.path, place]))
  const found = yield* Effect.forEach(all.values(), (place) => commandsOfRun(run.id, place), {
    concurrency: 4
  })
  return found.flat().filter(({ command }) => !isFinal(command))
})

/** `seenAt` is where the last looks saw live jobs of it. */
export const earlierAttempts = Effect.fn("runs.earlierAttempts")(function* (
  run: FlowRun,
  seenAt: ReadonlyArray<Place>
): Effect.fn.Return<Earlier, ApiError, Prefect | ControlPlane | Places | RunsConfig | Preparation> {
  if (isFresh(run) && seenAt.length === 0) return none
  const history = yield* readHistory(run.id)
  const live = yield* liveCommands(run, history, seenAt)
  const isUnknown = (each: Located) =>
    tagOf(each.command, attemptTag) !== undefined && !holdsAttempt(history, each.command)
  const isFree = (each: Located) =>
    isUnknown(each) || history.handedBack.has(transitionOf(tagOf(each.command, attemptTag) ?? ""))
  return {
    claims: history.claims.length,
    lost: history.lost,
    adoptable: live.every(isFree) ? live[0] : undefined,
    wentBack: live.some(isUnknown),
    live: live.find((each) => !isFree(each)),
    stateId: history.stateId
  }
})
