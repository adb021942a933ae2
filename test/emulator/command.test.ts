/** `agent emulator` as a command: its flags, its ready file, what it prints. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { Console, Effect, Fiber, Schedule } from "effect"
import { Command } from "effect/cli"
import { describe } from "vitest"
import { emulator as command } from "../../src/cli/emulator.ts"
import { platform } from "../../src/platform.ts"
import { client } from "./harness.ts"

const run = Command.runWith(command, { version: "test" })
const started = (...args: ReadonlyArray<string>) => run(args).pipe(Effect.provide(platform))

/** A console that keeps what is printed. */
const printing = (lines: Array<string>): Console.Console => ({
  ...globalThis.console,
  log: (...words: ReadonlyArray<unknown>) => void lines.push(words.join(" "))
})

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "emulator-command-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

describe("agent emulator", () => {
  it.live("writes its address and token once it answers, and prints how to point clients at it", () =>
    Effect.gen(function* () {
      const readyFile = join(yield* folder, "ready.json")
      const lines: Array<string> = []
      const fiber = yield* started(
        "--port",
        "0",
        "--org",
        "acme",
        "--org",
        "other",
        "--ready-file",
        readyFile
      ).pipe(Effect.provideService(Console.Console, printing(lines)), Effect.forkChild)
      yield* Effect.sync(() => existsSync(readyFile)).pipe(
        Effect.repeat({ until: (there) => there, schedule: Schedule.spaced("10 millis") }),
        Effect.timeout("5 seconds")
      )
      const { url, token } = JSON.parse(readFileSync(readyFile, "utf8")) as { url: string; token: string }
      expect(statSync(readyFile).mode & 0o077).toBe(0)
      expect(token).toMatch(/^[0-9a-f]{48}$/u)
      const cpln = client(url, token)
      expect((yield* cpln.get("/org")).json.items.map(({ name }: { name: string }) => name)).toEqual([
        "acme",
        "other"
      ])
      expect((yield* client(url, "other").get("/org")).status).toBe(401)
      const printed = lines.join("\n")
      for (const name of ["ENDPOINT", "TOKEN", "ORG", "GVC", "SKIP_UPDATE_CHECK"]) {
        expect(printed).toContain(`export CPLN_${name}=`)
      }
      expect(printed).toContain(`${url}/?token=${token}`)
      // This machine alone, unless told.
      expect(new URL(url).hostname).toBe("127.0.0.1")
      yield* Fiber.interrupt(fiber)
      const after = yield* Effect.exit(Effect.tryPromise(() => fetch(url)))
      expect(after._tag).toBe("Failure")
    })
  )

  const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
    [["--port", "70000"], /--port takes a whole number from 0 to 65535/u],
    [["--page-size", "0"], /--page-size takes a whole number from 1 to 1000/u],
    [["--grace", "-1"], /--grace takes seconds from 0 to 86400/u],
    [["--org", "Not a name"], /--org takes a name, and "Not a name" is none/u]
  ]
  it.live("refuses what makes no sense, and says what would", () =>
    Effect.gen(function* () {
      for (const [args, message] of wrong) {
        const error = yield* Effect.flip(started(...args))
        expect([args, error instanceof Error ? error.message : ""]).toEqual([
          args,
          expect.stringMatching(message)
        ])
      }
    })
  )
})
