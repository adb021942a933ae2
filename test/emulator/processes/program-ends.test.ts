import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { isAlive } from "./alive.ts"

const place = mkdtempSync(join(tmpdir(), "program-ends-"))
afterAll(() => rmSync(place, { recursive: true, force: true }))

const program = join(import.meta.dirname, "job-of-a-program.ts")
const runtime = (name: string) => join(import.meta.dirname, "../../../node_modules/.bin", name)

const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() =>
    condition() ? Effect.void : Effect.sleep("20 millis").pipe(Effect.andThen(until(condition)))
  )

const ended = (child: ChildProcess) =>
  Effect.callback<number | null>((resume) => {
    child.once("exit", (code) => resume(Effect.succeed(code)))
  })

describe.each(["bun", "node"])("a job, when the emulator ends under %s", (name) => {
  it.live.each([
    ["SIGTERM", "SIGTERM", "", 0],
    ["SIGINT", "SIGINT", "", 0],
    ["SIGTERM while it prints without end", "SIGTERM", "flood", 0],
    ["an error outside of any scope", undefined, "crash", 1]
  ] as const)("by %s, ends with it, and its folders are gone", ([, signal, how, code]) =>
    Effect.gen(function* () {
      const folder = mkdtempSync(join(place, "tmp-"))
      const file = join(folder, "pids")
      const child = spawn(runtime(name), [program, file, how], {
        env: { ...process.env, TMPDIR: folder },
        stdio: "ignore"
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
      const end = yield* Effect.forkChild(ended(child))
      yield* until(() => existsSync(file) && readFileSync(file, "utf8").endsWith("ready\n"))
      const pid = Number.parseInt(readFileSync(file, "utf8"), 10)
      expect(isAlive(pid)).toBe(true)
      // Long enough for its output to pile up, if it can.
      if (how === "flood") yield* Effect.sleep("1 seconds")
      if (signal !== undefined) child.kill(signal)
      expect(yield* Fiber.join(end)).toBe(code)
      yield* until(() => !isAlive(pid))
      expect(readdirSync(folder)).toEqual(["pids"])
    }).pipe(Effect.timeout("15 seconds"))
  )
})
