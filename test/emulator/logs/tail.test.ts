import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Layer, Ref, Schema } from "effect"
import { TestClock } from "effect/testing"
import { LogStore } from "../../../src/emulator/logs/log-store.ts"
import { tail, type TailSocket } from "../../../src/emulator/logs/routes.ts"
import { defaultLogSettings, LogSettings } from "../../../src/emulator/logs/settings.ts"

interface Received {
  readonly at: bigint
  readonly line: string
}

interface Frame {
  readonly streams: ReadonlyArray<{
    readonly stream: Readonly<Record<string, string>>
    readonly values: ReadonlyArray<readonly [string, string]>
  }>
}

/** What a client would have read; `pause` is how long the socket takes for a frame. */
const makeClient = (pause: Duration.Input = 0) =>
  Effect.gen(function* () {
    const frames: Array<Frame> = []
    const gone = yield* Deferred.make<void>()
    const closedWith = yield* Ref.make<number | undefined>(undefined)
    const socket: TailSocket = {
      // A frame that the session did not live to hand over was never received.
      send: (text) =>
        Effect.sleep(pause).pipe(Effect.andThen(Effect.sync(() => frames.push(JSON.parse(text))))),
      closed: Deferred.await(gone),
      close: (code) => Ref.set(closedWith, code ?? 1005)
    }
    /** In order of frames; within one by time, as clients do it. */
    const received = () =>
      frames.flatMap(({ streams }) =>
        streams
          .flatMap(({ values }) => values.map(([at, line]): Received => ({ at: BigInt(at), line })))
          .sort((a, b) => (a.at < b.at ? -1 : 1))
      )
    return { socket, frames, gone, closedWith, received }
  })

const labelsOf = (workload: string) => ({ gvc: "dev", workload, stream: "stdout" })

const print = (at: bigint, line: string, workload = "runner") =>
  Effect.map(LogStore, (store) => store.append({ at, org: "acme", labels: labelsOf(workload), line }))

const params = (extra: Readonly<Record<string, string>> = {}) =>
  new URLSearchParams({ query: '{gvc="dev"}', start: "0", limit: "999", ...extra })

describe("a tail of the log service", () => {
  it.effect("begins with what was printed since its start, then sends what comes, in small batches", () =>
    Effect.gen(function* () {
      const client = yield* makeClient()
      yield* print(1n, "too early")
      yield* print(2n, "a")
      yield* print(3n, "b", "other")
      yield* Effect.forkChild(tail("acme", params({ start: "0.000000002" }), client.socket))
      yield* TestClock.adjust(0)
      expect(client.frames).toEqual([
        {
          streams: [
            { stream: labelsOf("runner"), values: [["2", "a"]] },
            { stream: labelsOf("other"), values: [["3", "b"]] }
          ]
        }
      ])
      yield* print(4n, "c")
      yield* TestClock.adjust("50 millis")
      yield* print(5n, "d")
      expect(client.frames.length).toBe(1)
      yield* TestClock.adjust("50 millis")
      expect(client.frames[1]).toEqual({
        streams: [
          {
            stream: labelsOf("runner"),
            values: [
              ["4", "c"],
              ["5", "d"]
            ]
          }
        ]
      })
    }).pipe(Effect.provide(LogStore.layer))
  )

  it.effect("has of a long past only the newest lines that its limit allows, as Loki does", () =>
    Effect.gen(function* () {
      const client = yield* makeClient()
      for (let n = 1; n <= 50; n++) yield* print(BigInt(n), `line ${n}`)
      yield* Effect.forkChild(tail("acme", params({ limit: "3" }), client.socket))
      yield* TestClock.adjust(0)
      expect(client.received().map((each) => each.line)).toEqual(["line 48", "line 49", "line 50"])
    }).pipe(Effect.provide(LogStore.layer))
  )

  it.effect("sends a line that comes late, with a time that others have passed", () =>
    Effect.gen(function* () {
      const client = yield* makeClient()
      yield* print(100n, "first")
      yield* Effect.forkChild(tail("acme", params(), client.socket))
      yield* TestClock.adjust(0)
      yield* print(50n, "late", "other")
      yield* TestClock.adjust("100 millis")
      expect(client.received().map((each) => each.line)).toEqual(["first", "late"])
    }).pipe(Effect.provide(LogStore.layer))
  )

  it.effect("sends what came while it was still sending the past", () =>
    Effect.gen(function* () {
      const client = yield* makeClient("5 seconds")
      yield* print(1n, "past")
      yield* Effect.forkChild(tail("acme", params(), client.socket))
      yield* TestClock.adjust("1 seconds")
      yield* print(2n, "meanwhile")
      yield* TestClock.adjust("1 minutes")
      expect(client.received().map((each) => each.line)).toEqual(["past", "meanwhile"])
    }).pipe(Effect.provide(LogStore.layer))
  )

  it.effect("never sends more than 500 lines at once", () =>
    Effect.gen(function* () {
      const client = yield* makeClient()
      for (let n = 1; n <= 700; n++) yield* print(BigInt(n), `past ${n}`)
      yield* Effect.forkChild(tail("acme", params(), client.socket))
      yield* TestClock.adjust(0)
      for (let n = 701; n <= 1_400; n++) yield* print(BigInt(n), `now ${n}`)
      yield* TestClock.adjust("1 seconds")
      expect(client.frames.map(({ streams }) => streams[0]?.values.length)).toEqual([500, 200, 500, 200])
    }).pipe(Effect.provide(LogStore.layer))
  )

  it.effect("ends after 30 minutes with a normal close", () =>
    Effect.gen(function* () {
      const client = yield* makeClient()
      const session = yield* Effect.forkChild(tail("acme", params(), client.socket))
      yield* TestClock.adjust("29 minutes")
      expect(session.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 minutes")
      yield* Fiber.join(session)
      expect(yield* Ref.get(client.closedWith)).toBe(1000)
    }).pipe(Effect.provide(LogStore.layer))
  )

  it.effect("ends at once when the other side is gone, also while its socket takes nothing", () =>
    Effect.gen(function* () {
      const client = yield* makeClient(Duration.infinity)
      yield* print(1n, "a")
      const session = yield* Effect.forkChild(tail("acme", params(), client.socket))
      yield* TestClock.adjust("1 seconds")
      yield* Deferred.succeed(client.gone, undefined)
      yield* Fiber.join(session)
    }).pipe(Effect.provide(LogStore.layer))
  )

  it.effect.each([{ query: "{" }, { limit: "0" }, { start: "soon" }, { delay_for: "6" }, { delay_for: "x" }])(
    "that makes no sense is closed as against the rules: %j",
    (bad) =>
      Effect.gen(function* () {
        const client = yield* makeClient()
        yield* tail("acme", params(bad), client.socket)
        expect(yield* Ref.get(client.closedWith)).toBe(1008)
      }).pipe(Effect.provide(LogStore.layer))
  )

  const Burst = Schema.Struct({
    pause: Schema.Literals([0, 1, 20, 100, 101, 950]),
    workload: Schema.Literals(["a", "b", "c"]),
    lines: Schema.Literals([1, 1, 2, 30, 700])
  })
  const Bursts = Schema.Array(Burst).pipe(Schema.check(Schema.isMaxLength(30)))

  /** Prints the bursts and returns what was printed; stamps of one source, as jobs have them. */
  const printAll = (bursts: typeof Bursts.Type) =>
    Effect.gen(function* () {
      const printed: Array<string> = []
      let at = 0n
      for (const { lines, pause, workload } of bursts) {
        yield* Effect.sleep(pause)
        for (let n = 0; n < lines; n++) {
          at += 1n
          printed.push(`${workload} ${at}`)
          yield* print(at, `${workload} ${at}`, workload)
        }
      }
      return printed
    })

  it.effect.prop(
    "loses and doubles nothing and keeps the order, however slow its socket is",
    { bursts: Bursts, pause: Schema.Literals([0, 1, 90, 2_000]) },
    ({ bursts, pause }) =>
      Effect.gen(function* () {
        const client = yield* makeClient(pause)
        const session = yield* Effect.forkChild(tail("acme", params(), client.socket))
        const printing = yield* Effect.forkChild(printAll(bursts))
        yield* TestClock.adjust("2 minutes")
        expect(client.received().map((each) => each.line)).toEqual(yield* Fiber.join(printing))
        yield* Fiber.interrupt(session)
      }).pipe(Effect.provide(Layer.fresh(LogStore.layer))),
    { arbitrary: { runs: 30 }, timeout: 60_000 }
  )

  it.effect.prop(
    "taken up again after the last line received plus one loses and doubles nothing, whenever sessions end",
    { bursts: Bursts, pause: Schema.Literals([0, 3, 40]), session: Schema.Literals([130, 400, 2_000]) },
    ({ bursts, pause, session }) =>
      Effect.gen(function* () {
        const client = yield* makeClient(pause)
        // Sessions of the real length would need hours; the backlog limit stays out of play.
        const sessions = Effect.gen(function* () {
          const next = (client.received().at(-1)?.at ?? -1n) + 1n
          // Nanoseconds of fewer digits would be read as seconds.
          const start = `0.${String(next).padStart(9, "0")}`
          yield* tail("acme", params({ start, limit: "5000" }), client.socket)
        }).pipe(
          Effect.forever,
          Effect.provideService(LogSettings, { ...defaultLogSettings, tailSession: Duration.millis(session) })
        )
        const following = yield* Effect.forkChild(sessions)
        const printing = yield* Effect.forkChild(printAll(bursts))
        yield* TestClock.adjust("2 minutes")
        const printed = yield* Fiber.join(printing)
        // More than one backlog holds would be cut by the rule above this one.
        if (printed.length <= 5_000) expect(client.received().map((each) => each.line)).toEqual(printed)
        yield* Fiber.interrupt(following)
      }).pipe(Effect.provide(Layer.fresh(LogStore.layer))),
    { arbitrary: { runs: 30 }, timeout: 60_000 }
  )
})
