/**
 * A service at the HTTP boundary: answers each request as the test says, and remembers what it was asked and when.
 */
import { Clock, Duration, Effect } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { type ApiOptions, makeApi } from "../../src/http/api.ts"

export interface Asked {
  readonly method: string
  /** With its query string. */
  readonly path: string
  readonly origin: string
  readonly headers: Readonly<Record<string, string>>
  /** Parsed, where it is JSON. */
  readonly body: unknown
  /** Milliseconds on the test's clock. */
  readonly at: number
}

export type Answering = Effect.Effect<Response, unknown>

/** A body that is not text is sent as JSON. */
export const answer = (
  status: number,
  body: unknown = "",
  headers: Readonly<Record<string, string>> = {}
): Answering =>
  Effect.sync(
    () =>
      new Response(status === 204 ? null : typeof body === "string" ? body : JSON.stringify(body), {
        status,
        headers
      })
  )

/** The connection fails as the runtime's `fetch` would say it. */
export const breaking = (error: unknown): Answering => Effect.fail(error)

export const reset = breaking(
  Object.assign(new TypeError("fetch failed"), {
    cause: Object.assign(new Error("other side closed"), { code: "UND_ERR_SOCKET" })
  })
)

export const refusedConnection = breaking(
  Object.assign(new TypeError("fetch failed"), {
    cause: Object.assign(new Error("connect ECONNREFUSED 10.0.0.1:443"), { code: "ECONNREFUSED" })
  })
)

/** Never answered. */
export const silence: Answering = Effect.never

/** Headers come, the body never does. */
export const stalled = (status: number, headers: Readonly<Record<string, string>> = {}): Answering =>
  Effect.sync(() => new Response(new ReadableStream(), { status, headers }))

/** The body breaks off. */
export const cutOff = (status: number): Answering =>
  Effect.sync(
    () =>
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode('{"items":['))
            controller.error(new TypeError("terminated"))
          }
        }),
        { status }
      )
  )

export const serving = (how: (asked: Asked, nth: number) => Answering) => {
  const asked: Array<Asked> = []
  const client = HttpClient.make((request, url) =>
    Effect.gen(function* () {
      const text =
        request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : undefined
      const one: Asked = {
        method: request.method,
        path: url.pathname + url.search,
        origin: url.origin,
        headers: { ...request.headers },
        body: text === undefined ? undefined : (JSON.parse(text) as unknown),
        at: yield* Clock.currentTimeMillis
      }
      asked.push(one)
      const response = yield* how(one, asked.length - 1).pipe(
        Effect.mapError(
          (cause) =>
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.TransportError({ request, cause })
            })
        )
      )
      return HttpClientResponse.fromWeb(request, response)
    })
  )
  return { asked, client }
}

/** The last answer is given again and again. */
export const inTurn = (...answers: ReadonlyArray<Answering>) =>
  serving((_, nth) => answers[nth] ?? answers.at(-1)!)

export const options: ApiOptions = {
  service: "Control Plane",
  baseUrl: "http://service.test",
  ratePerSecond: 0,
  concurrency: 8,
  timeout: Duration.seconds(30)
}

/** An API of that service. */
export const apiOf = (service: ReturnType<typeof serving>, how: Partial<ApiOptions> = {}) =>
  makeApi({ ...options, ...how }).pipe(Effect.provideService(HttpClient.HttpClient, service.client))

export const get = HttpClientRequest.get("/org/acme")
export const post = HttpClientRequest.post("/org/acme/workload").pipe(
  HttpClientRequest.bodyJsonUnsafe({ name: "w" })
)
