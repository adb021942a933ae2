/**
 * The live jobs of many workloads, by the run that each belongs to.
 *
 * Invariant: no workload holds up another, and what is found there is noted where a claim or the next cycle needs it.
 */
import { Duration, Effect } from "effect"
import { Commands } from "../cpln/commands.ts"
import { at, type Place, placeKey } from "../cpln/place.ts"
import { type ApiError, Unavailable } from "../http/errors.ts"
import { RunsConfig } from "../runs/config.ts"
import type { Bulk } from "../runs/look/look.ts"
import { isFinal, type Located, poolTag, runTag, tagOf } from "../runs/decide/normalise.ts"
import { Places } from "../runs/places.ts"
import { liveJobs, Sightings } from "../runs/look/sightings.ts"

/** How many workloads are asked at once. */
const concurrency = 16
/** A workload that does not answer in this time is unreachable in this cycle; nobody else waits for it. */
const answerWithin = Duration.seconds(10)

export interface Jobs {
  /** Live jobs by run id. */
  readonly byRun: ReadonlyMap<string, Bulk>
  /** Workloads that did not answer, and why. */
  readonly unreachable: ReadonlyMap<string, ApiError>
}

/** One query per workload; a workload that is gone has no jobs, one that does not answer is unreachable. */
export const liveJobsOf = Effect.fnUntraced(function* (places: ReadonlyArray<Place>) {
  const { poolId } = yield* RunsConfig
  const byRun = new Map<string, Array<Located>>()
  const unreachable = new Map<string, ApiError>()
  const sightings = yield* Sightings
  const withWork = yield* Places
  const ask = Effect.fnUntraced(function* (place: Place) {
    const seen = yield* Commands.use((commands) => commands.find(place.workload, liveJobs))
    const runIds = new Set<string>()
    for (const command of seen.value) {
      const run = tagOf(command, runTag)
      const pool = tagOf(command, poolTag)
      if (run === undefined || isFinal(command) || (pool !== undefined && pool !== poolId)) continue
      runIds.add(run)
      const located = { place, command, at: seen.at }
      const known = byRun.get(run)
      if (known === undefined) byRun.set(run, [located])
      else known.push(located)
    }
    sightings.note(place, runIds)
    // Until nothing lives there it is asked, also when only a PID named it whose run is over by then.
    if (runIds.size > 0) withWork.remember(place)
  })
  yield* Effect.forEach(
    places,
    (place) =>
      ask(place).pipe(
        Effect.timeoutOrElse({ duration: answerWithin, orElse: () => Effect.fail(slow(place)) }),
        // What lived there lives no more.
        Effect.catchTag("NotFound", () => Effect.sync(() => sightings.note(place, new Set()))),
        Effect.catch((error) =>
          Effect.logDebug(error.message).pipe(
            Effect.andThen(
              Effect.sync(() => {
                unreachable.set(placeKey(place), error)
                if (isRefusal(error)) withWork.doubt(place.access)
              })
            )
          )
        ),
        at(place.access)
      ),
    { concurrency, discard: true }
  )
  return { byRun, unreachable } satisfies Jobs
})

export const isRefusal = ({ _tag }: ApiError) => _tag === "Unauthorised" || _tag === "Forbidden"

const slow = (place: Place) =>
  new Unavailable({
    service: "Control Plane",
    request: `POST ${place.workload.path}/-command/-query`,
    detail: `no answer within ${Duration.format(answerWithin)}`,
    mayHaveHappened: false
  })
