/**
 * Watches for cancelled runs: one small query, and a reconcile at once for each run that it finds.
 *
 * Invariant: the filter is on the state's *name*, which covers CANCELLING and the legacy form alike. One run whose
 * service hangs does not keep the others, or the next turn, waiting.
 */
import { Duration, Effect } from "effect"
import { CurrentLane } from "../http/lane.ts"
import { Prefect } from "../prefect/prefect.ts"
import { RunsConfig } from "../runs/config.ts"
import { oneRun } from "./watch.ts"

const perRun = Duration.seconds(15)
const concurrency = 64

export const watchCancelled = Effect.fn("agent.watchCancelled")(
  function* () {
    const prefect = yield* Prefect
    const { pool, poolId } = yield* RunsConfig
    const found = yield* prefect.findRuns({ pool, stateNames: ["Cancelling"] })
    yield* Effect.forEach(
      found.value.filter((run) => run.work_pool_id === poolId),
      (run) => oneRun({ value: run, at: found.at }, undefined).pipe(Effect.timeoutOption(perRun)),
      { concurrency, discard: true }
    )
  },
  Effect.provideService(CurrentLane, "stop")
)
