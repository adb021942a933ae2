/**
 * A reverse proxy in front of Prefect's server that breaks requests when it is asked to, and remembers every word that
 * must never be said.
 *
 * Invariant: a request that is not broken goes through as it is; one that is broken "after" has reached the server, one
 * that is broken "before" has not.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http"
import { Effect } from "effect"
import { route } from "../../../scripts/local/counting-proxy.ts"

export const breakages = [
  "503 before",
  "503 after",
  "429",
  "429 with Retry-After",
  "reset before",
  "reset after",
  "no answer",
  "late"
] as const
export type Breakage = (typeof breakages)[number]

export interface FaultProxy {
  readonly url: string
  /** Breaks this share of the requests, each in one of these ways; 0 breaks none. */
  readonly break: (share: number, ways: ReadonlyArray<Breakage>) => void
  /** How many requests were broken in which way. */
  readonly broken: () => Readonly<Record<string, number>>
  readonly requests: () => number
  /** Routes of requests that carried `"force": true`. */
  readonly forced: () => ReadonlyArray<string>
}

/** As long as the server may keep a client waiting, in ms. */
const latest = 2_000
/** A request that gets no answer is broken off after this, in ms. */
const silence = 12_000

/** Destroying the answer would send an empty 200 under Bun; the connection itself has to go. */
const cut = (outgoing: ServerResponse) => outgoing.socket?.destroy()

const force = /"force"\s*:\s*true/u

/**
 * Starts a proxy in the current scope to wherever `target` says at the moment (scheme, host, port); `chance` gives
 * numbers from 0 to 1.
 */
export const faultProxy = (target: () => string, chance: () => number) =>
  Effect.acquireRelease(
    Effect.callback<FaultProxy & { readonly close: () => void }>((resume) => {
      let share = 0
      let ways: ReadonlyArray<Breakage> = []
      let requests = 0
      const broken: Record<string, number> = {}
      const forced: Array<string> = []

      const draw = (): Breakage | undefined => {
        if (ways.length === 0 || chance() >= share) return undefined
        const way = ways[Math.floor(chance() * ways.length)]
        if (way !== undefined) broken[way] = (broken[way] ?? 0) + 1
        return way
      }

      const refuse = (outgoing: ServerResponse, status: number, headers: Record<string, string> = {}) =>
        outgoing
          .writeHead(status, { "content-type": "application/json", ...headers })
          .end('{"exception_message":"asked for by the test"}')

      const forward = (incoming: IncomingMessage, body: Buffer, outgoing: ServerResponse, way?: Breakage) => {
        const upstream = new URL(target())
        const sent = request(
          {
            host: upstream.hostname,
            port: upstream.port,
            method: incoming.method,
            path: incoming.url,
            headers: { ...incoming.headers, host: upstream.host }
          },
          (answer) => {
            if (way === "503 after") {
              answer.resume()
              refuse(outgoing, 503)
            } else if (way === "reset after") {
              answer.resume()
              cut(outgoing)
            } else {
              outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
              answer.pipe(outgoing)
            }
          }
        )
        // The server is being started anew: nobody listens.
        sent.on("error", () => cut(outgoing))
        sent.end(body)
      }

      const handle = (incoming: IncomingMessage, body: Buffer, outgoing: ServerResponse) => {
        requests += 1
        if (force.test(body.toString("utf8")))
          forced.push(route(incoming.method ?? "GET", incoming.url ?? "/"))
        const way = draw()
        if (way === "503 before") refuse(outgoing, 503)
        else if (way === "429") refuse(outgoing, 429)
        else if (way === "429 with Retry-After") refuse(outgoing, 429, { "retry-after": "1" })
        else if (way === "reset before") cut(outgoing)
        else if (way === "no answer") setTimeout(() => cut(outgoing), silence)
        else if (way === "late") setTimeout(() => forward(incoming, body, outgoing), chance() * latest)
        else forward(incoming, body, outgoing, way)
      }

      const server = createServer((incoming, outgoing) => {
        const parts: Array<Buffer> = []
        incoming.on("data", (part: Buffer) => parts.push(part))
        incoming.on("end", () => handle(incoming, Buffer.concat(parts), outgoing))
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(
          Effect.succeed({
            url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
            break: (given, in_) => {
              share = given
              ways = in_
            },
            broken: () => broken,
            requests: () => requests,
            forced: () => forced,
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
