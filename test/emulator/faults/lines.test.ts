/** Faults of job output: lines that come late, twice, in another order or not at all, and tails that break. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { WebSocket } from "ws"
import { type Client, token, withRunner } from "../harness.ts"
import { fault, isOver, timed } from "./asked.ts"

const logs = "/logs/org/acme/loki/api/v1"
const query = encodeURIComponent(`{gvc="dev", workload="runner"}`)

/** A workload whose job is a script of this machine's shell. */
const withScript = (script: string) =>
  withRunner(
    { mode: "exec", startDelay: 0 },
    { containers: [{ name: "main", image: "x", command: "sh", args: ["-c", script] }] }
  )

type Line = readonly [stamp: string, text: string]

/** All that a range read gives by now, oldest first. */
const lines = (cpln: Client) =>
  Effect.map(
    cpln.get(`${logs}/query_range?query=${query}&limit=1000&direction=forward`),
    ({ json }): ReadonlyArray<Line> =>
      json.data.result.flatMap(({ values }: { values: ReadonlyArray<Line> }) => values)
  )
const texts = (cpln: Client) => Effect.map(lines(cpln), (all) => all.map(([, text]) => text))

const ran = Effect.fnUntraced(function* (cpln: Client) {
  yield* cpln.until(yield* cpln.start("runner"), isOver)
})

interface Tailed {
  readonly code: number
  readonly texts: ReadonlyArray<string>
}

/** A live tail to its end, or until it has so many lines. */
const tail = (cpln: Client, enough = Number.POSITIVE_INFINITY) =>
  Effect.callback<Tailed>((resume) => {
    const socket = new WebSocket(
      `${cpln.url.replace("http", "ws")}${logs}/tail?query=${query}&limit=1000&start=1`,
      { headers: { authorization: token } }
    )
    const texts: Array<string> = []
    socket.on("message", (frame: Buffer) => {
      const { streams } = JSON.parse(frame.toString()) as { streams: Array<{ values: Array<Line> }> }
      texts.push(...streams.flatMap(({ values }) => values.map(([, text]) => text)))
      if (texts.length >= enough) socket.close()
    })
    socket.on("error", () => {})
    socket.on("unexpected-response", (_, answer) => {
      resume(Effect.succeed({ code: answer.statusCode ?? 0, texts }))
      socket.terminate()
    })
    socket.on("close", (code) => resume(Effect.succeed({ code, texts })))
    return Effect.sync(() => socket.terminate())
  })

describe("lines", () => {
  it.live("lag: a range read finds them only later, with the stamp of when they were printed", () =>
    Effect.gen(function* () {
      const cpln = yield* withScript("echo one; echo two")
      const fired = yield* fault(cpln, { what: "log-lag", seconds: 0.6 })
      yield* ran(cpln)
      expect(yield* texts(cpln)).toEqual([])
      yield* Effect.sleep(900)
      const arrived = yield* lines(cpln)
      expect(arrived.map(([, text]) => text)).toEqual(["one", "two"])
      expect(Date.now() - Number(BigInt(arrived[0]![0]) / 1_000_000n)).toBeGreaterThan(800)
      expect(yield* fired).toBe(2)
    })
  )

  it.live("arrive twice, with one stamp", () =>
    Effect.gen(function* () {
      const cpln = yield* withScript("echo one; echo two; echo three")
      const fired = yield* fault(cpln, { what: "log-doubled", skip: 1, times: 1 })
      yield* ran(cpln)
      const arrived = yield* lines(cpln)
      expect(arrived.map(([, text]) => text)).toEqual(["one", "two", "two", "three"])
      expect(arrived[1]![0]).toBe(arrived[2]![0])
      expect(yield* fired).toBe(1)
    })
  )

  it.live("arrive in another order than they were printed in; by their stamps the order is right", () =>
    Effect.gen(function* () {
      const many = Array.from({ length: 40 }, (_, index) => String(index))
      const cpln = yield* withScript("for i in $(seq 0 39); do echo $i; done")
      const fired = yield* fault(cpln, { what: "log-disorder", seconds: 0.4 })
      yield* cpln.start("runner")
      const seen = yield* tail(cpln, 40)
      expect(seen.texts).not.toEqual(many)
      expect([...seen.texts].sort((a, b) => Number(a) - Number(b))).toEqual(many)
      expect(yield* texts(cpln)).toEqual(many)
      expect(yield* fired).toBe(40)
    })
  )

  it.live("over the rate are lost, and a marker line says so", () =>
    Effect.gen(function* () {
      const cpln = yield* withScript("for i in $(seq 1 200); do echo $i; done")
      const fired = yield* fault(cpln, { what: "log-rate-limit", lines: 50 })
      yield* ran(cpln)
      const arrived = yield* texts(cpln)
      const marker = arrived.findIndex((text) => text.startsWith("#### Replica logs were rate-limited:"))
      expect(marker).toBe(50)
      // Should the second change meanwhile, there is a second portion.
      expect(arrived.length).toBeLessThanOrEqual(102)
      expect(yield* fired).toBeGreaterThan(90)
    })
  )
})

describe("tails", () => {
  it.live("are cut after a while, with a handshake or without", () =>
    Effect.gen(function* () {
      const cpln = yield* withScript("echo one")
      yield* ran(cpln)
      const closed = yield* fault(cpln, { what: "tail-cut", seconds: 0.3, times: 1 })
      const abrupt = yield* fault(cpln, { what: "tail-cut", seconds: 0.3, how: "abrupt" })
      const [took, first] = yield* timed(tail(cpln))
      expect([first.code, first.texts]).toEqual([1000, ["one"]])
      expect(took).toBeGreaterThan(250)
      expect((yield* tail(cpln)).code).toBe(1006)
      expect([yield* closed, yield* abrupt]).toEqual([1, 1])
    })
  )

  it.live("are refused with the status that was asked for", () =>
    Effect.gen(function* () {
      const cpln = yield* withScript("echo one")
      const fired = yield* fault(cpln, {
        what: "tail-refused",
        status: 429,
        times: 1,
        where: { workload: "run*" }
      })
      expect((yield* tail(cpln)).code).toBe(429)
      yield* ran(cpln)
      expect((yield* tail(cpln, 1)).texts).toEqual(["one"])
      expect(yield* fired).toBe(1)
    })
  )
})
