/**
 * The one port of the emulator: a plain HTTP server of node's, which all three runtimes have.
 *
 * Invariant: the address is known before anything else of the emulator is made, and nothing is answered but 503 until
 * `serve` took over. When the scope ends, no connection is left.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import { Settings } from "./settings.ts"

export class CannotListen extends Schema.TaggedError<CannotListen>()("CannotListen", {
  host: Schema.String,
  port: Schema.Int,
  code: Schema.String
}) {
  override get message() {
    const what =
      this.code === "EADDRINUSE"
        ? `port ${this.port} is in use on ${this.host}`
        : `cannot listen on ${this.host}:${this.port} (${this.code})`
    return `emulator: ${what}. Choose another with --port, or --port 0 for any free one.`
  }
}

export interface Handlers {
  readonly request: (request: IncomingMessage, response: ServerResponse) => void
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
}

export class Listener extends Context.Service<
  Listener,
  {
    /** Such as `http://127.0.0.1:4281`, without a slash at the end. */
    readonly url: string
    readonly port: number
    /** Answers from now on. */
    serve(handlers: Handlers): void
  }
>()("emulator/Listener") {
  static readonly layer = Layer.effect(
    Listener,
    Effect.gen(function* (): Effect.fn.Return<Listener["Service"], CannotListen, Scope.Scope | Settings> {
      const { host, port } = yield* Settings
      let handlers: Handlers = {
        request: (_, response) => response.writeHead(503).end(),
        upgrade: (_, socket) => socket.destroy()
      }
      const server = createServer((request, response) => handlers.request(request, response))
      // Clients pool connections; one that closes too early would reset a request now and then.
      server.keepAliveTimeout = 75_000
      server.on("upgrade", (request, socket, head) => handlers.upgrade(request, socket, head))
      server.on("clientError", (_, socket) => {
        if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
      })
      const listening = Effect.callback<number, CannotListen>((resume) => {
        server.once("error", (error: NodeJS.ErrnoException) =>
          resume(Effect.fail(new CannotListen({ host, port, code: error.code ?? error.message })))
        )
        server.listen(port, host, () => {
          const address = server.address()
          resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : port))
        })
      })
      const close = Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      }).pipe(Effect.timeoutOption("1 second"))
      const actual = yield* Effect.acquireRelease(listening, () => close)
      // An address of every interface cannot be called; this machine's own can.
      const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host
      return {
        url: `http://${name}:${actual}`,
        port: actual,
        serve: (given) => {
          handlers = given
        }
      }
    })
  )
}
