/**
 * WebSocket upgrades: the live tail of the logs, and terminals.
 *
 * Invariant: who may not tail is told by the status of the upgrade, before any socket exists; a socket that was accepted is
 * closed when its tail ends, whoever ended it.
 */
import { type IncomingMessage, STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { Deferred, Effect, Result } from "effect"
import { type WebSocket, WebSocketServer } from "ws"
import { Access } from "./access/access.ts"
import { missing } from "./access/permissions.ts"
import { Auth } from "./auth.ts"
import { Faults, numberIn, type Subject, textIn } from "./faults/faults.ts"
import { LogStore } from "./logs/log-store.ts"
import { checkTail, tail, type TailSocket } from "./logs/routes.ts"
import { Store } from "./store.ts"
import { makeTerminal } from "./terminal/terminal.ts"

const tailPath = /^\/logs\/org\/([^/]+)\/loki\/api\/v1\/tail$/u

const refuse = (socket: Duplex, status: number, text: string) =>
  Effect.sync(() => {
    const head = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      "content-type: text/plain; charset=utf-8",
      `content-length: ${Buffer.byteLength(text)}`,
      "connection: close"
    ]
    socket.end(`${head.join("\r\n")}\r\n\r\n${text}`)
  })

const goingAway = 1001

/** The workload that a query of the logs names. */
const namedWorkload = /\bworkload\s*=\s*["`]([^"`]*)["`]/u

/** More than this on its way to a client, and nothing is added. */
const mostBuffered = 1024 * 1024

/** Not all runtimes call back only when the text has left: the buffer tells, so that no client is sent more than it reads. */
const drained = (socket: WebSocket): Effect.Effect<void> =>
  Effect.suspend(() =>
    socket.readyState === socket.OPEN && socket.bufferedAmount > mostBuffered
      ? Effect.andThen(Effect.sleep("20 millis"), drained(socket))
      : Effect.void
  )

const tailSocket = (socket: WebSocket): TailSocket => {
  const closed = Deferred.makeUnsafe<void>()
  const over = () => Deferred.doneUnsafe(closed, Effect.void)
  socket.on("close", over)
  // An error is always followed by the close.
  socket.on("error", () => {})
  return {
    closed: Deferred.await(closed),
    send: (text) =>
      Effect.callback<void>((resume) => {
        if (socket.readyState !== socket.OPEN) return resume(Effect.void)
        // What fails ends with `closed`.
        socket.send(text, () => resume(Effect.void))
      }).pipe(Effect.andThen(drained(socket))),
    close: (code = 1000) =>
      Effect.sync(() => {
        if (socket.readyState === socket.OPEN) socket.close(code)
      })
  }
}

/** What to do with a request for an upgrade. */
export const makeUpgrade = Effect.gen(function* () {
  const auth = yield* Auth
  const access = yield* Access
  const faults = yield* Faults
  const logs = yield* Effect.context<LogStore>()
  const { orgs } = yield* Store
  const terminal = yield* makeTerminal
  const server = new WebSocketServer({ noServer: true })
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const client of server.clients) client.close(goingAway)
      for (const client of server.clients) client.terminate()
    })
  )

  const accept = (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    Effect.callback<WebSocket>((resume) =>
      server.handleUpgrade(request, socket, head, (accepted) => resume(Effect.succeed(accepted)))
    )

  return Effect.fnUntraced(function* (request: IncomingMessage, socket: Duplex, head: Buffer) {
    socket.on("error", () => socket.destroy())
    const url = new URL(request.url ?? "/", "http://localhost")
    // A terminal's token comes in its first frame.
    if (url.pathname === "/exec") return yield* Effect.flatMap(accept(request, socket, head), terminal)
    const org = tailPath.exec(url.pathname)?.[1]
    const principal = auth.identify(request.headers.authorization)
    if (principal === undefined) return yield* refuse(socket, 401, "Unauthorized")
    if (org === undefined || !orgs.includes(org)) return yield* refuse(socket, 404, "Not Found")
    if (!access.may(principal, { org, kind: "org", permission: "readLogs", path: `/org/${org}` })) {
      return yield* refuse(socket, 403, missing("readLogs", "org", org))
    }
    const subject: Subject = {
      path: url.pathname,
      workload: namedWorkload.exec(url.searchParams.get("query") ?? "")?.[1]
    }
    const refusal = faults.strike("tail-refused", subject)
    if (refusal !== undefined) {
      const status = numberIn(refusal, "status")
      return yield* refuse(socket, status, STATUS_CODES[status] ?? "")
    }
    const asked = yield* Effect.result(checkTail(url.searchParams))
    if (Result.isFailure(asked)) return yield* refuse(socket, 400, asked.failure.message)
    const client = yield* accept(request, socket, head)
    const accepted = tailSocket(client)
    const cut = faults.choose("tail-cut", subject)
    const cutting =
      cut === undefined
        ? Effect.never
        : Effect.sleep(faults.time(cut)).pipe(
            Effect.andThen(
              Effect.sync(() => {
                faults.fired(cut)
                if (textIn(cut, "how") === "abrupt") client.terminate()
              })
            )
          )
    yield* Effect.raceFirst(tail(org, url.searchParams, accepted), cutting).pipe(
      Effect.provideContext(logs),
      Effect.catchCause((cause) => Effect.logError("emulator: a tail failed", cause)),
      Effect.ensuring(accepted.close())
    )
  })
})
