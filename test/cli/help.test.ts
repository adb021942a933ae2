import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import { CliConfig, Command, GlobalFlag } from "effect/cli"
import { TestConsole } from "effect/testing"
import { blocks } from "../../src/cli/blocks.ts"
import { emulator } from "../../src/cli/emulator.ts"
import * as Help from "../../src/cli/help.ts"
import { pool } from "../../src/cli/pool.ts"
import { root, start } from "../../src/cli/start.ts"
import { platform } from "../../src/platform.ts"
import { type Setting, settings } from "../../src/settings.ts"

const agent = Command.runWith(root.pipe(Command.withSubcommands([start, pool, blocks, emulator])), {
  version: "1.2.3"
})

const streams = (...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(agent(args))
    const text = (lines: ReadonlyArray<unknown>) => lines.map(String).join("\n")
    return {
      failed: Exit.isFailure(exit),
      out: text(yield* TestConsole.logLines),
      err: text(yield* TestConsole.errorLines)
    }
  }).pipe(
    Effect.provide(
      Layer.mergeAll(
        Help.layer,
        CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] }),
        platform
      )
    )
  )

/** What a person sees on the terminal. */
const shown = (...args: ReadonlyArray<string>) =>
  Effect.map(streams(...args), ({ err, out }) => `${out}${err}`)

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
      const needed = ["PREFECT_API_URL", "PREFECT_API_KEY", "CPLN_TOKEN", "CPLN_ENDPOINT", "CPLN_ORG"]
      for (const variable of [...needed, ...all.flatMap(({ env }) => env)]) expect(text).toContain(variable)
    })
  )
})

it.effect("a usage shows one value as one", () =>
  Effect.gen(function* () {
    const text = yield* shown("blocks", "create", "control-plane-configuration", "--help")
    expect(text).toContain("agent blocks create control-plane-configuration [flags] <name>\n")
  })
)

it.effect("agent --version says name and version in one line", () =>
  Effect.gen(function* () {
    expect((yield* shown("--version")).trim()).toBe("agent 1.2.3")
  })
)

describe("a wrong command line", () => {
  it.effect("is told on stderr alone, shortly, and says where the help of that command is", () =>
    Effect.gen(function* () {
      expect(yield* streams("pool", "create", "--locatoin", "x", "cpln")).toEqual({
        failed: true,
        out: "",
        err: "agent: Unrecognized flag: --locatoin in command agent pool create\n  Did you mean this?\n    --location\n  See: agent pool create --help"
      })
    })
  )

  it.each([
    [["emulator", "--mode", "foo"], '--mode is "foo", but one of exec, virtual is expected.'],
    [["emulator", "--port", "x"], '--port is "x", but a number is expected.'],
    [["emulator", "--port", "1.5"], '--port is "1.5", but a whole number is expected.'],
    [["emulator", "--port"], "--port needs a value: a whole number."]
  ] as const)("says of a value what is expected instead: %j", (args, words) =>
    Effect.runPromise(
      Effect.gen(function* () {
        expect((yield* streams(...args)).err).toBe(`agent: ${words}\n  See: agent emulator --help`)
      }).pipe(Effect.provide(TestConsole.layer))
    )
  )

  it.effect("does not take the value of an unknown flag for a command", () =>
    Effect.gen(function* () {
      const { err } = yield* streams("--pol", "cpln")
      expect(err).toContain("--pol in command agent")
      expect(err).not.toContain("cpln")
    })
  )

  it.effect("without a pool is told before anything is begun", () =>
    Effect.gen(function* () {
      const { failed, out } = yield* streams("start")
      expect({ failed, out }).toEqual({ failed: true, out: "" })
    })
  )
})
