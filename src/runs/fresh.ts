/**
 * Reads of a run that something is about to be written upon.
 *
 * Invariant: what is written or stopped rests on an answer that was asked for a moment ago. One that was long under way
 * tells of the past, however late it comes, and the server has no write on a condition.
 */
import { Clock, Effect } from "effect"
import { type ApiError, Unavailable } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"

/** How long each try may take, in ms, from the wish to the answer. A server that is always slow is served as well. */
const patience = [1_000, 1_000, 5_000]

/** A run as it was at some moment after `askedAt`, by the local clock in ms. */
export interface Fresh extends Seen<FlowRun> {
  readonly askedAt: number
}

/** The run as it is now; `Unavailable` when every answer takes too long to be relied on. */
export const freshRun = Effect.fn("runs.freshRun")(function* (
  runId: string
): Effect.fn.Return<Fresh, ApiError, Prefect> {
  const prefect = yield* Prefect
  for (const within of patience) {
    const askedAt = yield* Clock.currentTimeMillis
    const read = yield* prefect.readRun(runId)
    const took = (yield* Clock.currentTimeMillis) - askedAt
    if (took >= 0 && took <= within) return { ...read, askedAt }
  }
  return yield* new Unavailable({
    service: "Prefect",
    request: `GET /flow_runs/${runId}`,
    detail: "its answers take too long to write anything upon them",
    mayHaveHappened: false
  })
})
