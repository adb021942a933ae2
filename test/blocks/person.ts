/** `agent blocks` as a person meets it: arguments in, lines out. Its settings are set for each test. */
import { afterEach, beforeEach, vi } from "@effect/vitest"
import { Effect, FileSystem, Layer, Stdio, Stream } from "effect"
import { CliConfig, Command, GlobalFlag } from "effect/cli"
import { HttpClient } from "effect/http"
import { TestConsole } from "effect/testing"
import { blocks } from "../../src/cli/blocks.ts"
import * as Help from "../../src/cli/help.ts"
import { root } from "../../src/cli/start.ts"
import { platform } from "../../src/platform.ts"
import type { PrefectBlocks } from "./server.ts"

const agent = Command.runWith(root.pipe(Command.withSubcommands([blocks])), { version: "1.2.3" })

export interface Told {
  readonly text: string
  readonly failed: boolean
}

/** Runs one command; `stdin` is what is piped into it. */
export const told = (server: PrefectBlocks, args: ReadonlyArray<string>, stdin = "") =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(Effect.asVoid(agent(["blocks", ...args])))
    const error =
      exit._tag === "Failure"
        ? exit.cause.reasons.map(({ _tag, ...rest }) => (rest as { error?: Error }).error?.message ?? _tag)
        : []
    const lines = [...(yield* TestConsole.logLines), ...(yield* TestConsole.errorLines)].map(String)
    return { text: [...lines, ...error].join("\n"), failed: exit._tag === "Failure" } satisfies Told
  }).pipe(
    Effect.provide(
      Layer.mergeAll(
        Help.layer,
        CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] }),
        Layer.fresh(TestConsole.layer)
      )
    ),
    Effect.provide(Layer.succeed(HttpClient.HttpClient, server.client)),
    Effect.provide(Stdio.layerTest({ stdin: Stream.make(new TextEncoder().encode(stdin)) })),
    Effect.provide(platform)
  )

/** A file with this text, gone with the scope. */
export const withFile = Effect.fnUntraced(function* (text: string) {
  const files = yield* FileSystem.FileSystem
  const path = yield* files.makeTempFileScoped({ suffix: ".yaml" })
  yield* files.writeFileString(path, text)
  return path
}, Effect.provide(platform))

beforeEach(() => {
  vi.stubEnv("PREFECT_API_URL", "http://prefect.test/api")
  vi.stubEnv("PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", "false")
  vi.stubEnv("CPLN_TOKEN", "")
})
afterEach(() => void vi.unstubAllEnvs())
