import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { ids, jobOf, linesOf, look, makeService, pass, withRelay } from "./world.ts"

describe("the tails of an org", () => {
  it.effect("takes a job that is followed in the moment in which the last other one ends", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        for (let job = 1; job <= 20; job++) {
          yield* relay.follow(jobOf(job))
          yield* look(relay, 40)
          yield* relay.retain(ids())
          // No time passes: the feed of before is just ending.
          yield* relay.follow(jobOf(100 + job))
          yield* pass(1)
          yield* service.arrive({ job: 100 + job, line: "seen", at: job * 50_000 })
          yield* pass(0.25)
          expect(linesOf(printed, 100 + job)).toEqual(["seen"])
          expect(service.tails()).toBe(1)
          yield* look(relay, 50)
          expect(service.tails()).toBe(0)
        }
      })
    )
  })

  it.effect("is asked for ever less often while it is refused, and the jobs are read meanwhile", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        service.state.tailsDown = true
        yield* relay.follow(jobOf(1))
        yield* pass(600)
        yield* service.arrive({ job: 1, line: "read", at: 600_000 })
        yield* pass(6)
        expect(linesOf(printed, 1)).toEqual(["read"])
        const tails = service.asked.filter(({ kind }) => kind === "tail").length
        expect(tails).toBeGreaterThan(10)
        expect(tails).toBeLessThan(30)
        service.state.tailsDown = false
        yield* pass(61)
        expect(service.tails()).toBe(1)
      })
    )
  })

  it.effect("of silent jobs costs next to nothing", () => {
    const service = makeService({ latency: 50 })
    return withRelay(service, (relay) =>
      Effect.gen(function* () {
        for (let job = 0; job < 100; job++) yield* relay.follow(jobOf(job))
        yield* look(relay, 600, ...Array.from({ length: 100 }, (_, job) => job))
        expect(service.asked.length).toBeLessThan(20)
      })
    )
  })

  it.effect("stands for five workloads of an org; others are read in turns until one is free", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        for (let job = 1; job <= 7; job++) yield* relay.follow(jobOf(job, { workload: `w${job}` }))
        yield* pass(2)
        expect(service.tails()).toBe(5)
        for (let job = 1; job <= 7; job++) {
          yield* service.arrive({ job, line: "a", at: 2_000, workload: `w${job}` })
        }
        yield* pass(6)
        for (let job = 1; job <= 7; job++) expect(linesOf(printed, job)).toEqual(["a"])
        yield* look(relay, 50, 3, 4, 5, 6, 7)
        expect(service.tails()).toBe(5)
        expect(service.state.mostTails).toBe(5)
        const reads = service.asked.length
        for (let job = 6; job <= 7; job++) {
          yield* service.arrive({ job, line: "b", at: 60_000, workload: `w${job}` })
        }
        yield* pass(0.5)
        expect([linesOf(printed, 6), linesOf(printed, 7)]).toEqual([
          ["a", "b"],
          ["a", "b"]
        ])
        // One read each, which opens the way for what comes live.
        expect(service.asked.length - reads).toBeLessThanOrEqual(4)
        yield* look(relay, 60, 3, 4, 5, 6, 7)
        expect(service.asked.length - reads).toBeLessThanOrEqual(6)
      })
    )
  })
})
