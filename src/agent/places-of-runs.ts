/**
 * Which workloads are asked for jobs: those that the runs name, and those where jobs are known to live.
 *
 * Invariant: a run is looked for wherever its claim, its PID or this process says that it is, and nowhere by guess.
 */
import { Effect } from "effect"
import { type Place, placeKey } from "../cpln/place.ts"
import { parseClaimMessage } from "../job/claim-message.ts"
import { parseInfrastructurePid } from "../job/infrastructure-pid.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { Board } from "../runs/look/board.ts"
import { placeOf } from "../runs/prepare/access.ts"
import { Places } from "../runs/places.ts"

/** Where the runs' claims, PIDs and our own launches say that they are; and what a sync wants looked into. */
export const placesToAsk = Effect.fnUntraced(function* (runs: ReadonlyArray<FlowRun>) {
  const known = yield* Places
  const found = new Map(known.all().map((place) => [placeKey(place), place]))
  for (const run of runs) {
    for (const place of yield* placesOf(run)) found.set(placeKey(place), place)
  }
  return [...found.values()]
})

export const placesOf = Effect.fnUntraced(function* (run: FlowRun) {
  const claimed = parseClaimMessage(run.state?.message ?? "")?.where ?? ""
  const pid = run.infrastructure_pid ?? ""
  const { place: before } = (yield* Board).of(run.id)
  const found: Array<Place> = before === undefined ? [] : [before]
  // A PID of another form is another worker's: its workload is no place of ours.
  for (const text of parseInfrastructurePid(pid) === undefined ? [claimed] : [claimed, pid]) {
    const place = yield* placeOf(run, text)
    if (place !== undefined && place !== "no credential") found.push(place)
  }
  return found
})
