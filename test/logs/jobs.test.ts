import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  dawn,
  idOf,
  jobOf,
  linesOf,
  look,
  makeService,
  numbered,
  pass,
  texts,
  withRelay,
  type Print
} from "./world.ts"

describe("a followed job", () => {
  it.effect("is printed from its first line on, each with its run and its place", () => {
    const service = makeService({ latency: 100 })
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* service.arrive({ job: 1, line: "before it was followed", at: -500 })
        yield* relay.follow(jobOf(1))
        yield* pass(1)
        yield* service.arrive({ job: 1, line: "after it", at: 1_000 })
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["before it was followed", "after it"])
        expect(printed.lines[1]?.whole).toBe(
          `[CPLN] Logs | Flow: etl, RunID: run-1, GVC: dev, Workload: runner, Cmd: ${idOf(1)} > after it`
        )
      })
    )
  })

  it.effect("is printed from its first line on by an agent whose clock is five minutes ahead", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1, { created: dawn }))
        yield* service.arrive({ job: 1, line: "first", at: -300_000 })
        yield* pass(1)
        yield* service.arrive({ job: 1, line: "second", at: -299_000 })
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["first", "second"])
      })
    )
  })

  it.effect("is printed by an agent whose clock is an hour behind", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* service.arrive({ job: 1, line: "first", at: 3_600_000 })
        service.state.tailsDown = true
        yield* relay.follow(jobOf(1))
        yield* pass(10)
        yield* service.arrive({ job: 1, line: "second", at: 3_601_000 })
        yield* pass(10)
        expect(linesOf(printed, 1)).toEqual(["first", "second"])
      })
    )
  })

  it.effect("whose time of creation is not known is read as far back as lines are kept", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* service.arrive({ job: 1, line: "old", at: -29 * 86_400_000 })
        yield* relay.follow(jobOf(1, { created: 0 }))
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["old"])
        for (const { start } of service.asked) expect(start).toBeGreaterThan(0n)
      })
    )
  })

  it.effect(
    "loses and doubles nothing when its workload is tailed already, whatever it prints meanwhile",
    () => {
      const service = makeService({ latency: 1_000 })
      return withRelay(service, (relay, printed) =>
        Effect.gen(function* () {
          yield* relay.follow(jobOf(1))
          yield* service.arrive({ job: 1, line: "other", at: 0 })
          yield* pass(3)
          const prints = numbered(40, (n) => ({ job: 2, line: `${n}`, at: 3_000 + n * 100 }))
          for (const [n, each] of prints.entries()) {
            yield* service.arrive(each)
            if (n === 10) yield* relay.follow(jobOf(2))
            yield* pass(0.25)
          }
          yield* pass(3)
          expect(linesOf(printed, 2)).toEqual(texts(prints))
        })
      )
    }
  )

  it.effect("that is shorter than the pause between two looks is printed whole, late lines too", () => {
    const service = makeService({ latency: 100, opening: 300 })
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        yield* service.arrive({ job: 1, line: "a", at: 10 }, { job: 1, line: "b", at: 20 })
        service.state.tailsDown = true
        yield* service.cut("break")
        yield* look(relay, 30)
        yield* service.arrive({ job: 1, line: "last", at: 900 })
        yield* look(relay, 30)
        expect(linesOf(printed, 1)).toEqual(["a", "b", "last"])
        const asked = service.asked.length
        yield* look(relay, 60)
        expect(service.asked.length).toBe(asked)
        expect(service.tails()).toBe(0)
      })
    )
  })

  it.effect("prints lines as they are, long and odd ones", () => {
    const service = makeService()
    const odd = [
      "x".repeat(16_384),
      "\u0000\u001b[31m",
      "\ud800 half",
      '{"a": "b"}',
      " Cmd: x > y",
      "é\u2028z"
    ]
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        yield* service.arrive(...odd.map((line, n): Print => ({ job: 1, line, at: n })))
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(odd)
      })
    )
  })
})

describe("streams of one job", () => {
  const late: ReadonlyArray<readonly [string, boolean]> = [
    ["live", false],
    ["by reads while no tail stands", true]
  ]
  it.effect.each(late)("that are late behind one another are all printed: %s", ([, tailsDown]) => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        service.state.tailsDown = tailsDown
        yield* relay.follow(jobOf(1))
        yield* service.arrive({ job: 1, line: "out 30", at: 30_000 })
        yield* pass(6)
        yield* service.arrive({ job: 1, line: "err 5", at: 5_000, stream: "stderr" })
        yield* pass(6)
        yield* service.arrive({ job: 1, line: "other replica 2", at: 2_000, replica: "y" })
        yield* service.arrive({ job: 1, line: "err 6", at: 6_000, stream: "stderr" })
        yield* service.arrive({ job: 1, line: "out 31", at: 31_000 })
        yield* pass(6)
        expect([...linesOf(printed, 1)].sort()).toEqual([
          "err 5",
          "err 6",
          "other replica 2",
          "out 30",
          "out 31"
        ])
      })
    )
  })

  it.effect("keep equal stamps and equal texts apart", () => {
    const service = makeService({ latency: 100 })
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        for (const stream of ["stdout", "stderr"] as const) {
          for (const line of ["same", "other"]) {
            yield* service.arrive({ job: 1, line, at: 1_000, stream })
            yield* pass(1)
          }
        }
        yield* service.cut("end")
        yield* pass(10)
        expect([...linesOf(printed, 1)].sort()).toEqual(["other", "other", "same", "same"])
      })
    )
  })
})
