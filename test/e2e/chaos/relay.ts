/**
 * An address that stays while the server behind it comes and goes: bytes pass as they are, WebSockets among them.
 *
 * Invariant: a connection belongs to the server that ran when it was made, and breaks with it.
 */
import { connect, createServer, type Socket } from "node:net"
import { Effect } from "effect"

/** Starts a relay on a free port in the current scope; `port` says where the server listens at the moment. */
export const relay = (port: () => number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
      const open = new Set<Socket>()
      const server = createServer((near) => {
        const far = connect(port(), "127.0.0.1")
        for (const [one, other] of [
          [near, far],
          [far, near]
        ] as const) {
          open.add(one)
          one.on("error", () => other.destroy())
          one.on("close", () => {
            open.delete(one)
            other.destroy()
          })
          one.pipe(other)
        }
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(
          Effect.succeed({
            url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
            close: () => {
              for (const socket of open) socket.destroy()
              server.close()
            }
          })
        )
      })
    }),
    ({ close }) => Effect.sync(close)
  )
