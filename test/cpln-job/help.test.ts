/** The help of `agent job` and `agent plan` fits a terminal. */
import { expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { CliConfig, Command, GlobalFlag } from "effect/cli"
import { TestConsole } from "effect/testing"
import * as Help from "../../src/cli/help.ts"
import { job } from "../../src/cli/job.ts"
import { plan } from "../../src/cli/plan.ts"
import { platform } from "../../src/platform.ts"

const agent = Command.runWith(Command.make("agent").pipe(Command.withSubcommands([job, plan])), {
  version: "1.2.3"
})

it.effect.each([["job"], ["job", "run"], ["plan"]].map((path) => [path] as const))(
  "the help fits 80 columns: %j",
  ([path]) =>
    Effect.gen(function* () {
      yield* Effect.exit(agent([...path, "--help"]))
      const text = [...(yield* TestConsole.logLines), ...(yield* TestConsole.errorLines)]
        .map(String)
        .join("\n")
      expect(text).toContain("USAGE")
      for (const line of text.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80)
    }).pipe(
      Effect.provide(
        Layer.mergeAll(
          Help.layer,
          CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] }),
          platform
        )
      )
    )
)
