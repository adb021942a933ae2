/** Scenario files and the flags for faults, through the command that users start. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { Console, Effect, Exit, Result, Schedule } from "effect"
import { Command } from "effect/cli"
import { describe } from "vitest"
import { emulator as command } from "../../../src/cli/emulator.ts"
import { readScenario } from "../../../src/emulator/faults/scenario.ts"
import { platform } from "../../../src/platform.ts"
import { client } from "../harness.ts"

const run = (...args: ReadonlyArray<string>) =>
  Command.runWith(command, { version: "test" })(args).pipe(
    Effect.provide(platform),
    Effect.provideService(Console.Console, { ...globalThis.console, log: () => {}, error: () => {} })
  )

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "emulator-scenario-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const fileOf = Effect.fnUntraced(function* (text: string) {
  const path = join(yield* folder, "scenario.yaml")
  writeFileSync(path, text)
  return path
})

/** A client of an emulator that was started with these flags. */
const started = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const ready = join(yield* folder, "ready.json")
  yield* Effect.forkScoped(run("--port", "0", "--org", "acme", "--ready-file", ready, ...args))
  yield* Effect.sync(() => existsSync(ready)).pipe(
    Effect.repeat({ until: (there) => there, schedule: Schedule.spaced("10 millis") }),
    Effect.timeout("5 seconds")
  )
  const { url, token } = JSON.parse(readFileSync(ready, "utf8")) as { url: string; token: string }
  return { ...client(url, token), token }
})

const scenario = `
seed: one
faults:
  - what: server-error
    status: 502
    probability: 0.5
    where: { path: /org/acme }
`

describe("a scenario file", () => {
  it.live("says what goes wrong, and its seed repeats it", () =>
    Effect.gen(function* () {
      const seen = Effect.gen(function* () {
        const cpln = yield* started("--scenario", yield* fileOf(scenario))
        const answers = yield* Effect.replicateEffect(cpln.get("/org/acme"), 30)
        return answers.map(({ status }) => status)
      }).pipe(Effect.scoped)
      const first = yield* seen
      expect(new Set(first)).toEqual(new Set([200, 502]))
      expect(yield* seen).toEqual(first)
      const other = Effect.gen(function* () {
        const cpln = yield* started("--scenario", yield* fileOf(scenario), "--seed", "another")
        const answers = yield* Effect.replicateEffect(cpln.get("/org/acme"), 30)
        return answers.map(({ status }) => status)
      }).pipe(Effect.scoped)
      expect(yield* other).not.toEqual(first)
    })
  )

  it.live("that makes no sense keeps the emulator from starting, and every problem has its line", () =>
    Effect.gen(function* () {
      const file = yield* fileOf("faults:\n  - what: oom\n    when: now\n  - what: nothing\nfault: []\n")
      const exit = yield* Effect.exit(run("--port", "0", "--scenario", file))
      const told = Exit.isFailure(exit) ? String(exit.cause) : ""
      expect(told).toContain(`${file}:2: "when" is not known: oom takes`)
      expect(told).toContain(`${file}:4: "what" "nothing" is no fault`)
      expect(told).toMatch(/"fault" is not known: a scenario has seed, faults/u)
      const missing = yield* Effect.exit(run("--port", "0", "--scenario", `${file}.missing`))
      expect(Exit.isFailure(missing) ? String(missing.cause) : "").toContain("cannot be read")
    })
  )

  it.each<readonly [string, RegExp]>([
    ["faults: [", /^1: /u],
    ["- what: oom", /must hold an object/u],
    ["faults: 3", /1: "faults" must be a list/u],
    ["seed: [1]", /1: "seed" must be a text or a number/u],
    [`faults: [${"{what: oom}, ".repeat(201)}]`, /at most 200/u]
  ])("%s is refused", (text, problem) => {
    const read = readScenario(text)
    expect(Result.isFailure(read) ? read.failure.join("\n") : "").toMatch(problem)
  })

  it("may be empty", () => {
    expect(readScenario("")).toEqual(Result.succeed({ seed: undefined, faults: [] }))
  })
})

describe("flags", () => {
  it.live("for a state folder: the token is the same after a restart, and objects are there", () =>
    Effect.gen(function* () {
      const state = join(yield* folder, "state")
      const seen = Effect.gen(function* () {
        const cpln = yield* started("--state", state)
        const made = yield* cpln.post("/org/acme/gvc", { name: "dev" })
        return [cpln.token, made.status] as const
      }).pipe(Effect.scoped)
      const [token, made] = yield* seen
      expect([token.length, made]).toEqual([48, 201])
      expect(yield* seen).toEqual([token, 409])
    })
  )

  it.live("ask for the common faults, and for any other", () =>
    Effect.gen(function* () {
      const cpln = yield* started(
        ..."--latency 0.01 --jitter 0.02 --error-rate 0.0002 --log-lag 3 --tail-session 60".split(" "),
        "--fault",
        "oom workload=x seconds=3 times=1",
        "--real-times"
      )
      const { json } = yield* cpln.get("/emulator/faults")
      expect(json.items).toEqual([
        expect.objectContaining({ what: "latency", seconds: 0.01, jitter: 0.02 }),
        expect.objectContaining({ what: "server-error", when: "before" }),
        expect.objectContaining({ what: "server-error", when: "after" }),
        expect.objectContaining({ what: "log-lag", seconds: 3 }),
        expect.objectContaining({ what: "tail-cut", seconds: 60 }),
        expect.objectContaining({ what: "oom", where: { workload: "x" } }),
        expect.objectContaining({ what: "late-kill", seconds: 91, jitter: 32 })
      ])
    })
  )

  it.live("that make no sense are told with what is wrong", () =>
    Effect.gen(function* () {
      for (const [args, told] of [
        [["--latency", "-1"], `--latency, --jitter: "seconds" must be a number from 0`],
        [["--error-rate", "3"], `--error-rate: "probability" must be`],
        [["--fault", "ooom"], `--fault "ooom": "what" "ooom" is no fault: use one of latency`]
      ] as const) {
        const exit = yield* Effect.exit(run("--port", "0", ...args))
        expect(Exit.isFailure(exit) ? String(exit.cause) : "").toContain(told)
      }
    })
  )
})
