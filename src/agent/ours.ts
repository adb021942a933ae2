/**
 * All workloads of this pool, as the platform last listed them.
 *
 * Invariant: a list is whole or none: one of its pages that does not come leaves the last one in place. With ten thousand
 * workloads a list is two hundred pages, so that it is read at once only when there is none.
 */
import { Context, Effect, Layer } from "effect"
import { Access, ControlPlane } from "../cpln/control-plane.ts"
import { at, type Place } from "../cpln/place.ts"
import { WorkloadRef } from "../cpln/schemas.ts"
import { Workloads } from "../cpln/workloads.ts"
import type { ApiError } from "../http/errors.ts"
import { RunsConfig } from "../runs/config.ts"
import { poolTag } from "../runs/decide/normalise.ts"
import { type Corner, Places } from "../runs/places.ts"
import { steadyMillis } from "../runs/steady.ts"

/** A list that nobody renewed for this long is read anew at once, in ms. */
const renewAfter = 2 * 3_600_000

/** Everything of the pool in these GVCs; one that is gone holds nothing. */
export const listOurs = Effect.fn("agent.listOurs")(function* (
  corners: ReadonlyArray<Corner>,
  poolId: string,
  between?: Effect.Effect<void>
): Effect.fn.Return<ReadonlyArray<Place>, ApiError, ControlPlane> {
  const found = yield* Effect.forEach(corners, ({ access, gvc }) =>
    Workloads.use((workloads) =>
      workloads.find(gvc, [{ op: "=", tag: poolTag, value: poolId }], between)
    ).pipe(
      Effect.map((all) =>
        all.map(({ name }): Place => ({ access, workload: new WorkloadRef({ org: access.org, gvc, name }) }))
      ),
      Effect.catchTag("NotFound", () => Effect.succeed([])),
      at(access)
    )
  )
  return found.flat()
})

export class OurWorkloads extends Context.Service<
  OurWorkloads,
  {
    /** As last listed; listed now when that is long ago, or found nothing yet. */
    readonly known: Effect.Effect<ReadonlyArray<Place>, ApiError>
    /** Lists anew, with `between` before each further page. */
    refresh(between: Effect.Effect<void>): Effect.Effect<ReadonlyArray<Place>, ApiError>
    /** Where to look: the GVC of the agent's own settings, and those where it knows of work. */
    readonly corners: () => ReadonlyArray<Corner>
  }
>()("agent/agent/OurWorkloads") {
  static readonly layer = Layer.effect(
    OurWorkloads,
    Effect.gen(function* () {
      const { injected, poolId } = yield* RunsConfig
      const places = yield* Places
      const context = yield* Effect.context<ControlPlane>()
      let listed: { readonly at: number; readonly all: ReadonlyArray<Place> } | undefined

      const corners = () => {
        const { endpoint, gvc, org, token } = injected
        const known = places.corners()
        const own =
          org === undefined || gvc === undefined || token === undefined
            ? undefined
            : { access: places.accessOf(org) ?? new Access({ endpoint, org, token }), gvc }
        const isKnown = known.some(({ access, gvc }) => access.org === own?.access.org && gvc === own.gvc)
        return own === undefined || isKnown ? known : [...known, own]
      }

      const refresh = Effect.fnUntraced(function* (between?: Effect.Effect<void>) {
        const all = yield* listOurs(corners(), poolId, between)
        // Nothing to list yet is looked at again the next time.
        if (all.length > 0 || listed !== undefined) listed = { at: yield* steadyMillis, all }
        return all
      }, Effect.provideContext(context))

      return OurWorkloads.of({
        known: Effect.gen(function* () {
          const now = yield* steadyMillis
          return listed !== undefined && now - listed.at < renewAfter ? listed.all : yield* refresh()
        }),
        refresh,
        corners
      })
    })
  )
}
