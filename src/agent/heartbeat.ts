/**
 * Tells the server that this worker lives, and reads the pool anew so that edits take effect.
 *
 * Invariant: a pool that was replaced by another of the same name is not served: its runs carry another id. Pools for
 * agents have no workers; there the poll is the only sign of life.
 */
import { Effect, Schema } from "effect"
import { Prefect } from "../prefect/prefect.ts"
import { RunsConfig } from "../runs/config.ts"
import { CurrentPool, isForAgents } from "../runs/pool.ts"

/** Prefect's own interval, in seconds: the server calls a worker offline after three of them. */
export const heartbeatSeconds = 30

export class PoolReplaced extends Schema.TaggedError<PoolReplaced>()("PoolReplaced", {
  pool: Schema.String
}) {
  override get message() {
    return `Work pool "${this.pool}" was deleted and made anew while this agent served it. Restart the agent to serve the new one.`
  }
}

export const heartbeat = Effect.fn("agent.heartbeat")(function* () {
  const prefect = yield* Prefect
  const { pool, poolId, workerName } = yield* RunsConfig
  const read = yield* (yield* CurrentPool).refresh
  if (read.id !== poolId) return yield* new PoolReplaced({ pool })
  if (isForAgents(read)) return
  yield* prefect.heartbeat(pool, workerName, heartbeatSeconds)
})

/** On a clean stop the worker's row goes too; trouble with that is no trouble. */
export const signOff = Effect.fn("agent.signOff")(function* () {
  const prefect = yield* Prefect
  const { pool, workerName } = yield* RunsConfig
  if (isForAgents(yield* (yield* CurrentPool).get)) return
  yield* prefect.deleteWorker(pool, workerName).pipe(
    Effect.timeout("5 seconds"),
    Effect.catch((error) => Effect.logDebug(`worker row not deleted: ${error.message}`))
  )
})
