/** YAML and JSON files that commands are given. */
import { Effect, FileSystem, Result } from "effect"
import { parseYaml } from "../blocks/yaml-text.ts"

/** What the file holds, or why it cannot be read, as the end of a sentence about it. */
export const readYaml = Effect.fn("cli.readYaml")(function* (
  path: string
): Effect.fn.Return<Result.Result<unknown, string>, never, FileSystem.FileSystem> {
  const files = yield* FileSystem.FileSystem
  const text = yield* Effect.result(files.readFileString(path))
  return Result.isFailure(text)
    ? Result.fail(`it cannot be read (${text.failure.reason._tag})`)
    : parseYaml(text.success)
})
