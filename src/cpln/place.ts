/** A place is where jobs run: a workload, and the access by which it is reached. */
import { Effect, Scope } from "effect"
import type { Commands } from "./commands.ts"
import { type Access, ControlPlane } from "./control-plane.ts"
import type { Logs } from "./logs.ts"
import type { WorkloadRef } from "./schemas.ts"
import type { Secrets } from "./secrets.ts"
import type { Workloads } from "./workloads.ts"

export interface Place {
  readonly access: Access
  readonly workload: WorkloadRef
}

/** One text per place, to group by. Two credentials for one workload are one place. */
export const placeKey = (place: Place): string => `${place.access.endpoint} ${place.workload.path}`

/** The services of one access, for the effect that is given. */
export const at =
  (access: Access) =>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, Exclude<R, Commands | Workloads | Secrets | Logs> | ControlPlane> =>
    // Not by the layer, which would be built anew for every request.
    Effect.scopedWith((scope) =>
      ControlPlane.contextEffect(access).pipe(
        Scope.provide(scope),
        Effect.flatMap((clients) => Effect.provideContext(effect, clients))
      )
    ) as never
