/**
 * Where the last look at each workload saw live jobs, by run: a run is claimed only when that look shows none of it. A
 * database that went back in time offers runs as never started whose jobs live.
 *
 * Invariant: a workload that this process never looked at is looked at before the first claim that goes there; after that
 * the watch keeps what is known of it, so that a launch costs no request.
 */
import { Cache, Context, Data, Duration, Effect, Layer } from "effect"
import { Commands } from "../../cpln/commands.ts"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { at, type Place, placeKey } from "../../cpln/place.ts"
import type { Term } from "../../cpln/schemas.ts"
import type { ApiError } from "../../http/errors.ts"
import { runTag, tagOf } from "../decide/normalise.ts"

/** Live commands that run a flow. */
export const liveJobs: ReadonlyArray<Term> = [
  { op: "=", property: "type", value: "runCronWorkload" },
  { op: "!=", property: "lifecycleStage", value: "completed" },
  { op: "!=", property: "lifecycleStage", value: "failed" },
  { op: "!=", property: "lifecycleStage", value: "cancelled" },
  { op: "exists", tag: runTag }
]

/** Equal places are one entry. */
class Looked extends Data.Class<Place> {}

/** Workloads that are remembered as looked at; one that is forgotten is looked at again. */
const mostLookedAt = 20_000

export class Sightings extends Context.Service<
  Sightings,
  {
    /** What a look at the workload has just seen. */
    readonly note: (place: Place, runIds: ReadonlySet<string>) => void
    /** Where live jobs of the run were seen. */
    readonly of: (runId: string) => ReadonlyArray<Place>
    /** Looks at the workload, unless that was done before. */
    lookOnce(place: Place): Effect.Effect<void, ApiError, ControlPlane>
  }
>()("agent/runs/Sightings") {
  static readonly layer = Layer.effect(
    Sightings,
    Effect.gen(function* () {
      const lookedAt = new Set<string>()
      const live = new Map<string, { readonly place: Place; readonly runIds: ReadonlySet<string> }>()

      const note = (place: Place, runIds: ReadonlySet<string>): void => {
        const key = placeKey(place)
        if (lookedAt.size >= mostLookedAt) lookedAt.clear()
        lookedAt.add(key)
        if (runIds.size === 0) live.delete(key)
        else live.set(key, { place, runIds })
      }

      /** Many launches at once are one look, and each workload is waited for by its own alone. */
      const looks = yield* Cache.makeWith(
        Effect.fnUntraced(function* (place: Looked) {
          const seen = yield* Commands.use((commands) => commands.find(place.workload, liveJobs)).pipe(
            Effect.map(({ value }) => value),
            Effect.catchTag("NotFound", () => Effect.succeed([])),
            at(place.access)
          )
          note(place, new Set(seen.flatMap((command) => tagOf(command, runTag) ?? [])))
        }),
        { capacity: mostLookedAt, timeToLive: () => Duration.zero }
      )

      return Sightings.of({
        note,
        of: (runId) => [...live.values()].flatMap(({ place, runIds }) => (runIds.has(runId) ? [place] : [])),
        lookOnce: (place) =>
          Effect.suspend(() =>
            lookedAt.has(placeKey(place)) ? Effect.void : Cache.get(looks, new Looked(place))
          )
      })
    })
  )
}
