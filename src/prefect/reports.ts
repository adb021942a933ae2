/**
 * What the agent tells about runs: lines of their logs, and worker events.
 *
 * Invariant: batches go one after the other, in the caller's order, each small enough for SQLite and for the 1 MB that an
 * ordinary reverse proxy lets through. They travel in the lane of logs, behind everything that moves a run.
 */
import { DateTime, Effect, Ref } from "effect"
import type { Api } from "../http/api.ts"
import type { ApiError } from "../http/errors.ts"
import { CurrentLane } from "../http/lane.ts"
import { unlessEventsAreOff } from "./lines.ts"
import type { LogRecord, Prefect, ServerVersion } from "./prefect.ts"
import { done, post } from "./requests.ts"

type Reports = Pick<Prefect["Service"], "writeLogs" | "emitEvents">

/** A server on SQLite takes a second for 1,000 lines and ten for 5,000. */
const mostLines = 500
/** In UTF-16 units of message text, of which each takes at most three bytes: with the other fields still below 1 MB. */
const mostText = 300_000

/** A record larger than a batch may be goes alone: the servers themselves set no limit. */
export const batches = (records: ReadonlyArray<LogRecord>): ReadonlyArray<ReadonlyArray<LogRecord>> => {
  const all: Array<Array<LogRecord>> = []
  let room = 0
  for (const record of records) {
    const batch = all.at(-1)
    if (batch === undefined || batch.length === mostLines || record.message.length > room) {
      all.push([record])
      room = mostText - record.message.length
    } else {
      batch.push(record)
      room -= record.message.length
    }
  }
  return all
}

const asLog = ({ runId, name, level, message, at }: LogRecord) => ({
  name,
  level,
  message,
  timestamp: DateTime.formatIso(DateTime.makeUnsafe(at)),
  flow_run_id: runId
})

export const reports = Effect.fnUntraced(function* (
  { repeatable }: Api,
  version: Effect.Effect<ServerVersion, ApiError>
): Effect.fn.Return<Reports> {
  /** The server, as last read, that refused events: after an outage it is another object, and is asked again. */
  const without = yield* Ref.make<ServerVersion | undefined>(undefined)

  return {
    writeLogs: Effect.fn("Prefect.writeLogs")(
      function* (records) {
        for (const batch of batches(records)) yield* done(repeatable(post("/logs/", batch.map(asLog))))
      },
      Effect.provideService(CurrentLane, "logs")
    ),

    emitEvents: Effect.fn("Prefect.emitEvents")(
      function* (events) {
        if (events.length === 0) return
        const server = yield* version
        if ((yield* Ref.get(without)) === server) return
        // Events carry their own ids, which makes them safe to repeat.
        const taken = yield* unlessEventsAreOff(done(repeatable(post("/events", events))))
        if (!taken) yield* Ref.set(without, server)
      },
      Effect.provideService(CurrentLane, "logs")
    )
  }
})
