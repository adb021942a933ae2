import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { LogStore } from "../../../src/emulator/logs/log-store.ts"
import { queryRange } from "../../../src/emulator/logs/routes.ts"

const second = 1_000_000_000n
const hour = 3_600n * second
const now = 1_800_000_000n * second
const labels = { gvc: "dev", workload: "runner", stream: "stdout" }

/** Asks at a fixed time, over lines that were printed before it. */
const ask = (
  params: Readonly<Record<string, string>>,
  lines: ReadonlyArray<readonly [bigint, string]> = []
) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(Number(now / 1_000_000n))
    const store = yield* LogStore
    for (const [ago, line] of lines) store.append({ at: now - ago, org: "acme", labels, line })
    return yield* queryRange("acme", new URLSearchParams({ query: '{gvc="dev"}', ...params }))
  }).pipe(Effect.provide(LogStore.layer))

const answer = (...values: ReadonlyArray<readonly [bigint, string]>) => ({
  status: "success",
  data: {
    resultType: "streams",
    result:
      values.length === 0 ? [] : [{ stream: labels, values: values.map(([at, line]) => [String(at), line]) }],
    stats: {}
  }
})

describe("a range read of the log service", () => {
  it.effect("answers in Loki's shape, the newest of the last hour first unless asked otherwise", () =>
    Effect.gen(function* () {
      const body = yield* ask({}, [
        [2n * hour, "too old"],
        [2n * second, "a"],
        [second, "b"]
      ])
      expect(body).toEqual(answer([now - second, "b"], [now - 2n * second, "a"]))
    })
  )

  it.effect("goes forward from start to end as nanoseconds, seconds or RFC 3339 have them", () =>
    Effect.gen(function* () {
      const lines = [
        [3n * second, "a"],
        [2n * second, "b"],
        [second, "c"]
      ] as const
      const forward = { direction: "forward" }
      expect(yield* ask({ ...forward, start: String(now - 2n * second), end: String(now) }, lines)).toEqual(
        answer([now - 2n * second, "b"], [now - second, "c"])
      )
      expect(
        yield* ask(
          { ...forward, start: String((now - 3n * second) / second), end: String(now - second) },
          lines
        )
      ).toEqual(answer([now - 3n * second, "a"], [now - 2n * second, "b"]))
      expect(yield* ask({ ...forward, start: "2027-01-15T07:59:59Z" }, lines)).toEqual(
        answer([now - second, "c"])
      )
    })
  )

  it.effect("gives 30 lines unless told, and never more than 5000", () =>
    Effect.gen(function* () {
      const lines = Array.from({ length: 6_000 }, (_, n) => [BigInt(6_000 - n), `line ${n}`] as const)
      const count = (params: Readonly<Record<string, string>>) =>
        Effect.map(
          ask({ direction: "forward", ...params }, lines),
          (body) => JSON.stringify(body).match(/line /gu)?.length
        )
      expect(yield* count({})).toBe(30)
      expect(yield* count({ limit: "999" })).toBe(999)
      expect(yield* count({ limit: "100000" })).toBe(5_000)
    })
  )

  it.effect("without a line is a success with no streams", () =>
    Effect.gen(function* () {
      expect(yield* ask({})).toEqual(answer())
    })
  )

  it.effect.each([
    [{ query: "" }, "query"],
    [{ query: "{" }, "parse error"],
    [{ limit: "many" }, "limit"],
    [{ limit: "0" }, "limit must be a positive value"],
    [{ limit: "-1" }, "limit must be a positive value"],
    [{ direction: "sideways" }, "direction"],
    [{ start: "yesterday" }, "could not parse 'start'"],
    [{ end: "1e18" }, "could not parse 'end'"],
    [{ start: "200", end: "100" }, "end timestamp"],
    [{ start: "0" }, "31d"]
  ] as const)("is refused with 400 when it makes no sense: %j", ([params, why]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(ask(params))
      expect(error.status).toBe(400)
      expect(error.message).toContain(why)
    })
  )
})
