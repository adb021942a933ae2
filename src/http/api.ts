/**
 * One service as its client sees it: a base address, a gate, and two ways to send a request, one that may repeat itself
 * and one that never does.
 *
 * Invariant: an error carries the service's own short words at most, never a request's body, headers or query string. An
 * answer is read whole before it is given out, so that the time limit and the gate hold for all of it.
 */
import { Clock, Duration, Effect, Random, Schema, type Scope } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
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
import { unanswered } from "./unanswered.ts"

/** How one request differs from the others of its service. */
export interface Sending {
  /** Of one try, from its turn on. */
  readonly timeout?: Duration.Duration
  /** A request whose turn comes later than this is not sent. */
  readonly patience?: Duration.Duration
}

type Send = (
  request: HttpClientRequest.HttpClientRequest,
  how?: Sending
) => Effect.Effect<HttpClientResponse.HttpClientResponse, ApiError>

export interface Api {
  /**
   * For calls that are safe to repeat: transport errors, 408, 5xx and 429 are tried again, jittered, a few times. A 409
   * says whether an earlier try may have been the reason.
   */
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
  /** Of one call in all, where something answers but cannot serve now; 5 unless given. */
  readonly tries?: number
  readonly prepare?: (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<HttpClientRequest.HttpClientRequest, ApiError>
}

const usualTries = 5
/** Longest pause between two tries, in ms; a longer `Retry-After` is the caller's matter. */
const longestPause = 20_000
const redirects = 3

export const makeApi = Effect.fn("http.makeApi")(function* (
  options: ApiOptions
): Effect.fn.Return<Api, never, HttpClient.HttpClient | Scope.Scope> {
  const { service, tries: most = usualTries } = options
  const limiter = yield* makeLimiter(options)
  const base = options.baseUrl.replace(/\/+$/u, "")
  const client = (yield* HttpClient.HttpClient).pipe(
    HttpClient.withScope,
    HttpClient.followRedirects(redirects)
  )

  const exchange = Effect.fnUntraced(
    function* (request: HttpClientRequest.HttpClientRequest) {
      const sentAt = yield* Clock.currentTimeMillis
      const answer = yield* client.execute(request)
      // Not its text, which would be made anew each time that it is asked for.
      yield* answer.arrayBuffer
      return { answer, sentAt }
    },
    Effect.scoped,
    Effect.updateService(FetchHttpClient.Fetch, followedHere),
    // Nobody reads spans, and their headers are for nobody else; a span of a request costs a third of the request.
    Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
  )

  const once: Send = Effect.fnUntraced(function* (given, how = {}) {
    const about = { service, request: nameOf(given, base) }
    const request = withBase(options.prepare === undefined ? given : yield* options.prepare(given), base)
    const { patience, timeout = options.timeout } = how
    const { answer, sentAt } = yield* limiter.gate(
      exchange(request).pipe(
        Effect.mapError((error) => unanswered(about, error)),
        Effect.timeoutOrElse({
          duration: timeout,
          orElse: () =>
            Effect.fail(
              new Unavailable({
                ...about,
                detail: `no answer within ${Duration.format(timeout)}`,
                mayHaveHappened: true
              })
            )
        }),
        Effect.tapError(() => count(service, request.method, about.request, "none"))
      ),
      patience === undefined ? undefined : { within: patience, orElse: Effect.fail(notSent(about, patience)) }
    )
    yield* count(service, request.method, about.request, `${Math.trunc(answer.status / 100)}xx`)
    if (answer.status < 300) return Object.assign(answer, { [of]: about })
    const error = yield* refusal(about, answer)
    if (error._tag === "RateLimited") yield* limiter.slowDown(sentAt)
    if ("retryAfterMillis" in error) yield* limiter.pause(error.retryAfterMillis)
    return yield* Effect.fail(error)
  })

  const repeatable: Send = Effect.fnUntraced(function* (request, how) {
    let doubt = false
    for (let tried = 1; ; tried++) {
      const result = yield* Effect.result(once(request, how))
      if (result._tag === "Success") return result.success
      const error = result.failure
      if (error._tag === "Conflict" && doubt) {
        const { detail, request: name } = error
        return yield* new Conflict({ service, request: name, detail, afterDoubt: true })
      }
      if (error._tag !== "Unavailable" && error._tag !== "RateLimited") return yield* Effect.fail(error)
      // Of a service that is not there at all a person is told sooner.
      const isThere = error._tag === "RateLimited" || error.mayHaveHappened
      doubt ||= error._tag === "Unavailable" && error.mayHaveHappened
      const asked = error.retryAfterMillis ?? 0
      if (tried >= (isThere ? most : usualTries) || asked > longestPause) return yield* Effect.fail(error)
      yield* Effect.sleep(Duration.millis(asked + (yield* jittered(tried, error._tag === "RateLimited"))))
    }
  })

  return { once, repeatable }
})

type About = Pick<ApiError, "service" | "request">

/** Which request of which service an answer belongs to. */
const of: unique symbol = Symbol("agent/http/of")

/** `fetch` would follow redirects itself: without a limit, and with every header that it does not know as a secret. */
const followedHere = (fetch: typeof globalThis.fetch): typeof globalThis.fetch =>
  ((input, init) => fetch(input, { ...init, redirect: "manual" })) as typeof globalThis.fetch

const notSent = (about: About, patience: Duration.Duration) =>
  new Unavailable({
    ...about,
    detail: `not sent, because its turn did not come within ${Duration.format(patience)}`,
    mayHaveHappened: false
  })

/** Full jitter under a doubling bound; slower when the service asked for it. */
const jittered = (tried: number, slower: boolean) =>
  Effect.map(Random.next, (share) => share * Math.min((slower ? 1_000 : 250) * 2 ** tried, longestPause))

/** Paths are relative to the base; an absolute link is taken as it is. */
const withBase = (request: HttpClientRequest.HttpClientRequest, base: string) =>
  /^https?:\/\//u.test(request.url) ? request : HttpClientRequest.prependUrl(request, base)

/** `METHOD /path`, without base and query. */
const nameOf = (request: HttpClientRequest.HttpClientRequest, base: string): string => {
  const path = request.url.startsWith(`${base}/`)
    ? request.url.slice(base.length)
    : request.url.replace(/^https?:\/\/[^/]+/u, "")
  return `${request.method} ${path.split(/[?#]/u, 1)[0]}`
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
  { service, request }: About,
  answer: HttpClientResponse.HttpClientResponse
): Effect.fn.Return<ApiError> {
  const detail = yield* wordsOf(answer)
  const about = { service, request, detail }
  const { status } = answer
  if (status === 401) return new Unauthorised(about)
  if (status === 403) return new Forbidden(about)
  if (status === 404) return new NotFound(about)
  if (status === 409) return new Conflict(about)
  const asked = yield* retryAfter(answer)
  const retryAfterMillis = asked === undefined ? {} : { retryAfterMillis: asked }
  if (status === 429) {
    // The word alone tells the two meanings apart, and may stand in a body that is plain text.
    const text = yield* Effect.orElseSucceed(answer.text, () => "")
    return /quota/iu.test(text)
      ? new QuotaReached(about)
      : new RateLimited({ service, request, ...retryAfterMillis })
  }
  if (status === 408 || status >= 500) {
    return new Unavailable({
      service,
      request,
      detail: detail === `status ${status}` ? detail : `${status} ${detail}`,
      mayHaveHappened: true,
      ...retryAfterMillis
    })
  }
  return new Refused({ ...about, status })
})

/** In ms, from seconds or a date, which is taken by the service's own clock; undefined for nothing or nonsense. */
const retryAfter = Effect.fnUntraced(function* (answer: HttpClientResponse.HttpClientResponse) {
  const text = answer.headers["retry-after"]?.trim()
  if (!text) return undefined
  if (/^\d+(\.\d+)?$/u.test(text)) return Number(text) * 1000
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, date - (yield* timeOf(answer)))
})

/** The `Date` header in ms since 1970, or the local clock where there is none. */
const timeOf = (answer: HttpClientResponse.HttpClientResponse): Effect.Effect<number> => {
  const date = Date.parse(answer.headers["date"] ?? "")
  return Number.isNaN(date) ? Clock.currentTimeMillis : Effect.succeed(date)
}

/** Decodes a success; `at` is its `Date` header, or the local clock where there is none. */
export const json = <S extends Schema.Constraint>(schema: S) => {
  const decode = Schema.decodeUnknownEffect(schema)
  return (
    answer: HttpClientResponse.HttpClientResponse & { readonly [of]?: About }
  ): Effect.Effect<Seen<S["Type"]>, ApiError, S["DecodingServices"]> =>
    Effect.gen(function* () {
      const value = yield* answer.json.pipe(
        Effect.flatMap(decode),
        Effect.mapError((error) => undecodable(answer, error))
      )
      return { value, at: yield* timeOf(answer) }
    })
}

/** Decodes a success in two steps: the whole by `schema`, then what is in it by `decode`, which may know some of it. */
export const jsonWith =
  <S extends Schema.Constraint, A>(
    schema: S,
    decode: (value: S["Type"]) => Effect.Effect<A, Schema.SchemaError>
  ) =>
  (
    answer: HttpClientResponse.HttpClientResponse & { readonly [of]?: About }
  ): Effect.Effect<Seen<A>, ApiError, S["DecodingServices"]> =>
    Effect.flatMap(json(schema)(answer), ({ at, value }) =>
      decode(value).pipe(
        Effect.map((decoded) => ({ value: decoded, at })),
        Effect.mapError((error) => undecodable(answer, error))
      )
    )

/** Rows as they came, for `jsonWith`: not looked into, where `Schema.Array` would go through a thousand of them. */
export const RawRows = Schema.declare((value): value is ReadonlyArray<unknown> => Array.isArray(value))

/** Says where the answer differs from what is known, not what stood there. */
const undecodable = (
  answer: HttpClientResponse.HttpClientResponse & { readonly [of]?: About },
  error: unknown
) =>
  new Undecodable({
    ...(answer[of] ?? { service: "Prefect", request: nameOf(answer.request, "") }),
    detail: Schema.isSchemaError(error)
      ? cut(error.message.replace(/\s*\n\s*/gu, " "))
      : `it is ${kindOf(answer)}, not JSON`
  })

/** By its own header, where that is one: `text/html` is what a proxy says for the service. */
const kindOf = ({ headers, status }: HttpClientResponse.HttpClientResponse): string => {
  const [type = "something"] = /^[\w.+-]+\/[\w.+-]+/u.exec(headers["content-type"] ?? "") ?? []
  return `${type === "application/json" ? "broken" : type} with status ${status}`
}
