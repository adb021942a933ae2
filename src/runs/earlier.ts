/**
 * What became of earlier attempts of a run that is to be launched.
 *
 * Invariant: a run that was claimed before is claimed again only when no job of it lives, or when the one that lives is
 * taken over; else one run would have two jobs.
 */
import { Effect } from "effect"
import { Commands } from "../cpln/commands.ts"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { at, type Place } from "../cpln/place.ts"
import type { Command } from "../cpln/schemas.ts"
import { type ApiError, Unavailable } from "../http/errors.ts"
import { transitionOf } from "../job/attempt.ts"
import type { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import type { RunsConfig } from "./config.ts"
import { type History, placesOf, readHistory } from "./history.ts"
import { attemptTag, isFinal, type Located, runTag, tagOf } from "./normalise.ts"
import type { Places } from "./places.ts"

export interface Earlier {
  /** How often the run was claimed by our kind. */
  readonly claims: number
  /** How often it was handed back because its job was lost. */
  readonly lost: number
  /** A live command of an attempt that was handed back: to be taken over. */
  readonly adoptable: Located | undefined
  /** A live command of an attempt that ended otherwise: it must be final before the run is claimed. */
  readonly live: Located | undefined
  /** The run's state by its history; undefined where that was not read. */
  readonly stateId: string | undefined
}

const none: Earlier = { claims: 0, lost: 0, adoptable: undefined, live: undefined, stateId: undefined }

/** A run that was never started needs no look at its history. */
const isFresh = (run: FlowRun): boolean =>
  (run.infrastructure_pid ?? undefined) === undefined &&
  run.run_count === 0 &&
  (run.state_name === "Scheduled" || run.state_name === "Late")

/** All commands of the run in one place, whatever their stage; none when the workload is gone. */
export const commandsOfRun = Effect.fn("runs.commandsOfRun")(function* (
  runId: string,
  place: Place
): Effect.fn.Return<ReadonlyArray<Located>, ApiError, ControlPlane> {
  const seen = yield* Commands.use((commands) =>
    commands.find(place.workload, [{ op: "=", tag: runTag, value: runId }])
  ).pipe(
    Effect.catchTag("NotFound", () => Effect.succeed({ value: [] as ReadonlyArray<Command>, at: 0 })),
    at(place.access)
  )
  return seen.value.map((command) => ({ place, command, at: seen.at }))
})

/** The run's live commands in every place that its PID and its claims name; a place that does not answer is an error. */
export const liveCommands = Effect.fn("runs.liveCommands")(function* (
  run: FlowRun,
  history: History
): Effect.fn.Return<ReadonlyArray<Located>, ApiError, ControlPlane | Places | RunsConfig> {
  const { places, unreachable } = yield* placesOf(run, history)
  if (unreachable.length > 0) {
    return yield* new Unavailable({
      service: "Control Plane",
      request: "look for jobs of the run",
      detail: `no credential for ${unreachable.join(", ")}, where a job of this run may live`,
      mayHaveHappened: false
    })
  }
  const found = yield* Effect.forEach(places, (place) => commandsOfRun(run.id, place), { concurrency: 4 })
  return found.flat().filter(({ command }) => !isFinal(command))
})

export const earlierAttempts = Effect.fn("runs.earlierAttempts")(function* (
  run: FlowRun
): Effect.fn.Return<Earlier, ApiError, Prefect | ControlPlane | Places | RunsConfig> {
  if (isFresh(run)) return none
  const history = yield* readHistory(run.id)
  const live = yield* liveCommands(run, history)
  const wasHandedBack = ({ command }: Located) => {
    const attempt = tagOf(command, attemptTag)
    return attempt !== undefined && history.handedBack.has(transitionOf(attempt))
  }
  return {
    claims: history.claims.length,
    lost: history.lost,
    adoptable: live.every(wasHandedBack) ? live[0] : undefined,
    live: live.find((each) => !wasHandedBack(each)),
    stateId: history.stateId
  }
})
