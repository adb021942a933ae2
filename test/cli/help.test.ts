import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { CliConfig, Command, GlobalFlag } from "effect/cli"
import { TestConsole } from "effect/testing"
import * as Help from "../../src/cli/help.ts"
import { pool } from "../../src/cli/pool.ts"
import { root, start } from "../../src/cli/start.ts"
import { platform } from "../../src/platform.ts"
import { type Setting, settings } from "../../src/settings.ts"

const agent = Command.runWith(root.pipe(Command.withSubcommands([start, pool])), { version: "1.2.3" })

/** What a person sees on the terminal. */
const shown = (...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    yield* Effect.exit(agent(args))
    return [...(yield* TestConsole.logLines), ...(yield* TestConsole.errorLines)].map(String).join("\n")
  }).pipe(
    Effect.provide(
      Layer.mergeAll(
        Help.layer,
        CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] }),
        platform
      )
    )
  )

const all = Object.values(settings) as ReadonlyArray<Setting<unknown>>

describe("agent --help", () => {
  it.effect("fits a screen, and names every setting with its default within eighty columns", () =>
    Effect.gen(function* () {
      const text = yield* shown("--help")
      const lines = text.split("\n")
      expect(lines.length).toBeLessThanOrEqual(50)
      for (const { flag, shown } of all) {
        const line = lines.find((each) => each.includes(`--${flag} `))
        expect(line, flag).toBeDefined()
        expect(line?.length, line).toBeLessThanOrEqual(80)
        if (shown !== "") expect(line).toContain(`(${shown})`)
      }
      for (const each of ["--pool", "--work-queue", "--base-job-template"]) expect(text).toContain(each)
    })
  )

  it.effect("of start names the environment variables too", () =>
    Effect.gen(function* () {
      const text = yield* shown("start", "--help")
      for (const variable of all.flatMap(({ env }) => env)) expect(text).toContain(variable)
    })
  )
})

it.effect("agent --version says name and version in one line", () =>
  Effect.gen(function* () {
    expect((yield* shown("--version")).trim()).toBe("agent 1.2.3")
  })
)
