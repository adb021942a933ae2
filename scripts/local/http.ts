/**
 * JSON over HTTP, for reading a service's own records. Deliberately not the agent's client: what a test concludes from
 * these reads must not depend on the code under test.
 */
import { createServer } from "node:net"
import { Effect, Schema } from "effect"

export class BadAnswer extends Schema.TaggedError<BadAnswer>()("BadAnswer", {
  request: Schema.String,
  status: Schema.Number,
  body: Schema.String
}) {
  override get message() {
    return `${this.request}: ${this.status === 0 ? "no answer" : `status ${this.status}`}: ${this.body.slice(0, 500)}`
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** One request, any status; `BadAnswer` with status 0 when nobody answers. */
export const ask = (method: string, url: string, body?: unknown, headers: Record<string, string> = {}) =>
  Effect.tryPromise({
    try: async (signal): Promise<Answer> => {
      const answer = await fetch(url, {
        method,
        signal: AbortSignal.any([signal, AbortSignal.timeout(60_000)]),
        // The servers drop idle connections after 5 s; a reused one would now and then be reset.
        headers: {
          connection: "close",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      })
      return { status: answer.status, headers: answer.headers, text: await answer.text() }
    },
    catch: (cause) => new BadAnswer({ request: `${method} ${url}`, status: 0, body: String(cause) })
  })

/** "Retry me": what a server on SQLite says when it is busy; nothing of that is the agent's doing. */
const busy = 503
const tries = 10

/** One request that must succeed; the decoded body, `undefined` when there is none. */
export const json = Effect.fnUntraced(function* <A>(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {}
) {
  let answer = yield* ask(method, url, body, headers)
  for (let tried = 1; answer.status === busy && tried < tries; tried++) {
    yield* Effect.sleep("700 millis")
    answer = yield* ask(method, url, body, headers)
  }
  if (answer.status >= 300) {
    return yield* new BadAnswer({ request: `${method} ${url}`, status: answer.status, body: answer.text })
  }
  return (answer.text === "" ? undefined : JSON.parse(answer.text)) as A
})

/** A TCP port of the loopback address that was free a moment ago. */
export const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() =>
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    )
  })
})
