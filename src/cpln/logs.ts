/**
 * The log service: range reads and live tails of what jobs print.
 *
 * Invariant: every line keeps its own time in nanoseconds as text-exact bigint, because that is the only cursor there is.
 */
import { Context, Duration, Effect, Redacted, Schema, type Scope, Stream } from "effect"
import { type HttpClient, HttpClientRequest } from "effect/http"
import { Socket } from "effect/socket"
import { json, makeApi } from "../http/api.ts"
import { type ApiError, Forbidden, Unauthorised, Unavailable } from "../http/errors.ts"

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
    /** Lines of `[start, end)` in order of time, at most `limit` (999 is the service's own bound). */
    range(ask: {
      readonly query: string
      readonly start: bigint
      readonly end: bigint
      readonly limit: number
    }): Effect.Effect<ReadonlyArray<LogLine>, ApiError>
    /** Live lines from `start` on, in frames as they come; ends when the service closes the session. */
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

/** Loki's own shape: lines as [nanoseconds, text], grouped by labels. */
const LokiStream = Schema.Struct({
  stream: Schema.Record(Schema.String, Schema.String),
  values: Schema.Array(Schema.Tuple([Schema.String, Schema.String]))
})
const LokiRange = Schema.Struct({ data: Schema.Struct({ result: Schema.Array(LokiStream) }) })
const LokiFrame = Schema.fromJsonString(Schema.Struct({ streams: Schema.Array(LokiStream) }))

const linesOf = (streams: ReadonlyArray<typeof LokiStream.Type>): ReadonlyArray<LogLine> =>
  streams.flatMap(({ stream, values }) =>
    values.map(([at, line]): LogLine => ({ at: BigInt(at), line, labels: stream }))
  )

const inOrder = (a: LogLine, b: LogLine): number => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)

const rawToken = (token: Redacted.Redacted): string => Redacted.value(token).replace(/^Bearer /u, "")

export const makeLogs = Effect.fn("Logs.make")(function* (
  access: LogsAccess,
  settings: LogsSettings
): Effect.fn.Return<
  Logs["Service"],
  never,
  HttpClient.HttpClient | Socket.WebSocketConstructor | Scope.Scope
> {
  const token = settings.logsToken ?? access.token
  const webSocket = yield* Socket.WebSocketConstructor
  const api = yield* makeApi({
    service: "Control Plane",
    baseUrl: access.endpoint,
    ratePerSecond: 0,
    concurrency: 8,
    // The service itself allows a query two minutes.
    timeout: Duration.minutes(1)
  })

  /** The host of the log service, without a slash at the end. */
  const host = yield* Effect.cachedWithTTL(
    settings.logsEndpoint === undefined
      ? api.repeatable(HttpClientRequest.get("/discovery")).pipe(
          Effect.flatMap(json(Discovery)),
          Effect.map(({ value }) => value.endpoints?.logs || publicLogs)
        )
      : Effect.succeed(settings.logsEndpoint),
    Duration.minutes(30)
  ).pipe(Effect.map(Effect.map((url) => url.replace(/\/+$/u, ""))))

  const path = (what: "query_range" | "tail", query: Readonly<Record<string, string>>) =>
    `/logs/org/${encodeURIComponent(access.org)}/loki/api/v1/${what}?${new URLSearchParams(query)}`

  const range = Effect.fn("Logs.range")(function* (ask: Parameters<Logs["Service"]["range"]>[0]) {
    const url =
      (yield* host).replace(/^ws/u, "http") +
      path("query_range", {
        delay_for: "0",
        direction: "forward",
        limit: String(ask.limit),
        query: ask.query,
        start: String(ask.start),
        end: String(ask.end)
      })
    const answer = yield* HttpClientRequest.get(url).pipe(
      HttpClientRequest.bearerToken(rawToken(token)),
      api.repeatable,
      Effect.flatMap(json(LokiRange))
    )
    return [...linesOf(answer.value.data.result)].sort(inOrder)
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
          headers: { authorization: rawToken(token) },
          openTimeout: Duration.seconds(15),
          highWaterMark: 4 * 1024 * 1024
        }).pipe(Effect.provideService(Socket.WebSocketConstructor, webSocket))
        const pull = yield* Socket.readerString(socket)
        const frames = Effect.flatMap(pull, (texts) =>
          Effect.forEach(texts, (text) => Schema.decodeUnknownEffect(LokiFrame)(text))
        )
        return Stream.fromPull(
          Effect.succeed(
            Effect.map(frames, (each) => [each.flatMap((frame) => linesOf(frame.streams))] as const)
          )
        )
      })
    ).pipe(Stream.mapError(tailError))

  return { range, tail }
})

const tailRequest = { service: "Control Plane", request: "GET …/loki/api/v1/tail" } as const

/** The runtimes say little of a refused upgrade; a status in the text is all there is. */
const tailError = (error: unknown): ApiError => {
  const detail = error instanceof Error ? error.message : String(error)
  if (/\b401\b/u.test(detail)) return new Unauthorised({ ...tailRequest, detail })
  if (/\b403\b/u.test(detail)) return new Forbidden({ ...tailRequest, detail })
  return new Unavailable({ ...tailRequest, detail, mayHaveHappened: true })
}
