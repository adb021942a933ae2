/**
 * Where jobs may live that no open run names: a job may have outlived its run while no agent looked, in a GVC that neither
 * the agent's own settings nor any open run tell of. The runs that ended last say where they ran.
 *
 * Invariant: one request, and as many places as a start can look into; a place is only looked at, and what is found there
 * is judged like anything else.
 */
import { Effect } from "effect"
import { type Place, placeKey } from "../cpln/place.ts"
import { parseInfrastructurePid } from "../job/infrastructure-pid.ts"
import { Prefect } from "../prefect/prefect.ts"
import { placeOf } from "../runs/prepare/access.ts"
import { RunsConfig } from "../runs/config.ts"
import { Places } from "../runs/places.ts"

const mostPlaces = 50

/** False when Prefect did not answer: then it is to be asked again. */
export const recall = Effect.gen(function* () {
  const { pool, poolId } = yield* RunsConfig
  const places = yield* Places
  const found = new Map<string, Place>()
  for (const run of yield* Prefect.use((prefect) => prefect.lastEnded(pool))) {
    if (found.size >= mostPlaces) break
    if (run.work_pool_id !== poolId || parseInfrastructurePid(run.infrastructure_pid) === undefined) continue
    const place = yield* placeOf(run, run.infrastructure_pid ?? "")
    if (place !== undefined && place !== "no credential") found.set(placeKey(place), place)
  }
  for (const place of found.values()) places.remember(place)
  return true
}).pipe(
  Effect.catch((error) => Effect.as(Effect.logDebug(`the last runs are not known: ${error.message}`), false))
)
