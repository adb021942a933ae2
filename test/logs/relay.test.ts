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
  placeOf,
  texts,
  withRelay,
  type Printed,
  type RelayService
} from "./world.ts"

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
