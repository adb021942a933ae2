/**
 * The log service: range reads and live tails of what jobs print.
 *
 * Invariant: every line keeps its own time in nanoseconds as text-exact bigint, because that is the only cursor there is.
 */
import { Cause, Context, Duration, Effect, Exit, Redacted, Schema, type Scope, Stream } from "effect"
import { type HttpClient, HttpClientRequest } from "effect/http"
import { Socket } from "effect/socket"
import { json, makeApi } from "../http/api.ts"
import { type ApiError, Unavailable, Undecodable } from "../http/errors.ts"
import { bareToken } from "./token.ts"

export interface LogLine {
  /** Nanoseconds since 1970. */
  readonly at: bigint
  readonly line: string
  /** gvc, workload, container, location, provider, replica, stream, version. */
  readonly labels: Readonly<Record<string, string>>
}

export class Logs extends Context.Service<
  Logs,
  {
    /**
     * Lines of `[start, end)` in order of time, at most `limit` (999 is the service's own bound): the oldest, or the
     * newest ones.
     */
    range(ask: {
      readonly query: string
      readonly start: bigint
      readonly end: bigint
      readonly limit: number
      readonly newest?: boolean
    }): Effect.Effect<ReadonlyArray<LogLine>, ApiError>
    /**
     * Live lines from `start` on, in frames as they come. Ends when the service closes the session, or after five minutes
     * without a line, to be asked for again from the last line on.
     */
    tail(ask: {
      readonly query: string
      readonly start: bigint
    }): Stream.Stream<ReadonlyArray<LogLine>, ApiError>
  }
>()("agent/cpln/Logs") {}

/** What the log service is reached by: the API that names its host, and the credential in use. */
export interface LogsAccess {
  readonly endpoint: string
  readonly org: string
  readonly token: Redacted.Redacted
}

export interface LogsSettings {
  readonly logsEndpoint: string | undefined
  readonly logsToken: Redacted.Redacted | undefined
}

const publicLogs = "https://logs.cpln.io"

const Discovery = Schema.Struct({
  endpoints: Schema.optionalKey(Schema.Struct({ logs: Schema.optionalKey(Schema.String) }))
})

/** Loki's own shape: lines as [nanoseconds, text], grouped by labels. Newer ones add metadata to a line. */
const LokiStream = Schema.Struct({
  stream: Schema.Record(Schema.String, Schema.String),
  values: Schema.Array(
    Schema.TupleWithRest(Schema.Tuple([Schema.String.check(Schema.isPattern(/^\d+$/u)), Schema.String]), [
      Schema.Unknown
    ])
  )
})
const LokiStreams = Schema.NullOr(Schema.Array(LokiStream))
const LokiRange = Schema.Struct({ data: Schema.Struct({ result: LokiStreams }) })
const LokiFrame = Schema.fromJsonString(Schema.Struct({ streams: Schema.optionalKey(LokiStreams) }))

const linesOf = (streams: ReadonlyArray<typeof LokiStream.Type> | null | undefined): ReadonlyArray<LogLine> =>
  (streams ?? []).flatMap(({ stream, values }) =>
    values.map(([at, line]): LogLine => ({ at: BigInt(at), line, labels: stream }))
  )

const inOrder = (a: LogLine, b: LogLine): number => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)

/** A connection can die without a word: a session that is silent for this long is ended, to be begun anew. */
const longestSilence = Duration.minutes(5)

export const makeLogs = Effect.fn("Logs.make")(function* (
  access: LogsAccess,
  settings: LogsSettings
): Effect.fn.Return<
  Logs["Service"],
  never,
  HttpClient.HttpClient | Socket.WebSocketConstructor | Scope.Scope
> {
  const token = bareToken(settings.logsToken ?? access.token)
  const webSocket = yield* Socket.WebSocketConstructor
  const api = yield* makeApi({
    service: "Control Plane",
    baseUrl: access.endpoint,
    ratePerSecond: 0,
    concurrency: 8,
    // The service itself allows a query two minutes.
    timeout: Duration.minutes(1)
  })

  const discovered = api.repeatable(HttpClientRequest.get("/discovery")).pipe(
    Effect.flatMap(json(Discovery)),
    Effect.map(({ value }) => value.endpoints?.logs ?? ""),
    Effect.map((url) => (/^(http|ws)s?:\/\//u.test(url) ? url : publicLogs)),
    // Inside a workload the API may be reached through a proxy that does not serve it.
    Effect.catchTag(["NotFound", "Forbidden", "Unauthorised", "Refused"], () => Effect.succeed(publicLogs))
  )

  /** The host of the log service, without a slash at the end. Only a known one is kept; a failure is asked again. */
  const host = yield* Effect.cachedWithTTL(
    settings.logsEndpoint === undefined ? discovered : Effect.succeed(settings.logsEndpoint),
    (exit) => (Exit.isSuccess(exit) ? Duration.minutes(30) : Duration.zero)
  ).pipe(Effect.map(Effect.map((url) => url.replace(/\/+$/u, ""))))

  const path = (what: "query_range" | "tail", query: Readonly<Record<string, string>>) =>
    `/logs/org/${encodeURIComponent(access.org)}/loki/api/v1/${what}?${new URLSearchParams(query)}`

  const rangeRequest = Effect.fnUntraced(function* (ask: Parameters<Logs["Service"]["range"]>[0]) {
    const url =
      (yield* host).replace(/^ws/u, "http") +
      path("query_range", {
        delay_for: "0",
        direction: ask.newest === true ? "backward" : "forward",
        limit: String(ask.limit),
        query: ask.query,
        start: String(ask.start),
        end: String(ask.end)
      })
    return HttpClientRequest.bearerToken(HttpClientRequest.get(url), token)
  })

  const range = Effect.fn("Logs.range")(function* (ask: Parameters<Logs["Service"]["range"]>[0]) {
    const answer = yield* Effect.flatMap(rangeRequest(ask), api.repeatable).pipe(
      Effect.flatMap(json(LokiRange))
    )
    return [...linesOf(answer.value.data.result)].sort(inOrder)
  })

  /** No runtime tells reliably why an upgrade was refused; a read of one line with the same credential does. */
  const whyNotOpened = Effect.fnUntraced(function* (ask: Parameters<Logs["Service"]["tail"]>[0]) {
    const one = { ...ask, end: ask.start + 1n, limit: 1 }
    yield* Effect.flatMap(rangeRequest(one), api.once)
    return yield* unavailable("the connection could not be opened")
  })

  const tail: Logs["Service"]["tail"] = (ask) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const url =
          (yield* host).replace(/^http/u, "ws") +
          path("tail", {
            delay_for: "0",
            direction: "forward",
            limit: "999",
            query: ask.query,
            start: String(ask.start)
          })
        // The service takes the bare token here, and only here.
        const socket = yield* Socket.makeWebSocket(url, {
          headers: { authorization: Redacted.value(token) },
          openTimeout: Duration.seconds(15),
          highWaterMark: 4 * 1024 * 1024
        }).pipe(Effect.provideService(Socket.WebSocketConstructor, webSocket))
        const pull = yield* Socket.readerString(socket).pipe(
          Effect.catch(() => whyNotOpened(ask)),
          // The constructor throws for what it does not take: an address, a header.
          Effect.catchDefect(() => Effect.fail(unavailable("the connection could not be opened")))
        )
        const frames = pull.pipe(
          Effect.catch((error): Effect.Effect<never, Unavailable | Cause.Done<void>> =>
            isEnd(error) ? Cause.done() : Effect.fail(broken(error))
          ),
          Effect.flatMap((texts) =>
            Effect.forEach(texts, (text) =>
              Effect.mapError(Schema.decodeEffect(LokiFrame)(text), () => unreadable)
            )
          )
        )
        return Stream.fromPull(
          Effect.succeed(
            Effect.map(frames, (each) => [each.flatMap((frame) => linesOf(frame.streams))] as const)
          )
        )
      })
    ).pipe(Stream.timeout(longestSilence))

  return { range, tail }
})

const tailRequest = { service: "Control Plane", request: "GET …/loki/api/v1/tail" } as const

const unavailable = (detail: string) => new Unavailable({ ...tailRequest, detail, mayHaveHappened: true })

const unreadable = new Undecodable({ ...tailRequest, detail: "a frame is not of the known shape" })

/** The service ends every session after a while; that is no failure. */
const isEnd = ({ reason }: Socket.SocketError): boolean =>
  reason._tag === "SocketCloseError" && [1000, 1001, 1005].includes(reason.code)

const broken = ({ reason }: Socket.SocketError): Unavailable =>
  unavailable(
    reason._tag === "SocketCloseError"
      ? `the connection was closed (${reason.code})`
      : "the connection broke, or lines came faster than they were taken"
  )
