/**
 * The places that are known to hold work of this pool, and the credentials by which their orgs are reached.
 *
 * Invariant: a place is known only from something that names it (a launch of ours, a PID, a claim message, a tag); none
 * is ever guessed. A place is reached with the credential that is trusted now, whichever it was found with.
 */
import { Context, Effect, Equal, Layer } from "effect"
import { Access } from "../cpln/control-plane.ts"
import { type Place, placeKey } from "../cpln/place.ts"
import { WorkloadRef } from "../cpln/schemas.ts"
import { RunsConfig } from "./config.ts"

/** One GVC, and the access by which it is reached. */
export interface Corner {
  readonly access: Access
  readonly gvc: string
}

/** The places with live work, bounded by the work that is live; and what opened each org. */
export class Places extends Context.Service<
  Places,
  {
    readonly remember: (place: Place) => void
    readonly forget: (place: Place) => void
    readonly all: () => ReadonlyArray<Place>
    /** Every GVC that ever held work here. */
    readonly corners: () => ReadonlyArray<Corner>
    /** The credential of this org, where one is known. */
    readonly accessOf: (org: string) => Access | undefined
    /** From now on this is the credential of its org. */
    readonly trust: (access: Access) => void
    /** It was refused: who needs its org finds out anew which it is. */
    readonly doubt: (access: Access) => void
  }
>()("agent/runs/Places") {
  static readonly layer = Layer.sync(Places, () => {
    const places = new Map<string, Place>()
    const corners = new Map<string, Corner>()
    const accesses = new Map<string, Access>()
    const current = (access: Access) => accesses.get(access.org) ?? access
    return Places.of({
      remember: (place) => {
        const { access, workload } = place
        places.set(placeKey(place), place)
        corners.set(`${access.org}/${workload.gvc}`, { access, gvc: workload.gvc })
      },
      forget: (place) => void places.delete(placeKey(place)),
      all: () => [...places.values()].map(({ access, workload }) => ({ access: current(access), workload })),
      corners: () => [...corners.values()].map(({ access, gvc }) => ({ access: current(access), gvc })),
      accessOf: (org) => accesses.get(org),
      trust: (access) => void accesses.set(access.org, access),
      doubt: (access) => {
        if (Equal.equals(accesses.get(access.org), access)) accesses.delete(access.org)
      }
    })
  })
}

/**
 * The place that an infrastructure PID or the `org:gvc:workload` of a claim message names; undefined for anything else.
 * It is reached with the credential of its org, else with the agent's own.
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
