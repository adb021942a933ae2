/**
 * The two routes of the log service: range reads, and live tails over a WebSocket, both in Loki's own shape.
 *
 * Invariant: a tail never holds lines: it keeps its place in the store and reads on when its socket has taken the last
 * frame, so that a slow reader neither loses a line nor costs memory.
 */
import { Clock, Effect, Result } from "effect"
import { type ApiError, badRequest } from "../errors.ts"
import { LogStore, type StoredLine } from "./log-store.ts"
import { type Labels, type LogQuery, parseQuery } from "./logql.ts"
import { LogSettings } from "./settings.ts"
import { parseTime } from "./times.ts"

/** The server's side of an accepted WebSocket. */
export interface TailSocket {
  /** Returns when the socket has taken the text: that is what slows a tail down. */
  send(text: string): Effect.Effect<void>
  /** Ends when the other side is gone. */
  readonly closed: Effect.Effect<void>
  close(code?: number): Effect.Effect<void>
}

const defaultLimit = 30
/** The service's tools ask for 999 at most; others ask for 5000 and get an answer. */
const mostLines = 5000
/** A range read reaches this far back when no start is given. */
const defaultSpan = 3_600_000_000_000n
const longestSpan = 31n * 24n * 3_600_000_000_000n
const longestDelay = 5
const linesPerFrame = 500
const closeNormal = 1000
const closePolicy = 1008

interface Ask {
  readonly query: LogQuery
  readonly limit: number
  readonly start: bigint
  readonly end: bigint
  readonly direction: "forward" | "backward"
}

const askOf = Effect.fnUntraced(function* (params: URLSearchParams): Effect.fn.Return<Ask, ApiError> {
  const text = params.get("query") ?? ""
  if (text.trim() === "") return yield* badRequest("parse error : the parameter query is missing")
  const query = yield* Effect.fromResult(parseQuery(text))
  const now = yield* Clock.currentTimeNanos
  const end = (yield* timeOf(params, "end")) ?? now
  const start = (yield* timeOf(params, "start")) ?? end - defaultSpan
  return { query, start, end, limit: yield* limitOf(params), direction: yield* directionOf(params) }
})

const timeOf = Effect.fnUntraced(function* (params: URLSearchParams, name: "start" | "end") {
  const text = params.get(name)
  if (text === null || text === "") return undefined
  const time = parseTime(text)
  if (time === undefined)
    return yield* badRequest(`could not parse '${name}' parameter: ${text.slice(0, 60)}`)
  return time
})

const limitOf = Effect.fnUntraced(function* (params: URLSearchParams) {
  const text = params.get("limit")
  if (text === null || text === "") return defaultLimit
  const limit = /^[+-]?\d{1,18}$/u.test(text) ? Number(text) : undefined
  if (limit === undefined) return yield* badRequest(`could not parse 'limit' parameter: ${text.slice(0, 60)}`)
  if (limit <= 0) return yield* badRequest("limit must be a positive value")
  return Math.min(limit, mostLines)
})

const directionOf = Effect.fnUntraced(function* (params: URLSearchParams) {
  const text = (params.get("direction") ?? "").toLowerCase()
  if (text === "" || text === "backward") return "backward" as const
  if (text === "forward") return "forward" as const
  return yield* badRequest(`invalid direction '${text.slice(0, 60)}'`)
})

/** `GET …/loki/api/v1/query_range`: lines of `[start, end)`, at most `limit` of them. */
export const queryRange = Effect.fn("emulator.queryRange")(function* (
  org: string,
  params: URLSearchParams
): Effect.fn.Return<unknown, ApiError, LogStore> {
  const ask = yield* askOf(params)
  if (ask.end < ask.start) return yield* badRequest("end timestamp must not be before or equal to start time")
  if (ask.end - ask.start > longestSpan) {
    return yield* badRequest("the query time range exceeds the limit (query length, limit: 31d)")
  }
  const store = yield* LogStore
  return {
    status: "success",
    data: { resultType: "streams", result: byStream(store.range({ org, ...ask })), stats: {} }
  }
})

/** Says no to a tail before its upgrade is accepted. */
export const checkTail = Effect.fn("emulator.checkTail")(function* (
  params: URLSearchParams
): Effect.fn.Return<Ask, ApiError> {
  const delay = params.get("delay_for") ?? ""
  if (delay !== "" && !/^\d{1,9}$/u.test(delay)) {
    return yield* badRequest(`could not parse 'delay_for' parameter: ${delay.slice(0, 60)}`)
  }
  if (Number(delay) > longestDelay) {
    return yield* badRequest(`delay_for can't be greater than ${longestDelay}`)
  }
  return yield* askOf(params)
})

/**
 * `GET …/loki/api/v1/tail`: the newest `limit` lines from `start` on, as Loki does it, then every line as it arrives, all
 * in order. Returns when the session's time is over, or the other side is gone.
 */
export const tail = Effect.fn("emulator.tail")(function* (
  org: string,
  params: URLSearchParams,
  socket: TailSocket
): Effect.fn.Return<void, never, LogStore> {
  const asked = yield* Effect.result(checkTail(params))
  if (Result.isFailure(asked)) return yield* socket.close(closePolicy)
  const { query, start, limit } = asked.success
  const { tailPause, tailSession } = yield* LogSettings
  const store = yield* LogStore

  const follow = Effect.gen(function* () {
    // One step: what is there by now is read, what comes after is followed.
    const follower = store.follow(org, query)
    const backlog = store
      .range({ org, query, start, end: undefined, limit, direction: "backward" })
      .toReversed()
    for (let sent = 0; sent < backlog.length; sent += linesPerFrame) {
      yield* socket.send(frameOf(backlog.slice(sent, sent + linesPerFrame)))
    }
    for (;;) {
      yield* follower.news
      yield* Effect.sleep(tailPause)
      const missedBefore = follower.missed()
      for (let lines = follower.take(linesPerFrame); lines.length > 0; lines = follower.take(linesPerFrame)) {
        yield* socket.send(frameOf(lines))
      }
      const missed = follower.missed() - missedBefore
      if (missed > 0) {
        yield* Effect.logWarning(
          `emulator: a log tail of org ${org} read so slowly that ${missed} lines were forgotten before it came to them`
        )
      }
    }
  })

  yield* Effect.raceFirst(follow, Effect.raceFirst(socket.closed, Effect.sleep(tailSession)))
  yield* socket.close(closeNormal)
})

/** Lines by stream, in the order given within each. */
const byStream = (lines: ReadonlyArray<StoredLine>) => {
  const values = new Map<Labels, Array<readonly [string, string]>>()
  for (const { at, labels, line } of lines) {
    const known = values.get(labels)
    if (known === undefined) values.set(labels, [[String(at), line]])
    else known.push([String(at), line])
  }
  return Array.from(values, ([stream, values]) => ({ stream, values }))
}

const frameOf = (lines: ReadonlyArray<StoredLine>): string => JSON.stringify({ streams: byStream(lines) })
