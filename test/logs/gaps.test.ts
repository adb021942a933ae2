import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { jobOf, linesOf, makeService, numbered, pass, texts, withRelay, type Print } from "./world.ts"

describe("a tail", () => {
  it.effect.each(["end", "break"] as const)("leaves no gap, however much comes in it: %s", (how) => {
    const service = makeService({ latency: 50, opening: 400 })
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        yield* relay.follow(jobOf(2))
        const before = numbered(5, (n) => ({ job: 1, line: `before ${n}`, at: n }))
        const gap = numbered(3_000, (n) => ({
          job: 1,
          line: `gap ${n}`,
          at: 2_000 + Math.trunc(n / 7),
          nanos: n
        }))
        yield* service.arrive(...before)
        yield* pass(2)
        yield* service.cut(how)
        yield* service.arrive(...gap, { job: 2, line: "quiet one", at: 2_000 })
        yield* pass(0.5)
        expect(linesOf(printed, 2)).toEqual(["quiet one"])
        yield* pass(9.5)
        const after = numbered(5, (n) => ({ job: 1, line: `after ${n}`, at: 20_000 + n }))
        yield* service.arrive(...after)
        yield* pass(10)
        expect(linesOf(printed, 1)).toEqual(texts([...before, ...gap, ...after]))
        expect(linesOf(printed, 2)).toEqual(["quiet one"])
      })
    )
  })

  it.effect("leaves no gap for a stream that is late behind another", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        yield* service.arrive({ job: 1, line: "in time", at: -300_000 })
        yield* pass(30)
        yield* service.arrive({ job: 1, line: "in time too", at: -270_000 })
        yield* service.cut("end")
        yield* service.arrive({ job: 1, line: "late", at: -295_000, stream: "stderr" })
        yield* pass(10)
        expect(linesOf(printed, 1)).toEqual(["in time", "in time too", "late"])
      })
    )
  })

  it.effect("has nothing fall between a read and its own beginning, however long that takes", () => {
    const service = makeService({ latency: 50, opening: 7_000 })
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        const prints = numbered(80, (n) => ({ job: 1, line: `${n}`, at: n * 250 - 300_000 }))
        for (const each of prints) {
          yield* service.arrive(each)
          yield* pass(0.25)
        }
        yield* pass(3)
        expect(linesOf(printed, 1)).toEqual(texts(prints))
      })
    )
  })

  it.effect.each([
    [2_000, 3],
    [12_000, 15],
    [240_000, 121]
  ] as const)(
    "has no quiet job wait for what fell there: open after %d ms, printed after %d s",
    ([opening, seconds]) => {
      const service = makeService({ latency: 50, opening })
      return withRelay(service, (relay, printed) =>
        Effect.gen(function* () {
          yield* relay.follow(jobOf(1))
          yield* pass(opening / 2_000)
          yield* service.arrive({ job: 1, line: "all there is", at: -299_000 })
          yield* pass(seconds)
          expect(linesOf(printed, 1)).toEqual(["all there is"])
        })
      )
    }
  )

  it.effect("prints nothing by itself before a read that began after it stood", () => {
    const service = makeService({ latency: 1_000, opening: 700 })
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        yield* pass(0.6)
        // The first read has looked already, and the tail does not stand yet.
        yield* service.arrive({ job: 1, line: "1", at: -300_000 })
        yield* pass(0.2)
        yield* service.arrive({ job: 1, line: "2", at: -299_000 })
        yield* pass(5)
        yield* service.arrive({ job: 1, line: "3", at: -298_000 })
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["1", "2", "3"])
      })
    )
  })

  it.effect("prints nothing by itself before the gap that the one before it left is read", () => {
    const service = makeService({ latency: 8_000 })
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        const line = (n: number): Print => ({ job: 1, line: `${n}`, at: -300_000 + n })
        yield* relay.follow(jobOf(1))
        yield* pass(1)
        yield* service.arrive(line(1))
        yield* pass(30)
        yield* service.cut("break")
        yield* pass(0.1)
        yield* service.arrive(line(2))
        yield* pass(2.5)
        expect(service.tails()).toBe(1)
        yield* service.arrive(line(3))
        yield* pass(30)
        yield* service.arrive(line(4))
        yield* pass(0.5)
        expect(linesOf(printed, 1)).toEqual(["1", "2", "3", "4"])
      })
    )
  })

  it.effect("loses nothing of a job that prints more than there is room for before it may pass", () => {
    const service = makeService({ latency: 2_000 })
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        const long = (n: number): Print => ({
          job: 1,
          line: `${n} ${"x".repeat(2_000)}`,
          at: 3_000,
          nanos: n
        })
        const prints = numbered(900, long)
        yield* relay.follow(jobOf(1))
        yield* pass(2.5)
        yield* service.arrive(prints[0]!)
        yield* pass(1.5)
        // The read that is to open the way has looked already.
        yield* service.arrive(...prints.slice(1))
        yield* pass(30)
        expect(linesOf(printed, 1)).toEqual(texts(prints))
      })
    )
  })
})
