import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Redacted } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import * as Log from "../../src/observe/log.ts"
import { say } from "../../src/observe/say.ts"

type Settings = Parameters<typeof Log.layer>[0]

/** What came out on stdout, and on stderr, of an effect that logs. */
const output = (effect: Effect.Effect<void>, settings: Settings, isTerminal = false) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(Date.parse("2026-11-24T12:34:56.789Z"))
    yield* Effect.provide(effect, Log.layer(settings, isTerminal))
    expect(yield* TestConsole.errorLines).toEqual([])
    return (yield* TestConsole.logLines).map(String)
  })

const text = { logLevel: "info", logFormat: "text" } as const
const json = { logLevel: "info", logFormat: "json" } as const
const pretty = { logLevel: "info", logFormat: "pretty" } as const
const debug = { logLevel: "debug" } as const

const parsed = (line: string | undefined) => JSON.parse(line ?? "") as Record<string, unknown>

describe("the formats", () => {
  it.effect("text: time, level, message", () =>
    Effect.gen(function* () {
      const lines = yield* output(Effect.andThen(Effect.logInfo("hello"), Effect.logWarning("careful")), text)
      expect(lines).toEqual([
        "2026-11-24T12:34:56.789Z INFO  hello",
        "2026-11-24T12:34:56.789Z WARN  careful"
      ])
    })
  )

  it.effect("json: one object, its message one string", () =>
    Effect.gen(function* () {
      const [line] = yield* output(
        Effect.annotateLogs(Effect.logError("it", "broke"), { pool: "cpln" }),
        json
      )
      expect(parsed(line)).toEqual({
        timestamp: "2026-11-24T12:34:56.789Z",
        level: "ERROR",
        message: "it broke",
        annotations: { pool: "cpln" }
      })
    })
  )

  it.effect("pretty: the time of day, and a colour where it is more than information", () =>
    Effect.gen(function* () {
      const lines = yield* output(Effect.andThen(Effect.logInfo("hello"), Effect.logError("broken")), pretty)
      expect(lines[0]).toMatch(/^\d\d:\d\d:56 hello$/u)
      const red = lines[1] ?? ""
      expect([red.slice(0, 5), red.slice(-4)]).toEqual(["\u001b[31m", "\u001b[0m"])
      expect(red.slice(5, -4)).toMatch(/^\d\d:\d\d:56 broken$/u)
    })
  )

  it.effect("are pretty on a terminal and text elsewhere, unless one is asked for", () =>
    Effect.gen(function* () {
      const unset = { logLevel: "info", logFormat: undefined } as const
      expect((yield* output(Effect.logInfo("a"), unset, true))[0]).toMatch(/^\d\d:/u)
      expect((yield* output(Effect.logInfo("a"), unset, false)).at(-1)).toMatch(/^2026-/u)
      expect((yield* output(Effect.logInfo("a"), json, true)).at(-1)).toMatch(/^\{/u)
    })
  )

  it.effect("keep the agent's own line as users filter it", () =>
    Effect.gen(function* () {
      const about = { flow: "etl", runId: "r-1", gvc: "dev", workload: "w", command: "c-1" }
      const [line] = yield* output(say("info", "Job", about, "Creating Control Plane job..."), text)
      expect(line).toContain(
        "[CPLN] Job | Flow: etl, RunID: r-1, GVC: dev, Workload: w, Cmd: c-1 > Creating Control Plane job..."
      )
    })
  )
})

describe("the level", () => {
  it.effect("hides what is below it", () =>
    Effect.gen(function* () {
      const all = Effect.all([
        Effect.logDebug("d"),
        Effect.logInfo("i"),
        Effect.logWarning("w"),
        Effect.logError("e")
      ]).pipe(Effect.asVoid)
      const shown = (logLevel: Settings["logLevel"]) =>
        Effect.gen(function* () {
          const before = (yield* TestConsole.logLines).length
          const lines = yield* output(all, { logLevel, logFormat: "text" })
          return lines.slice(before).map((line) => line.at(-1))
        })
      expect(yield* shown("debug")).toEqual(["d", "i", "w", "e"])
      expect(yield* shown("info")).toEqual(["i", "w", "e"])
      expect(yield* shown("warning")).toEqual(["w", "e"])
      expect(yield* shown("error")).toEqual(["e"])
    })
  )
})

describe("one event is one line", () => {
  const breaks = ["\n", "\r\n", "\r", "\v", "\f", "\u0085", "\u2028", "\u2029"]
  const every = `a${breaks.map((each, nth) => `${each}${nth}`).join("")}\n\n`

  for (const settings of [text, json, pretty]) {
    it.effect(`as ${settings.logFormat}, whatever its text holds`, () =>
      Effect.gen(function* () {
        const lines = yield* output(
          Effect.logWarning(every, Cause.die(new Error(every)), new Error(every), { deep: every }),
          settings
        )
        expect(lines.length).toBe(1)
        expect(breaks.filter((each) => lines[0]?.includes(each))).toEqual([])
      })
    )
  }

  it.effect("in which the breaks can be seen, but not those at its end", () =>
    Effect.gen(function* () {
      const [line] = yield* output(Effect.logInfo("one\r\ntwo\n\n"), text)
      expect(line).toMatch(/INFO {2}one ⏎ two$/u)
    })
  )

  it.effect("whatever is put into it: objects, big numbers, circles, secrets", () =>
    Effect.gen(function* () {
      const circle: Record<string, unknown> = { big: 1n, secret: Redacted.make("hidden-text") }
      circle["self"] = circle
      for (const settings of [text, json]) {
        const lines = yield* output(Effect.annotateLogs(Effect.logInfo("x", circle), { circle }), settings)
        expect(lines.at(-1)).toContain("big")
        expect(lines.at(-1)).not.toContain("hidden-text")
      }
    })
  )
})

describe("a stack trace", () => {
  const failing = Effect.logWarning("the loop stopped", Cause.die(new RangeError("too far")))

  for (const logFormat of ["text", "json", "pretty"] as const) {
    it.effect(`shows at debug only (${logFormat})`, () =>
      Effect.gen(function* () {
        const [usual] = yield* output(failing, { logLevel: "info", logFormat })
        expect(usual).toContain("the loop stopped RangeError: too far")
        expect(usual).not.toContain("log.test.ts")
        const lines = yield* output(failing, { ...debug, logFormat })
        expect(lines[1]).toContain("log.test.ts")
      })
    )
  }

  it.effect("of an interruption is not made up", () =>
    Effect.gen(function* () {
      const [line] = yield* output(Effect.logInfo("ended", Cause.interrupt()), text)
      expect(line).toContain("ended")
      expect(line).not.toContain("log.test.ts")
    })
  )
})
