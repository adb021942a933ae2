/**
 * When each org last took a start of ours: a service that takes none of them is away, and no run is to blame for that; one
 * that takes the others has something against this run.
 */
import { Context, Effect, Layer } from "effect"
import type { Place } from "../../cpln/place.ts"
import { steadyMillis } from "../steady.ts"

export class Starts extends Context.Service<
  Starts,
  {
    readonly note: (place: Place) => Effect.Effect<void>
    /** Whether the org of the place took one after that time of `steadyMillis`. */
    readonly since: (place: Place, time: number) => boolean
  }
>()("agent/runs/Starts") {
  static readonly layer = Layer.sync(Starts, () => {
    const last = new Map<string, number>()
    const key = ({ access }: Place) => `${access.endpoint} ${access.org}`
    return Starts.of({
      note: (place) => Effect.map(steadyMillis, (now) => void last.set(key(place), now)),
      since: (place, time) => (last.get(key(place)) ?? 0) > time
    })
  })
}
