/**
 * The work pool as last read: its template serves every run that is prepared until the next read.
 *
 * Invariant: edits of the pool take effect within one heartbeat; a failed read leaves the last good one in place.
 */
import { Context, Effect, Layer, Ref } from "effect"
import type { ApiError } from "../http/errors.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { WorkPool } from "../prefect/schemas.ts"

/** A pool of 2.20 whose deployments bring their own infrastructure: no template, no workers. */
export const isForAgents = ({ type }: WorkPool): boolean => type === "prefect-agent"

export class CurrentPool extends Context.Service<
  CurrentPool,
  {
    readonly get: Effect.Effect<WorkPool>
    readonly refresh: Effect.Effect<WorkPool, ApiError>
  }
>()("agent/runs/CurrentPool") {
  static readonly layer = (first: WorkPool) =>
    Layer.effect(
      CurrentPool,
      Effect.gen(function* () {
        const prefect = yield* Prefect
        const pool = yield* Ref.make(first)
        return CurrentPool.of({
          get: Ref.get(pool),
          // Another pool under the same name is not served: its template is not ours.
          refresh: Effect.tap(prefect.readWorkPool(first.name), (read) =>
            read.id === first.id ? Ref.set(pool, read) : Effect.void
          )
        })
      })
    )
}
