import { expect, it } from "@effect/vitest"
import { Effect, Option, Stdio } from "effect"
import { readToken } from "../../src/cli/token-input.ts"
import { platform } from "../../src/platform.ts"

const nothingOnStdin = readToken({
  names: ["prod"],
  token: Option.none(),
  tokenStdin: true,
  withoutToken: false
}).pipe(Effect.flip, Effect.map(String), Effect.provide(Stdio.layerTest({})), Effect.provide(platform))

it.effect("a token that standard input was to bring, and did not, is not missed in the environment", () =>
  Effect.gen(function* () {
    expect(yield* nothingOnStdin).toContain("token: standard input is empty.")
  })
)
