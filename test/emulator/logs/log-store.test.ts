import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Result, Schema } from "effect"
import { LogStore, type NewLine } from "../../../src/emulator/logs/log-store.ts"
import { parseQuery } from "../../../src/emulator/logs/logql.ts"
import { defaultLogSettings, LogSettings } from "../../../src/emulator/logs/settings.ts"

const labelsOf = (workload: string, replica = "r") => ({ gvc: "dev", workload, replica, stream: "stdout" })
const line = (at: bigint, text: string, workload = "runner", org = "acme"): NewLine => ({
  at,
  org,
  labels: labelsOf(workload),
  line: text
})
const all = Result.getOrThrow(parseQuery('{gvc="dev"}'))
const everything = {
  org: "acme",
  query: all,
  start: 0n,
  end: undefined,
  limit: 10_000,
  direction: "forward"
} as const

const small = LogStore.layer.pipe(
  Layer.provide(Layer.succeed(LogSettings, { ...defaultLogSettings, keepBytes: 20_000 }))
)
const store = LogStore.layer

describe("the lines of the log service", () => {
  it.effect("are read by time, from the start inclusive to the end exclusive, either way", () =>
    Effect.gen(function* () {
      const logs = yield* LogStore
      for (const at of [10n, 20n, 30n, 40n]) logs.append(line(at, `at ${at}`))
      const read = (start: bigint, end: bigint, direction: "forward" | "backward", limit = 10) =>
        logs.range({ ...everything, start, end, direction, limit }).map((each) => each.line)
      expect(read(20n, 40n, "forward")).toEqual(["at 20", "at 30"])
      expect(read(20n, 40n, "backward")).toEqual(["at 30", "at 20"])
      expect(read(0n, 100n, "forward", 1)).toEqual(["at 10"])
      expect(read(0n, 100n, "backward", 1)).toEqual(["at 40"])
      expect(read(41n, 100n, "forward")).toEqual([])
    }).pipe(Effect.provide(store))
  )

  it.effect("of several streams are merged by time, and of other orgs and workloads left out", () =>
    Effect.gen(function* () {
      const logs = yield* LogStore
      logs.append(line(10n, "a", "one"))
      logs.append(line(30n, "c", "one"))
      logs.append(line(20n, "b", "two"))
      logs.append(line(25n, "elsewhere", "one", "other-org"))
      expect(logs.range(everything).map((each) => each.line)).toEqual(["a", "b", "c"])
      const query = Result.getOrThrow(parseQuery('{workload="two"}'))
      expect(logs.range({ ...everything, query }).map((each) => each.line)).toEqual(["b"])
    }).pipe(Effect.provide(store))
  )

  it.effect("get stamps that grow strictly within their stream, whatever time they come with", () =>
    Effect.gen(function* () {
      const logs = yield* LogStore
      for (const at of [10n, 10n, 5n, 12n]) logs.append(line(at, String(at)))
      logs.append(line(10n, "another stream", "other"))
      const stamps = logs.range(everything).filter((each) => each.labels["workload"] === "runner")
      expect(stamps.map((each) => each.at)).toEqual([10n, 11n, 12n, 13n])
      expect(logs.range(everything).find((each) => each.labels["workload"] === "other")?.at).toBe(10n)
    }).pipe(Effect.provide(store))
  )

  it.effect("are dropped when empty and cut when longer than 16 KiB, between two characters", () =>
    Effect.gen(function* () {
      const logs = yield* LogStore
      logs.append(line(1n, ""))
      logs.append(line(2n, "x".repeat(16_384)))
      logs.append(line(3n, "x".repeat(16_385)))
      logs.append(line(4n, `x${"é".repeat(10_000)}`))
      logs.append({ ...line(5n, "x".repeat(16_384)), unread: 7 })
      expect(logs.range(everything).map((each) => each.line)).toEqual([
        "x".repeat(16_384),
        `${"x".repeat(16_384)}... [truncated 1 bytes]`,
        `x${"é".repeat(8191)}... [truncated 3618 bytes]`,
        `${"x".repeat(16_384)}... [truncated 7 bytes]`
      ])
    }).pipe(Effect.provide(store))
  )

  it.effect("are held within the bound of memory: the oldest go, and streams with them", () =>
    Effect.gen(function* () {
      const logs = yield* LogStore
      for (let n = 0; n < 5_000; n++) logs.append(line(BigInt(n), `line ${n}`, `w${n % 7}`))
      const kept = logs.range(everything).map((each) => each.line)
      expect(logs.size().bytes).toBeLessThanOrEqual(20_000)
      expect(kept.length).toBe(logs.size().lines)
      expect(kept.length).toBeGreaterThan(50)
      expect(kept).toEqual(Array.from({ length: kept.length }, (_, n) => `line ${5_000 - kept.length + n}`))
    }).pipe(Effect.provide(small))
  )

  it.effect("reach a follower in the order of their arrival, from its beginning on", () =>
    Effect.gen(function* () {
      const logs = yield* LogStore
      logs.append(line(10n, "before"))
      const follower = logs.follow("acme", all)
      const waiting = yield* Effect.forkChild(follower.news)
      yield* Effect.yieldNow
      logs.append(line(9n, "late", "other"))
      logs.append(line(11n, "b"))
      logs.append(line(12n, "not mine", "runner", "other-org"))
      yield* Fiber.join(waiting)
      expect(follower.take(1).map((each) => each.line)).toEqual(["late"])
      expect(follower.take(10).map((each) => each.line)).toEqual(["b"])
      expect(follower.take(10)).toEqual([])
      expect(follower.missed()).toBe(0)
    }).pipe(Effect.provide(store))
  )

  it.effect("that were forgotten before a follower came to them are counted", () =>
    Effect.gen(function* () {
      const logs = yield* LogStore
      const follower = logs.follow("acme", all)
      for (let n = 0; n < 1_000; n++) logs.append(line(BigInt(n), `line ${n}`))
      const taken = follower.take(1_000)
      expect(taken.at(-1)?.line).toBe("line 999")
      expect(follower.missed() + taken.length).toBe(1_000)
      expect(follower.missed()).toBeGreaterThan(0)
    }).pipe(Effect.provide(small))
  )

  const Print = Schema.Struct({
    stream: Schema.Literals(["a", "b", "c"]),
    later: Schema.Literals([0, 0, 1, 3]),
    matching: Schema.Boolean
  })

  it.effect.prop(
    "are all found, each once, by paging from the last stamp plus one",
    {
      prints: Schema.Array(Print).pipe(Schema.check(Schema.isMaxLength(200))),
      limit: Schema.Literals([1, 2, 3, 7, 999])
    },
    ({ prints, limit }) =>
      Effect.gen(function* () {
        const logs = yield* LogStore
        let now = 0n
        const printed: Array<string> = []
        for (const [n, { later, matching, stream }] of prints.entries()) {
          // One source of stamps, as jobs have it: ties between streams are not paged over by anyone.
          now += BigInt(later) + 1n
          const text = `${matching ? "yes" : "no"} ${n}`
          logs.append(line(now, text, stream))
          if (matching) printed.push(text)
        }
        const query = Result.getOrThrow(parseQuery('{gvc="dev"} |= "yes"'))
        const read: Array<string> = []
        let start = 0n
        for (;;) {
          const page = logs.range({ ...everything, query, start, limit })
          read.push(...page.map((each) => each.line))
          if (page.length < limit) break
          start = page.at(-1)!.at + 1n
        }
        expect(read).toEqual(printed)
      }).pipe(Effect.provide(Layer.fresh(store)))
  )
})
