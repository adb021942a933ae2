/**
 * The operator's token of a state folder, so that clients need not be told a new one after each restart.
 *
 * Invariant: it is written once, for its owner alone; whoever takes the file away gets a new token.
 */
import { join } from "node:path"
import { Effect, Result } from "effect"
import { makeStateFolder, readText, replaceText } from "./files.ts"
import { BadState } from "./state-folder.ts"

/** The token of the folder; `fresh` becomes it when there is none. */
export const keptToken = Effect.fnUntraced(function* (
  folder: string,
  fresh: string
): Effect.fn.Return<string, BadState> {
  const file = join(folder, "token")
  const found = Result.getOrElse(readText(file), () => undefined)?.trim()
  if (found !== undefined && found !== "") return found
  const written = Result.andThen(makeStateFolder(folder), replaceText(file, `${fresh}\n`))
  if (Result.isSuccess(written)) return fresh
  const reason = `cannot be written (${written.failure})`
  return yield* new BadState({ path: file, reason, advice: "Choose another folder." })
})
