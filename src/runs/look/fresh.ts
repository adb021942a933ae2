/**
 * Reads of a run that something is about to be written upon.
 *
 * Invariant: what is written or stopped rests on an answer that was asked for a moment ago. One that was long under way
 * tells of the past, however late it comes, and the server has no write on a condition.
 */
import { Effect } from "effect"
import { type ApiError, Unavailable } from "../../http/errors.ts"
import type { Seen } from "../../http/seen.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { type Moment, moment, since } from "../moment.ts"

/** How long each try may take, in ms, from the wish to the answer. A server that is always slow is served as well. */
const patience = [1_000, 1_000, 5_000]

/** A run as it was at some moment after `askedAt`. */
export interface Fresh extends Seen<FlowRun> {
  readonly askedAt: Moment
}

/** The run as it is now; `Unavailable` when every answer takes too long to be relied on. */
export const freshRun = Effect.fn("runs.freshRun")(function* (
  runId: string
): Effect.fn.Return<Fresh, ApiError, Prefect> {
  const prefect = yield* Prefect
  for (const within of patience) {
    const askedAt = yield* moment
    const read = yield* prefect.readRun(runId)
    if ((yield* since(askedAt)) <= within) return { ...read, askedAt }
  }
  return yield* new Unavailable({
    service: "Prefect",
    request: `GET /flow_runs/${runId}`,
    detail: "its answers take too long to write anything upon them",
    mayHaveHappened: false
  })
})
