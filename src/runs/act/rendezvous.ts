/**
 * Who of several workers does a thing first, without a leader: each computes the same order from the names that the
 * server lists as online.
 *
 * Invariant: an order only spreads work and spares doubles; nothing is right or wrong by it. A worker always counts
 * itself, so that a list that is old, empty or unreadable merely makes it the first.
 */
import { createHash } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { CurrentLane } from "../../http/lane.ts"
import { Prefect } from "../../prefect/prefect.ts"
import { RunsConfig } from "../config.ts"
import { CurrentPool, isForAgents } from "../pool.ts"
import { steadyMillis } from "../steady.ts"

/** Highest weight first; a worker that joins or goes moves only the keys that it wins or held. */
const weightOf = (key: string, worker: string): string =>
  createHash("sha256")
    .update(JSON.stringify([worker, key]))
    .digest("hex")

/** The place of `self` in the order for this key, 0 for the first. `online` need not hold it. */
export const rankOf = (key: string, self: string, online: Iterable<string>): number => {
  const own = weightOf(key, self)
  return [...new Set(online)].filter((each) => each !== self && weightOf(key, each) > own).length
}

/** The list is read at most this often, in ms: three times in the time after which a worker counts as offline. */
const readEvery = 30_000

export class OnlineWorkers extends Context.Service<
  OnlineWorkers,
  {
    /** Names of the pool's online workers by the last list that was read, at most 30 s old when the server answers. */
    readonly names: Effect.Effect<ReadonlySet<string>>
    /** The place of this worker in the order for this key, 0 for the first. */
    rank(key: string): Effect.Effect<number>
  }
>()("agent/runs/OnlineWorkers") {
  static readonly layer = Layer.effect(
    OnlineWorkers,
    Effect.gen(function* () {
      const prefect = yield* Prefect
      const { pool, workerName } = yield* RunsConfig
      const current = yield* CurrentPool
      let names: ReadonlySet<string> = new Set([workerName])
      let readAt: number | undefined

      const read = Effect.gen(function* () {
        const now = yield* steadyMillis
        if (readAt !== undefined && now >= readAt && now - readAt < readEvery) return
        readAt = now
        // Pools for agents have no workers.
        if (isForAgents(yield* current.get)) return
        const listed = yield* prefect.workers(pool)
        names = new Set([
          workerName,
          ...listed.filter(({ status }) => status === "ONLINE").map(({ name }) => name)
        ])
      }).pipe(
        Effect.catch((error) => Effect.logDebug(`the pool's workers are not known anew: ${error.message}`)),
        Effect.provideService(CurrentLane, "sweep")
      )
      const known = Effect.andThen(
        read,
        Effect.sync(() => names)
      )
      return OnlineWorkers.of({
        names: known,
        rank: (key) => Effect.map(known, (online) => rankOf(key, workerName, online))
      })
    })
  )
}
