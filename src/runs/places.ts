/**
 * The places that are known to hold work of this pool.
 *
 * Invariant: a place is known only from something that names it (a launch of ours, a PID, a claim message, a tag); none
 * is ever guessed.
 */
import { Context, Effect, Layer } from "effect"
import { Access } from "../cpln/control-plane.ts"
import { type Place, placeKey } from "../cpln/place.ts"
import { WorkloadRef } from "../cpln/schemas.ts"
import { RunsConfig } from "./config.ts"

/** The places with live work, and the access that opened each org; bounded by the work that is live. */
export class Places extends Context.Service<
  Places,
  {
    readonly remember: (place: Place) => void
    readonly forget: (place: Place) => void
    readonly all: () => ReadonlyArray<Place>
    /** The credential that last opened this org, if one did. */
    readonly accessOf: (org: string) => Access | undefined
  }
>()("agent/runs/Places") {
  static readonly layer = Layer.sync(Places, () => {
    const places = new Map<string, Place>()
    const accesses = new Map<string, Access>()
    return Places.of({
      remember: (place) => {
        places.set(placeKey(place), place)
        accesses.set(place.access.org, place.access)
      },
      forget: (place) => void places.delete(placeKey(place)),
      all: () => [...places.values()],
      accessOf: (org) => accesses.get(org)
    })
  })
}

/**
 * The place that an infrastructure PID or the `org:gvc:workload` of a claim message names; undefined for anything else.
 * It is reached with the credential that last opened its org, else with the agent's own.
 */
export const placeFromText = Effect.fnUntraced(function* (
  text: string
): Effect.fn.Return<Place | "no credential" | undefined, never, Places | RunsConfig> {
  const [org, gvc, name, ...rest] = text.split(":")
  if (!org || !gvc || !name || rest.length > 1) return undefined
  const places = yield* Places
  const { injected } = yield* RunsConfig
  const access =
    places.accessOf(org) ??
    (injected.token === undefined
      ? undefined
      : new Access({ endpoint: injected.endpoint, org, token: injected.token }))
  return access === undefined ? "no credential" : { access, workload: new WorkloadRef({ org, gvc, name }) }
})
