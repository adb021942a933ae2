/**
 * From a request on a socket to a handler and back.
 *
 * Invariant: every request gets exactly one answer; what goes wrong inside is logged and answered as 500, and nothing that a
 * client sends can cause that.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Cause, Clock, Context, Effect, Exit, Layer, Result } from "effect"
import { type Answer, type Ask, failure } from "./answer.ts"
import { Access } from "./access/access.ts"
import { Auth, type Principal } from "./auth.ts"
import { ApiError, badRequest, tooLarge, unauthorised } from "./errors.ts"
import { RequestFaults } from "./faults/requests.ts"
import { uuid } from "./ids.ts"
import { type Json, parseJson } from "./json.ts"
import { jsonText } from "./json-text.ts"
import { Listener } from "./listener.ts"
import { makeRouter, type Route } from "./router.ts"
import { makeUpgrade } from "./upgrade.ts"

/** All routes of the emulator, put together elsewhere. */
export class Routes extends Context.Service<Routes, ReadonlyArray<Route>>()("emulator/Routes") {}

const mostBody = 1024 * 1024
/** Paths without a token in the header; the pages have sessions of their own. */
const isOpen = (path: string): boolean => path === "/discovery" || path === "/" || path.startsWith("/page/")
const nobody: Principal = { _tag: "Owner" }

/** The body as text; `tooLarge` as soon as it is, without reading the rest. */
const textOf = (request: IncomingMessage) =>
  Effect.callback<string, ApiError>((resume) => {
    const chunks: Array<Buffer> = []
    let size = 0
    request.on("data", (chunk: Buffer) => {
      size += chunk.length
      if (size <= mostBody) chunks.push(chunk)
      else {
        request.removeAllListeners("data")
        request.resume()
        resume(Effect.fail(tooLarge(`the body may be at most ${mostBody} bytes`)))
      }
    })
    request.on("end", () => resume(Effect.succeed(Buffer.concat(chunks).toString())))
    // Nobody hears the answer, but the fiber ends. After the end of the body this comes too late to matter.
    const cutOff = () => resume(Effect.fail(badRequest("the body was cut off")))
    request.on("error", cutOff)
    request.on("close", cutOff)
  })

const bodyOf = (text: string): Effect.Effect<Json | undefined, ApiError> => {
  if (text.trim() === "") return Effect.undefined
  const json = parseJson(text)
  return json === undefined
    ? Effect.fail(badRequest("the body is not well-formed JSON"))
    : Effect.succeed(json)
}

/** A body that was not read to its end would be taken for the next request. */
const isUnread = ({ complete, headers }: IncomingMessage): boolean =>
  !complete && (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0)

const split = (url: string): { readonly path: string; readonly query: URLSearchParams } => {
  const at = url.indexOf("?")
  return at < 0
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at + 1)) }
}

/** `/replicas//org/…` is what a client makes of a host that ends in a slash. */
const normal = (path: string): string => (path.startsWith("/replicas//") ? path.replace("//", "/") : path)

const write = (response: ServerResponse, method: string, answer: Answer): void => {
  const { status, json, text, headers, cut } = answer
  if (cut === "dropped") {
    response.destroy()
    return
  }
  const body = Buffer.from(json === undefined ? (text ?? "") : jsonText(json))
  response.writeHead(status, {
    "content-type": json === undefined ? "text/plain; charset=utf-8" : "application/json",
    "content-length": body.length,
    ...headers
  })
  if (cut === "truncated") response.write(body.slice(0, body.length / 2), () => response.destroy())
  else response.end(method === "HEAD" ? undefined : body)
}

/** Serves until the scope ends. */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const auth = yield* Auth
    const access = yield* Access
    const listener = yield* Listener
    const router = makeRouter(yield* Routes)
    const upgrade = yield* makeUpgrade
    const { around } = yield* RequestFaults
    const run = Effect.runForkWith(yield* Effect.context<never>())

    const answered = Effect.fnUntraced(function* (request: IncomingMessage) {
      const method = request.method ?? "GET"
      const { path, query } = split(request.url ?? "/")
      const principal = isOpen(path) ? nobody : auth.identify(request.headers.authorization)
      if (principal === undefined) {
        return yield* unauthorised("the token is missing or not accepted")
      }
      const found = router(method, normal(path))
      if (Result.isFailure(found)) return yield* found.failure
      const { handler, params } = found.success
      const takesBody = method === "POST" || method === "PUT" || method === "PATCH"
      const body = takesBody ? yield* Effect.flatMap(textOf(request), bodyOf) : undefined
      const { cookie } = request.headers
      const ask: Ask = { method, path, params, query, body, principal, cookie }
      yield* access.check(ask)
      return yield* around(handler)(ask)
    })

    /** The one answer; an error of the API is one too. */
    const settled = (request: IncomingMessage) =>
      answered(request).pipe(
        Effect.catchCause((cause) =>
          Effect.gen(function* () {
            const id = yield* uuid
            const error = Result.getOrUndefined(Cause.findError(cause))
            if (error instanceof ApiError) return failure(error, id)
            yield* Effect.logError(`emulator: ${request.method} ${request.url} failed, request ${id}`, cause)
            return failure(new ApiError({ status: 500, code: "internal", message: "internal error" }), id)
          })
        )
      )

    listener.serve({
      request: (request, response) => {
        const fiber = run(
          Effect.flatMap(settled(request), (answer) =>
            Effect.map(Clock.currentTimeMillis, (now) => {
              const headers = {
                date: new Date(now).toUTCString(),
                ...(isUnread(request) ? { connection: "close" } : {}),
                ...answer.headers
              }
              write(response, request.method ?? "GET", { ...answer, headers })
            })
          )
        )
        fiber.addObserver((exit) => {
          if (Exit.isFailure(exit) && !response.writableEnded) response.destroy()
        })
      },
      upgrade: (request, socket, head) => run(upgrade(request, socket, head))
    })
  })
)
