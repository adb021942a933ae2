/**
 * The status server: a small HTTP server for people and probes, of node's, which all three runtimes have.
 *
 * Invariant: it reads and never changes anything, serves a bounded number of connections, and its trouble is never the
 * agent's: a port in use is a warning. `/healthz` tells nothing but that the process lives, so it needs no token.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { Effect, Redacted, type Scope } from "effect"
import { type Address, addressText } from "./address.ts"
import { say } from "./say.ts"

export interface StatusAnswer {
  readonly status: number
  /** Goes out as JSON. */
  readonly body: unknown
}

/** Undefined where there is nothing of this path. */
export type StatusRoutes = (path: string) => StatusAnswer | undefined

const mostConnections = 32
/** For a request to come, and for a connection without one, in ms. */
const patience = 5_000

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || host === "[::1]" || /^127(?:\.\d{1,3}){3}$/u.test(host)

const digest = (text: string) => createHash("sha256").update(text).digest()

const refused = (status: number, detail: string): StatusAnswer => ({ status, body: { detail } })

const answerTo = (
  { headers, method, url }: IncomingMessage,
  { host }: Address,
  token: Buffer | undefined,
  routes: StatusRoutes
): StatusAnswer => {
  const [path = "/"] = (url ?? "/").split("?", 1)
  if (method !== "GET" && method !== "HEAD") return refused(405, "only GET and HEAD are served here")
  if (path === "/healthz") return { status: 200, body: { status: "ok" } }
  if (token !== undefined) {
    const given = /^Bearer (.+)$/u.exec(headers.authorization ?? "")?.[1] ?? ""
    if (!timingSafeEqual(digest(given), token))
      return refused(401, "the token is missing or not the right one")
  } else if (isLoopback(host) && !isLoopback((headers.host ?? "").replace(/:\d+$/u, ""))) {
    // A page in a browser of this machine must not read it through a name of its own.
    return refused(403, "this address serves its own machine only")
  }
  return routes(path) ?? refused(404, "there is nothing of this path")
}

const write = (response: ServerResponse, isHead: boolean, { body, status }: StatusAnswer): void => {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    // Whatever came as a body is not read.
    connection: "close"
  })
  response.end(isHead ? undefined : text)
}

/** Serves until the scope ends; gives the address, with the port that was found where 0 was asked for. */
export const serveStatus = Effect.fn("observe.serveStatus")(function* (
  address: Address,
  token: Redacted.Redacted | undefined,
  routes: StatusRoutes
): Effect.fn.Return<Address | undefined, never, Scope.Scope> {
  const expected = token === undefined ? undefined : digest(Redacted.value(token))
  const open = new Set<Socket>()
  const server = createServer((request, response) => {
    request.resume()
    write(response, request.method === "HEAD", answerTo(request, address, expected, routes))
  })
  server.requestTimeout = patience
  server.headersTimeout = patience
  server.keepAliveTimeout = patience
  server.on("connection", (socket: Socket) => {
    if (open.size >= mostConnections) return void socket.destroy()
    open.add(socket)
    socket.once("close", () => open.delete(socket))
  })
  server.on("clientError", (_, socket) => void socket.destroy())
  const listening = Effect.callback<Address | string>((resume) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      resume(Effect.succeed(error.code ?? error.message))
    )
    server.listen(address.port, address.host, () => {
      const bound = server.address()
      const port = typeof bound === "object" && bound !== null ? bound.port : address.port
      resume(Effect.succeed({ host: address.host, port }))
    })
  })
  const close = Effect.sync(() => {
    server.close()
    server.closeAllConnections()
  })
  const found = yield* Effect.acquireRelease(listening, () => close)
  if (typeof found === "string") {
    const what = found === "EADDRINUSE" ? "is in use" : `cannot be listened on (${found})`
    yield* say(
      "warning",
      "Init",
      {},
      `${addressText(address)} ${what}: this agent goes on without a status server. --listen HOST:PORT sets another address, --listen off none.`
    )
    return undefined
  }
  if (token === undefined && !isLoopback(address.host)) {
    yield* say(
      "warning",
      "Init",
      {},
      `The status server listens on ${addressText(found)} without a token: whoever reaches it can read what the agent does. PREFECT_AGENT_LISTEN_TOKEN sets one.`
    )
  }
  yield* say("debug", "Init", {}, `Status server at http://${addressText(found)}.`)
  return found
})
