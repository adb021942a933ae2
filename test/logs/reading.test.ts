import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { jobOf, linesOf, makeService, numbered, pass, texts, withRelay } from "./world.ts"

describe("what is read", () => {
  it.effect(
    "in many pages is printed whole and in order, and other jobs of the workload have their turn",
    () => {
      const service = makeService({ latency: 20 })
      const prints = numbered(60_000, (n) => ({ job: 1, line: `${n}`, at: -300_000 + n, nanos: n % 7 }))
      return withRelay(service, (relay, printed) =>
        Effect.gen(function* () {
          service.state.tailsDown = true
          yield* service.arrive(...prints)
          yield* relay.follow(jobOf(1))
          yield* pass(0.25)
          yield* relay.follow(jobOf(2))
          yield* service.arrive({ job: 2, line: "not last", at: 0 })
          yield* pass(30)
          expect(linesOf(printed, 1)).toEqual(texts(prints))
          const place = printed.lines.findIndex(({ line }) => line === "not last")
          expect(place).toBeLessThan(printed.lines.length - 5_000)
        })
      )
    }
  )

  it.effect("goes on where it broke off", () => {
    const service = makeService({ latency: 20 })
    const prints = numbered(20_000, (n) => ({ job: 1, line: `${n}`, at: -500_000 + n * 10 }))
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        service.state.tailsDown = true
        // Never long enough for all of it.
        service.state.failEvery = 8
        yield* service.arrive(...prints)
        yield* relay.follow(jobOf(1))
        yield* pass(60)
        expect(linesOf(printed, 1)).toEqual(texts(prints))
      })
    )
  })

  it.effect("reaches back over the time that reading took, for what came late meanwhile", () => {
    const service = makeService({ latency: 50_000 })
    const stdout = numbered(2_100, (n) => ({ job: 1, line: `${n}`, at: n * 24 }))
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        service.state.tailsDown = true
        yield* relay.follow(jobOf(1))
        yield* service.arrive(...stdout.slice(0, 999))
        yield* pass(30)
        yield* service.arrive({ job: 1, line: "late", at: 20_000, stream: "stderr" })
        yield* service.arrive(...stdout.slice(999, 2_000))
        yield* pass(60)
        yield* service.arrive(...stdout.slice(2_000), { job: 1, line: "newest", at: 120_000 })
        yield* pass(900)
        expect([...linesOf(printed, 1)].sort()).toEqual([...texts(stdout), "late", "newest"].sort())
      })
    )
  })

  it.effect("does not depend on stamps of the future", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        yield* service.arrive({ job: 1, line: "of a clock ahead", at: 600_000, replica: "y" })
        yield* pass(2)
        service.state.tailsDown = true
        yield* service.cut("break")
        for (let n = 0; n < 3; n++) {
          yield* service.arrive({ job: 1, line: `${n}`, at: 2_000 + n })
          yield* pass(6)
        }
        expect(linesOf(printed, 1)).toEqual(["of a clock ahead", "0", "1", "2"])
      })
    )
  })

  it.effect("does not stand still where more lines have one stamp than an answer holds", () => {
    const service = makeService({ latency: 20 })
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        service.state.tailsDown = true
        yield* service.arrive(...numbered(2_500, (n) => ({ job: 1, line: `${n}`, at: -1_000 })))
        yield* service.arrive({ job: 1, line: "behind them", at: 0 })
        yield* relay.follow(jobOf(1))
        yield* pass(2)
        expect(linesOf(printed, 1).length).toBe(1_000)
        expect(linesOf(printed, 1).at(-1)).toBe("behind them")
      })
    )
  })

  it.effect("is read for many jobs at once", () => {
    const service = makeService({ latency: 100 })
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        for (let job = 0; job < 300; job++) yield* relay.follow(jobOf(job))
        for (let job = 0; job < 300; job++) yield* service.arrive({ job, line: `of ${job}`, at: job })
        yield* pass(2)
        for (let job = 0; job < 300; job++) expect(linesOf(printed, job)).toEqual([`of ${job}`])
        expect(service.asked.filter(({ kind }) => kind === "range").length).toBeLessThan(20)
      })
    )
  })
})
