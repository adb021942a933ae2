/**
 * A reverse proxy in front of a service that breaks requests when it is asked to, keeps when each of them came, and
 * remembers every word that must never be said.
 *
 * Invariant: a request that is not broken goes through as it is; one that is broken "after" has reached the server, one
 * that is broken otherwise has not.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http"
import { Effect } from "effect"
import { route } from "../../../scripts/local/counting-proxy.ts"

/** In seconds, of every answer that asks for a pause. */
export const asksFor = 2

interface Refusal {
  readonly status: number
  readonly headers?: () => Record<string, string>
  readonly body?: string
}

const inSeconds = () => ({ "retry-after": String(asksFor) })
/** A date has whole seconds. */
const asDate = () => ({
  "retry-after": new Date(Math.ceil(Date.now() / 1000 + asksFor) * 1000).toUTCString()
})

const refusals = {
  "503 before": { status: 503 },
  "500": { status: 500 },
  "502": { status: 502, body: "<html><body>Bad Gateway</body></html>" },
  "504": { status: 504 },
  "503 with Retry-After": { status: 503, headers: inSeconds },
  "429": { status: 429 },
  "429 with Retry-After": { status: 429, headers: inSeconds },
  "429 with a date": { status: 429, headers: asDate },
  "429 quota": {
    status: 429,
    body: '{"status":429,"message":"Quota exceeded: the org has reached its limit","id":"asked-for"}'
  }
} as const satisfies Readonly<Record<string, Refusal>>

/** Answers that tell the client that the request was not done. */
export const refused = Object.keys(refusals) as ReadonlyArray<keyof typeof refusals>

/** What a server that is restarted, and what stands before it, do to requests. */
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
export type Breakage = (typeof breakages)[number] | (typeof refused)[number]

const isRefused = (way: Breakage | undefined): way is keyof typeof refusals =>
  way !== undefined && Object.hasOwn(refusals, way)

/** One request as it came; `at` is of `performance.now()`, `took` in ms until its answer was through. */
export interface Came {
  readonly at: number
  readonly route: string
  readonly broken: Breakage | undefined
  took: number | undefined
}

export interface FaultProxy {
  readonly url: string
  /** Breaks this share of the requests that `which` holds for, in these ways in turn; 0 breaks none. */
  readonly break: (
    share: number,
    ways: ReadonlyArray<Breakage>,
    which?: (method: string, path: string) => boolean
  ) => void
  /** How many requests were broken in which way. */
  readonly broken: () => Readonly<Record<string, number>>
  readonly requests: () => number
  readonly came: () => ReadonlyArray<Came>
  /** The most requests that were under way at once. */
  readonly mostAtOnce: () => number
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

const refuse = (outgoing: ServerResponse, refusal: Refusal) =>
  outgoing
    .writeHead(refusal.status, { "content-type": "application/json", ...refusal.headers?.() })
    .end(refusal.body ?? '{"exception_message":"asked for by the test"}')

/**
 * Starts a proxy in the current scope to wherever `target` says at the moment (scheme, host, port); `chance` gives
 * numbers from 0 to 1.
 */
export const faultProxy = (target: () => string, chance: () => number) =>
  Effect.acquireRelease(
    Effect.callback<FaultProxy & { readonly close: () => void }>((resume) => {
      let share = 0
      let ways: ReadonlyArray<Breakage> = []
      let which: (method: string, path: string) => boolean = () => true
      let turn = 0
      let atOnce = 0
      let mostAtOnce = 0
      const came: Array<Came> = []
      const broken: Record<string, number> = {}
      const forced: Array<string> = []

      const draw = (method: string, path: string): Breakage | undefined => {
        if (ways.length === 0 || !which(method, path) || chance() >= share) return undefined
        const way = ways[turn++ % ways.length]
        if (way !== undefined) broken[way] = (broken[way] ?? 0) + 1
        return way
      }

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
              refuse(outgoing, refusals["503 before"])
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
        const { method = "GET", url = "/" } = incoming
        const name = route(method, url)
        if (force.test(body.toString("utf8"))) forced.push(name)
        const way = draw(method, url)
        const one: Came = { at: performance.now(), route: name, broken: way, took: undefined }
        came.push(one)
        mostAtOnce = Math.max(mostAtOnce, ++atOnce)
        outgoing.once("close", () => {
          one.took = performance.now() - one.at
          atOnce--
        })
        if (isRefused(way)) refuse(outgoing, refusals[way])
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
            break: (given, in_, those = () => true) => {
              share = given
              ways = in_
              which = those
            },
            broken: () => broken,
            requests: () => came.length,
            came: () => came,
            mostAtOnce: () => mostAtOnce,
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
