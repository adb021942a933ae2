/**
 * A reverse proxy on a free port that counts requests by route and keeps when each route was first asked for.
 *
 * Invariant: it changes nothing: status, headers and bodies go through as they are. WebSockets do not pass.
 */
import { createServer, request } from "node:http"
import { Effect } from "effect"

export interface CountingProxy {
  readonly url: string
  /** Requests by route since the last `reset`, a route being method and path with the names and ids taken out. */
  readonly counts: () => ReadonlyMap<string, number>
  readonly reset: () => void
  /** Resolves with `performance.now()` of the first request of a route that has this text. */
  readonly first: (part: string) => Effect.Effect<number>
}

const names =
  /(\/(?:org|gvc|workload|location|deployment|identity|policy|secret|work_pools|queues|workers|deployments|flows|flow_runs|block_documents)\/)(?!filter|count|heartbeat|-|name\b)[^/?]+/g

/** `GET /org/demo/gvc/x/workload/y/-command/<id>?a=b` becomes `GET /org/:/gvc/:/workload/:/-command/:`. */
export const route = (method: string, url: string) =>
  `${method} ${(url.split("?")[0] ?? "").replace(names, "$1:").replace(/\/[0-9a-f]{8}-[0-9a-f-]{27}/g, "/:")}`

/**
 * Starts a proxy to `target` (scheme, host, port) in the current scope. `onRequest` gets each request's route and whole
 * body, as it went through.
 */
export const countingProxy = (target: string, onRequest?: (name: string, body: string) => void) =>
  Effect.acquireRelease(
    Effect.callback<CountingProxy & { readonly close: () => void }>((resume) => {
      const upstream = new URL(target)
      let counts = new Map<string, number>()
      let firsts: Array<{ readonly part: string; readonly seen: (at: number) => void }> = []
      const server = createServer((incoming, outgoing) => {
        const name = route(incoming.method ?? "GET", incoming.url ?? "/")
        counts.set(name, (counts.get(name) ?? 0) + 1)
        const at = performance.now()
        firsts = firsts.filter(({ part, seen }) => !name.includes(part) || (seen(at), false))
        const forward = request(
          {
            host: upstream.hostname,
            port: upstream.port,
            method: incoming.method,
            path: incoming.url,
            headers: { ...incoming.headers, host: upstream.host }
          },
          (answer) => {
            outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
            answer.pipe(outgoing)
          }
        )
        // Destroying the answer would send an empty 200 under Bun.
        forward.on("error", () => outgoing.socket?.destroy())
        if (onRequest !== undefined) {
          const chunks: Array<Buffer> = []
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
          incoming.on("end", () => onRequest(name, Buffer.concat(chunks).toString()))
        }
        incoming.pipe(forward)
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(
          Effect.succeed({
            url: `http://127.0.0.1:${port}`,
            counts: () => counts,
            reset: () => {
              counts = new Map()
            },
            first: (part: string) =>
              Effect.callback<number>((done) => {
                firsts.push({ part, seen: (at) => done(Effect.succeed(at)) })
              }),
            close: () => {
              server.closeAllConnections()
              server.close()
            }
          })
        )
      })
    }),
    ({ close }) => Effect.sync(close)
  )
