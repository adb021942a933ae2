/**
 * One service as its client sees it: a base address, a gate, and two ways to send a request, one that may repeat itself
 * and one that never does.
 *
 * Invariant: an error carries the service's own short words at most, never a request's body, headers or query string.
 */
import { Clock, Duration, Effect, Random, Schema, type Scope } from "effect"
import { HttpClient, type HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import {
  type ApiError,
  Conflict,
  Forbidden,
  NotFound,
  QuotaReached,
  RateLimited,
  Refused,
  type ServiceName,
  Unauthorised,
  Unavailable,
  Undecodable
} from "./errors.ts"
import { makeLimiter } from "./limiter.ts"
import { count } from "./metrics.ts"
import type { Seen } from "./seen.ts"

type Send = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientResponse.HttpClientResponse, ApiError>

export interface Api {
  /** For calls that are safe to repeat: transport errors, 408, 5xx and 429 are tried again, jittered, a few times. */
  readonly repeatable: Send
  /** Never repeated. */
  readonly once: Send
}

export interface ApiOptions {
  readonly service: ServiceName
  readonly baseUrl: string
  /** 0 is off; the burst is twice that. */
  readonly ratePerSecond: number
  readonly concurrency: number
  /** Of one try. */
  readonly timeout: Duration.Duration
  readonly prepare?: (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<HttpClientRequest.HttpClientRequest, ApiError>
}

const tries = 5
/** Longest pause between two tries, in ms; a longer `Retry-After` is the caller's matter. */
const longestPause = 20_000

export const makeApi = Effect.fn("http.makeApi")(function* (
  options: ApiOptions
): Effect.fn.Return<Api, never, HttpClient.HttpClient | Scope.Scope> {
  const { service } = options
  const limiter = yield* makeLimiter(options)
  const base = options.baseUrl.replace(/\/+$/u, "")
  const client = (yield* HttpClient.HttpClient).pipe(HttpClient.followRedirects(3))

  const once: Send = Effect.fnUntraced(function* (given) {
    const name = nameOf(given, base)
    const request = withBase(options.prepare === undefined ? given : yield* options.prepare(given), base)
    const answer = yield* limiter.gate(
      client.execute(request).pipe(
        Effect.provideService(HttpClient.TracerPropagationEnabled, false),
        Effect.mapError((error) => unanswered(service, name, error)),
        Effect.timeoutOrElse({
          duration: options.timeout,
          orElse: () =>
            Effect.fail(
              new Unavailable({
                service,
                request: name,
                detail: `no answer within ${Duration.format(options.timeout)}`,
                mayHaveHappened: true
              })
            )
        }),
        Effect.tapError(() => count(service, request.method, name, "none"))
      )
    )
    yield* count(service, request.method, name, `${Math.trunc(answer.status / 100)}xx`)
    if (answer.status < 300) return answer
    const error = yield* refusal(service, name, answer)
    if (error._tag === "RateLimited") yield* limiter.slowDown
    return yield* Effect.fail(error)
  })

  const repeatable: Send = Effect.fnUntraced(function* (request) {
    for (let tried = 1; ; tried++) {
      const result = yield* Effect.result(once(request))
      if (result._tag === "Success") return result.success
      const error = result.failure
      const passing = error._tag === "Unavailable" || error._tag === "RateLimited"
      const asked = error._tag === "RateLimited" ? (error.retryAfterMillis ?? 0) : 0
      if (!passing || tried >= tries || asked > longestPause) return yield* Effect.fail(error)
      yield* Effect.sleep(Duration.millis(asked + (yield* jittered(tried, error._tag === "RateLimited"))))
    }
  })

  return { once, repeatable }
})

/** Full jitter under a doubling bound; slower when the service asked for it. */
const jittered = (tried: number, slower: boolean) =>
  Effect.map(Random.next, (share) => share * Math.min((slower ? 1_000 : 250) * 2 ** tried, longestPause))

/** Paths are relative to the base; an absolute link is taken as it is. */
const withBase = (request: HttpClientRequest.HttpClientRequest, base: string) =>
  /^https?:\/\//u.test(request.url) ? request : HttpClientRequest.prependUrl(request, base)

/** `METHOD /path`, without base and query. */
const nameOf = (request: HttpClientRequest.HttpClientRequest, base: string): string => {
  const path = request.url.startsWith(base)
    ? request.url.slice(base.length)
    : request.url.replace(/^https?:\/\/[^/]+/u, "")
  return `${request.method} ${path.split("?", 1)[0]}`
}

const unanswered = (service: ServiceName, request: string, error: HttpClientError.HttpClientError) => {
  const cause =
    error.reason._tag === "TransportError"
      ? String((error.reason.cause as Error | undefined)?.message ?? "")
      : ""
  const code =
    error.reason._tag === "TransportError"
      ? ((error.reason.cause as { code?: unknown } | undefined)?.code ?? "")
      : ""
  const refused = /refused|ENOTFOUND|EAI_AGAIN|getaddrinfo|Unable to connect/iu.test(
    `${String(code)} ${cause}`
  )
  return new Unavailable({
    service,
    request,
    detail: refused ? "the connection could not be made" : cut(cause === "" ? error.reason._tag : cause),
    mayHaveHappened: !refused
  })
}

const Words = Schema.Struct({
  message: Schema.optionalKey(Schema.Unknown),
  detail: Schema.optionalKey(Schema.Unknown),
  exception_message: Schema.optionalKey(Schema.Unknown)
})

/** The service's own short words. A body of another shape is not passed on: Prefect's 422 echoes the request. */
const wordsOf = (answer: HttpClientResponse.HttpClientResponse) =>
  answer.json.pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(Words)),
    Effect.map(({ detail, exception_message, message }) =>
      [message, exception_message, detail].find(
        (each): each is string => typeof each === "string" && each !== ""
      )
    ),
    Effect.catch(() => Effect.succeed(undefined)),
    Effect.map((words) => cut(words ?? `status ${answer.status}`))
  )

const cut = (text: string): string => (text.length > 300 ? `${text.slice(0, 300)}…` : text)

const refusal = Effect.fnUntraced(function* (
  service: ServiceName,
  request: string,
  answer: HttpClientResponse.HttpClientResponse
): Effect.fn.Return<ApiError> {
  const detail = yield* wordsOf(answer)
  const about = { service, request, detail }
  const { status } = answer
  if (status === 401) return new Unauthorised(about)
  if (status === 403) return new Forbidden(about)
  if (status === 404) return new NotFound(about)
  if (status === 409) return new Conflict(about)
  if (status === 429) {
    if (/quota/iu.test(detail)) return new QuotaReached(about)
    const retryAfterMillis = yield* retryAfter(answer)
    return new RateLimited({
      service,
      request,
      ...(retryAfterMillis === undefined ? {} : { retryAfterMillis })
    })
  }
  if (status === 408 || status >= 500) {
    return new Unavailable({ service, request, detail: `${status} ${detail}`, mayHaveHappened: true })
  }
  return new Refused({ ...about, status })
})

/** Seconds or a date; undefined for nothing or nonsense. */
const retryAfter = Effect.fnUntraced(function* (answer: HttpClientResponse.HttpClientResponse) {
  const text = answer.headers["retry-after"]?.trim()
  if (!text) return undefined
  if (/^\d+(\.\d+)?$/u.test(text)) return Number(text) * 1000
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, date - (yield* Clock.currentTimeMillis))
})

/** Decodes a success; `at` is its `Date` header, or the local clock where there is none. */
export const json =
  <S extends Schema.Constraint>(schema: S) =>
  (
    answer: HttpClientResponse.HttpClientResponse
  ): Effect.Effect<Seen<S["Type"]>, ApiError, S["DecodingServices"]> =>
    Effect.gen(function* () {
      const value = yield* HttpClientResponse.schemaBodyJson(schema)(answer).pipe(
        Effect.mapError((error) => undecodable(answer, error))
      )
      const date = Date.parse(answer.headers["date"] ?? "")
      return { value, at: Number.isNaN(date) ? yield* Clock.currentTimeMillis : date }
    })

/** Says where the answer differs from what is known, not what stood there. */
const undecodable = (answer: HttpClientResponse.HttpClientResponse, error: unknown) =>
  new Undecodable({
    service: /\/(org\/|discovery|logs\/)/u.test(answer.request.url) ? "Control Plane" : "Prefect",
    request: nameOf(answer.request, ""),
    detail: Schema.isSchemaError(error)
      ? cut(error.message.replace(/, (?:got|actual) .*$/gmu, ""))
      : "it is not JSON"
  })
