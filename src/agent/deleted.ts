/**
 * A live job whose run Prefect does not know: the run was deleted, or the database is not the one we think it is.
 *
 * Invariant: such a job is stopped only when it carries our pool's id, the pool with that id is there right before and
 * right after, two reads of the run at least 30 s apart gave 404 with no success in between, and the brake lets it pass.
 */
import { Effect } from "effect"
import { say } from "../observe/say.ts"
import { Prefect } from "../prefect/prefect.ts"
import { Board, type RunMemory } from "../runs/look/board.ts"
import { Brake } from "../runs/act/brake.ts"
import { RunsConfig } from "../runs/config.ts"
import type { Bulk } from "../runs/look/look.ts"
import { poolTag, tagOf } from "../runs/decide/normalise.ts"
import { stop } from "../runs/act/stop.ts"
import { steadyMillis } from "../runs/steady.ts"

/** Between the two reads that make a deletion certain, in ms. */
const apart = 30_000

export const deletedRun = Effect.fn("agent.deletedRun")(function* (runId: string, bulk: Bulk) {
  const { poolId } = yield* RunsConfig
  const memory = (yield* Board).of(runId)
  const ours = bulk.filter(({ command }) => tagOf(command, poolTag) === poolId)
  if (ours.length === 0) return
  // That it is there again is news, also where it comes back as it was.
  memory.quiet = undefined
  const brake = yield* Brake
  const now = yield* steadyMillis
  if (memory.deletedSince === undefined || now - memory.deletedSince < apart) {
    if ((yield* isDeleted(runId, memory)) !== true) return
    memory.deletedSince ??= now
    return yield* brake.want(runId, "suspect")
  }
  // Held, or stopped and not over yet, it costs no reads of its own: the list that it is missing from shows when it is
  // there again.
  yield* brake.want(runId, "deleted")
  if (!brake.allows(runId)) return
  const confirm = Effect.gen(function* () {
    if ((yield* isDeleted(runId, memory)) !== true || !(yield* poolIsThere)) return false
    yield* brake.carryOut(runId)
    return true
  }).pipe(Effect.provideContext(yield* Effect.context<Brake | RunsConfig>()))
  for (const found of ours) {
    const { gvc, name } = found.place.workload
    const about = { runId, gvc, workload: name, command: found.command.id }
    yield* stop({
      found,
      memory,
      area: "Sync Prefect→CPLN",
      about,
      why: "its flow run was deleted",
      confirm
    }).pipe(Effect.catch((error) => say("warning", "Sync Prefect→CPLN", about, error.message)))
  }
})

/** The pool that we serve, under its name. */
const poolIsThere = Effect.gen(function* () {
  const { pool, poolId } = yield* RunsConfig
  return yield* Prefect.use((prefect) => prefect.readWorkPool(pool)).pipe(
    Effect.map((read) => read.id === poolId),
    Effect.catch(() => Effect.succeed(false))
  )
})

/** One look, undefined where it says nothing. A run that is there again sets the brake. */
const isDeleted = Effect.fnUntraced(function* (runId: string, memory: RunMemory) {
  if (!(yield* poolIsThere)) return undefined
  const exists = yield* Prefect.use((prefect) => prefect.readRun(runId)).pipe(
    Effect.as(true),
    Effect.catchTag("NotFound", () => Effect.succeed(false)),
    Effect.catch(() => Effect.succeed(undefined))
  )
  if (exists !== true) return exists === undefined ? undefined : true
  const brake = yield* Brake
  if (memory.deletedSince !== undefined) yield* brake.seenAgain(runId)
  memory.deletedSince = undefined
  brake.withdraw(runId)
  return false
})
