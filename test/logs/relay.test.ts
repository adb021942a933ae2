import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  dawn,
  idOf,
  jobOf,
  keyOf,
  linesOf,
  makeService,
  pass,
  placeOf,
  type Print,
  type Printed,
  withRelay
} from "./world.ts"
import type { Relay } from "../../src/logs/relay.ts"

type RelayService = Relay["Service"]

const ids = (...jobs: ReadonlyArray<number>) => new Set(jobs.map(idOf))

/** Looks every five seconds that show these jobs live. */
const look = (relay: RelayService, seconds: number, ...jobs: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    for (let gone = 0; gone < seconds; gone += 5) {
      yield* relay.retain(ids(...jobs))
      yield* pass(5)
    }
  })

const numbered = (count: number, of: (n: number) => Print): ReadonlyArray<Print> =>
  Array.from({ length: count }, (_, n) => of(n))

const texts = (prints: ReadonlyArray<Print>) => prints.map(({ line }) => line)

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

describe("a job that looks do not show", () => {
  it.effect("is not given up for overlapping looks, nor for looks before it was seen again", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        for (let n = 0; n < 5; n++) yield* relay.retain(ids())
        yield* pass(30)
        for (let n = 0; n < 5; n++) yield* relay.retain(ids())
        yield* look(relay, 60, 1)
        yield* look(relay, 20)
        yield* look(relay, 60, 1)
        yield* service.arrive({ job: 1, line: "still here", at: 170_000 })
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["still here"])
      })
    )
  })

  it.effect("is looked at once more after its last read", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        yield* relay.retain(ids())
        yield* pass(120)
        yield* service.arrive({ job: 1, line: "it lives", at: 120_000 })
        yield* pass(1)
        yield* relay.retain(ids(1))
        yield* look(relay, 20)
        yield* service.arrive({ job: 1, line: "and goes on", at: 145_000 })
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["it lives", "and goes on"])
      })
    )
  })

  it.effect("and that is followed again later goes on where it was", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1))
        yield* service.arrive({ job: 1, line: "a", at: 1_000 })
        yield* look(relay, 60)
        expect(service.tails()).toBe(0)
        yield* service.arrive({ job: 1, line: "b", at: 70_000 })
        yield* relay.follow(jobOf(1))
        yield* pass(1)
        yield* service.arrive({ job: 1, line: "c", at: 71_000 })
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["a", "b", "c"])
      })
    )
  })

  it.effect("is kept while its place does not answer, and only that place's jobs are", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        yield* relay.follow(jobOf(1, { workload: "deaf" }))
        yield* relay.follow(jobOf(2, { workload: "runner" }))
        for (let n = 0; n < 24; n++) {
          yield* relay.retain(ids(), new Set([keyOf("deaf")]))
          yield* pass(5)
        }
        expect(service.tails()).toBe(1)
        yield* service.arrive({ job: 1, line: "after all that", at: 120_000, workload: "deaf" })
        yield* pass(1)
        expect(linesOf(printed, 1)).toEqual(["after all that"])
      })
    )
  })
})

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

describe("what a pool says of its jobs' output", () => {
  const follow = (relay: RelayService, streamOutput: boolean | undefined) =>
    relay.follow(jobOf(1, { streamOutput }))

  const withLines = (
    test: (
      relay: RelayService,
      printed: Printed,
      arrive: (line: string) => Effect.Effect<void>
    ) => Effect.Effect<void>,
    jobLogs?: "stdout" | "off"
  ) => {
    const service = makeService()
    let at = 0
    const arrive = (line: string) =>
      Effect.suspend(() => service.arrive({ job: 1, line, at: (at += 1_000) })).pipe(Effect.andThen(pass(2)))
    return withRelay(service, (relay, printed) => test(relay, printed, arrive), jobLogs)
  }

  it.effect("is waited for where it is not known yet; then all is printed", () =>
    withLines((relay, printed, arrive) =>
      Effect.gen(function* () {
        yield* follow(relay, undefined)
        yield* arrive("a")
        yield* look(relay, 30, 1)
        yield* follow(relay, undefined)
        expect(printed.lines).toEqual([])
        yield* follow(relay, true)
        yield* arrive("b")
        expect(linesOf(printed, 1)).toEqual(["a", "b"])
      })
    )
  )

  it.effect("false is held to from the first line on", () =>
    withLines((relay, printed, arrive) =>
      Effect.gen(function* () {
        yield* follow(relay, undefined)
        yield* arrive("a")
        yield* follow(relay, false)
        yield* look(relay, 300, 1)
        yield* arrive("b")
        expect(printed.lines).toEqual([])
      })
    )
  )

  it.effect("false ends the following of a job that was followed", () =>
    withLines((relay, printed, arrive) =>
      Effect.gen(function* () {
        yield* follow(relay, true)
        yield* arrive("a")
        yield* follow(relay, false)
        yield* arrive("b")
        yield* look(relay, 300, 1)
        expect(linesOf(printed, 1)).toEqual(["a"])
      })
    )
  )

  it.effect("counts as true when it cannot be known for two minutes, also of a job that has ended", () =>
    withLines((relay, printed, arrive) =>
      Effect.gen(function* () {
        yield* follow(relay, undefined)
        yield* arrive("a")
        yield* look(relay, 200)
        expect(linesOf(printed, 1)).toEqual(["a"])
      })
    )
  )

  it.effect.each([
    ["stdout", false, ["a"]],
    ["stdout", undefined, ["a"]],
    ["off", true, []]
  ] as const)("does not matter with --job-logs %s", ([jobLogs, streamOutput, expected]) =>
    withLines(
      (relay, printed, arrive) =>
        Effect.gen(function* () {
          yield* follow(relay, streamOutput)
          yield* arrive("a")
          yield* look(relay, 150, 1)
          expect(linesOf(printed, 1)).toEqual(expected)
        }),
      jobLogs
    )
  )
})

describe("the last lines", () => {
  it.effect("are those that came last, of any job", () => {
    const service = makeService({ latency: 100 })
    const prints = numbered(50, (n) => ({ job: 1, line: `${n}`, at: n }))
    return withRelay(service, (relay) =>
      Effect.gen(function* () {
        yield* service.arrive(...prints)
        const before = yield* Effect.forkChild(relay.lastLines(placeOf("runner"), idOf(1)))
        yield* pass(1)
        expect(before.pollUnsafe()).toMatchObject({ value: texts(prints).slice(-20) })
        yield* relay.follow(jobOf(1))
        yield* service.arrive({ job: 1, line: "the very last", at: 100 })
        const after = yield* Effect.forkChild(relay.lastLines(placeOf("runner"), idOf(1)))
        yield* pass(1)
        expect(after.pollUnsafe()).toMatchObject({ value: [...texts(prints).slice(-19), "the very last"] })
      })
    )
  })

  it.effect.each([{ latency: 60_000 }, { latency: 0, down: true }])(
    "are none where they cannot be had within five seconds: %j",
    ({ down = false, latency }) => {
      const service = makeService({ latency })
      return withRelay(service, (relay) =>
        Effect.gen(function* () {
          service.state.down = down
          const lines = yield* Effect.forkChild(relay.lastLines(placeOf("runner"), idOf(1)))
          yield* pass(5)
          expect(lines.pollUnsafe()).toMatchObject({ value: [] })
        })
      )
    }
  )
})

describe("a log service in trouble", () => {
  it.effect("is told of once, is never anyone else's trouble, and what it held back is printed later", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        service.state.down = true
        for (let job = 1; job <= 3; job++) yield* relay.follow(jobOf(job, { workload: `w${job}` }))
        yield* service.arrive({ job: 1, line: "a", at: 1, workload: "w1" })
        yield* look(relay, 300, 1, 2)
        const told = () => printed.said.filter((each) => !each.startsWith("Debug"))
        expect(told().length).toBe(1)
        expect(told()[0]).toContain("Output of jobs in org acme cannot be read")
        service.state.down = false
        yield* look(relay, 61, 1, 2)
        expect(linesOf(printed, 1)).toEqual(["a"])
        expect(told().slice(1)).toEqual(["Info [CPLN] Logs > Output of jobs in org acme can be read again."])
      })
    )
  })

  it.effect("does not keep jobs that ended long ago", () => {
    const service = makeService()
    return withRelay(service, (relay, printed) =>
      Effect.gen(function* () {
        service.state.down = true
        yield* relay.follow(jobOf(1))
        yield* relay.follow(jobOf(2, { created: dawn - 86_400_000 }))
        yield* look(relay, 800)
        expect(printed.said.filter((each) => each.includes("given up")).length).toBe(2)
        const asked = service.asked.length
        yield* look(relay, 100)
        expect(service.asked.length).toBe(asked)
      })
    )
  })
})
