/**
 * A Prefect server at the HTTP boundary: answers each request with a function of it, and remembers what it was asked.
 */
import { Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { Duration } from "effect"
import type { Access } from "../../src/prefect/access.ts"
import { Prefect } from "../../src/prefect/prefect.ts"

export interface Asked {
  readonly method: string
  /** With its query string, from `/api` on. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export const access: Access = {
  url: "http://prefect.test/api",
  apiKey: undefined,
  authString: undefined,
  headers: {},
  tls: { skipVerify: false, authorities: undefined },
  timeout: Duration.seconds(60),
  csrf: false
}

export const secret = Redacted.make

/** No body where the status forbids one. */
const asResponse = ({ status, body, headers = {} }: Answer): Response =>
  new Response(status === 204 || body === undefined ? null : JSON.stringify(body), {
    status,
    headers: { date: "Tue, 24 Nov 2026 12:00:00 GMT", "content-type": "application/json", ...headers }
  })

/** Gives the layer of a client of this server, and the list of what the server was asked, which grows. */
export const serving = (answer: (asked: Asked) => Answer, how: Partial<Access> = {}) => {
  const asked: Array<Asked> = []
  const client = HttpClient.make((request, url) =>
    Effect.sync(() => {
      const text =
        request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : undefined
      const one: Asked = {
        method: request.method,
        path: url.pathname + url.search,
        headers: { ...request.headers },
        body: text === undefined ? undefined : (JSON.parse(text) as unknown)
      }
      asked.push(one)
      return HttpClientResponse.fromWeb(request, asResponse(answer(one)))
    })
  )
  return {
    asked,
    layer: Prefect.layer({ ...access, ...how }, { ratePerSecond: 0 }).pipe(
      Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
    )
  }
}
