/**
 * A live job whose run Prefect does not know: the run was deleted, or the database is not the one we think it is.
 *
 * Invariant: such a job is stopped only when it carries our pool's id, the pool with that id is there right before and
 * right after, two reads of the run at least 30 s apart gave 404 with no success in between, and the brake lets it pass.
 */
import { Effect } from "effect"
import { say } from "../observe/say.ts"
import { Prefect } from "../prefect/prefect.ts"
import { Board } from "../runs/board.ts"
import { Brake } from "../runs/brake.ts"
import { RunsConfig } from "../runs/config.ts"
import type { Bulk } from "../runs/look.ts"
import { poolTag, tagOf } from "../runs/normalise.ts"
import { stop } from "../runs/stop.ts"
import { steadyMillis } from "../runs/steady.ts"

/** Between the two reads that make a deletion certain, in ms. */
const apart = 30_000

export const deletedRun = Effect.fn("agent.deletedRun")(function* (runId: string, bulk: Bulk) {
  const prefect = yield* Prefect
  const config = yield* RunsConfig
  const memory = (yield* Board).of(runId)
  const ours = bulk.filter(({ command }) => tagOf(command, poolTag) === config.poolId)
  if (ours.length === 0) return
  const brake = yield* Brake
  const now = yield* steadyMillis
  const isCertain = memory.deletedSince !== undefined && now - memory.deletedSince >= apart
  // Held, it costs no reads of its own: the list that it is missing from shows when it is there again.
  if (isCertain && !brake.allows(runId)) return yield* brake.want(runId, "deleted")
  const poolIsThere = prefect.readWorkPool(config.pool).pipe(
    Effect.map((pool) => pool.id === config.poolId),
    Effect.catch(() => Effect.succeed(false))
  )
  if (!(yield* poolIsThere)) return
  const exists = yield* prefect.readRun(runId).pipe(
    Effect.as(true),
    Effect.catchTag("NotFound", () => Effect.succeed(false)),
    Effect.catch(() => Effect.succeed(undefined))
  )
  if (exists === undefined) return
  if (exists) {
    if (memory.deletedSince !== undefined) yield* brake.seenAgain(runId)
    memory.deletedSince = undefined
    brake.withdraw(runId)
    return
  }
  memory.deletedSince ??= now
  if (!isCertain) return yield* brake.want(runId, "suspect")
  if (!(yield* poolIsThere)) return
  yield* brake.want(runId, "deleted")
  yield* brake.carryOut(runId)
  for (const found of ours) {
    const { gvc, name } = found.place.workload
    const about = { runId, gvc, workload: name, command: found.command.id }
    yield* stop({
      found,
      memory,
      area: "Sync Prefect→CPLN",
      about,
      why: "its flow run was deleted",
      confirm: Effect.succeed(true)
    }).pipe(Effect.catch((error) => say("warning", "Sync Prefect→CPLN", about, error.message)))
  }
})
