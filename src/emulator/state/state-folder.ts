/**
 * A folder that outlives the emulator: all objects, commands and job output, and what tokens are signed with.
 *
 * Invariant: what was read is a whole state or an error, never a part of one; changes are on disk at most a few seconds
 * later, and all of them when the emulator ends by itself. What the folder holds is bounded: output by two files of a fixed
 * size, commands by the store.
 */
import { join } from "node:path"
import { Clock, Context, Effect, Layer, Result, Schema } from "effect"
import { SecureRandom } from "effect/crypto"
import type { NewLine } from "../logs/log-store.ts"
import { Settings } from "../settings.ts"
import {
  appendText,
  lockFile,
  makeStateFolder,
  moveFile,
  readText,
  removeFile,
  replaceText,
  sizeOf
} from "./files.ts"
import { readLine, readState, type Saved, writeLine, writeState } from "./format.ts"

export class BadState extends Schema.TaggedError<BadState>()("BadState", {
  path: Schema.String,
  reason: Schema.String,
  advice: Schema.String
}) {
  override get message() {
    return `emulator: --state ${this.path}: ${this.reason}. ${this.advice}`
  }
}

type Content = Pick<Saved, "commands" | "resources">

export class StateFolder extends Context.Service<
  StateFolder,
  {
    readonly secret: Buffer
    /** What there was at the start. */
    readonly saved: Content | undefined
    readonly lines: () => ReadonlyArray<NewLine>
    /** From now on changes are kept; `content` tells the state of the moment. */
    keep(content: () => Content): void
    /** Something changed. */
    readonly touch: () => void
    readonly addLine: (line: NewLine) => void
  }
>()("emulator/state/StateFolder") {
  static readonly layer = Layer.effect(
    StateFolder,
    Effect.gen(function* () {
      const { state } = yield* Settings
      return yield* state === undefined ? none : open(state)
    })
  )
}

const secretBytes = 32
const mostLogBytes = 16 * 1024 * 1024
/** The least time between two writes, in milliseconds, and how much longer than a write takes it is. */
const pause = 500
const easing = 10

const newSecret = Effect.gen(function* () {
  const random = yield* SecureRandom.SecureRandom
  return Buffer.from(yield* random.randomBytes(secretBytes))
})

/** Nothing outlives the emulator. */
const none = Effect.map(newSecret, (secret) =>
  StateFolder.of({
    secret,
    saved: undefined,
    lines: () => [],
    keep: () => {},
    touch: () => {},
    addLine: () => {}
  })
)

const cannot = (path: string, what: string, code: string) =>
  new BadState({ path, reason: `cannot be ${what} (${code})`, advice: "Choose another folder." })

const readSaved = Effect.fnUntraced(function* (file: string): Effect.fn.Return<Saved | undefined, BadState> {
  const text = readText(file)
  if (Result.isFailure(text)) return yield* cannot(file, "read", text.failure)
  if (text.success === undefined) return undefined
  const saved = readState(text.success)
  if (Result.isSuccess(saved)) return saved.success
  return yield* new BadState({
    path: file,
    reason: `was not written by this version of the emulator, or was damaged: ${saved.failure}`,
    advice: "Nothing was changed. Move the file away to start empty, or choose another folder."
  })
})

const open = Effect.fnUntraced(function* (folder: string) {
  const made = makeStateFolder(folder)
  if (Result.isFailure(made)) return yield* cannot(folder, "made", made.failure)
  const [file, lock] = [join(folder, "state.json"), join(folder, "lock")]
  const [log, olderLog] = [join(folder, "logs.jsonl"), join(folder, "logs.older.jsonl")]
  yield* Effect.acquireRelease(
    Effect.suspend(() => {
      const taken = lockFile(lock)
      return Result.isSuccess(taken)
        ? Effect.void
        : Effect.fail(
            taken.failure.startsWith("process")
              ? new BadState({
                  path: folder,
                  reason: `is in use by ${taken.failure}`,
                  advice: "End that one."
                })
              : cannot(folder, "written to", taken.failure)
          )
    }),
    () => Effect.sync(() => removeFile(lock))
  )
  const saved = yield* readSaved(file)
  const secret = saved?.secret ?? (yield* newSecret)
  const clock = yield* Clock.Clock
  let content: (() => Content) | undefined
  let isChanged = false
  let newLines: Array<string> = []

  const writeLines = (): Result.Result<void, string> => {
    if (newLines.length === 0) return Result.succeed(undefined)
    const text = `${newLines.join("\n")}\n`
    newLines = []
    if (sizeOf(log) + text.length > mostLogBytes) moveFile(log, olderLog)
    return appendText(log, text)
  }

  const writeAll = Effect.suspend(() => {
    const lines = writeLines()
    const state =
      isChanged && content !== undefined
        ? replaceText(file, writeState({ secret, ...content() }))
        : Result.succeed(undefined)
    // What could not be written is tried again.
    if (Result.isSuccess(state)) isChanged = false
    const failed = [lines, state].find(Result.isFailure)
    return failed === undefined
      ? Effect.void
      : Effect.logError(
          `emulator: --state ${folder} cannot be written to (${failed.failure}); it goes on without`
        )
  })

  // After everything that writes to the store has ended.
  yield* Effect.addFinalizer(() => writeAll)
  yield* Effect.forkScoped(
    Effect.forever(
      Effect.gen(function* () {
        const before = clock.currentTimeMillisUnsafe()
        yield* writeAll
        yield* Effect.sleep(Math.max(pause, easing * (clock.currentTimeMillisUnsafe() - before)))
      })
    )
  )

  const linesOf = (path: string): ReadonlyArray<NewLine> =>
    (Result.getOrElse(readText(path), () => "") ?? "")
      .split("\n")
      .flatMap((line) => (line === "" ? [] : (readLine(line) ?? [])))

  return StateFolder.of({
    secret,
    saved,
    lines: () => [...linesOf(olderLog), ...linesOf(log)],
    keep: (given) => {
      content = given
      isChanged = true
    },
    touch: () => {
      isChanged = true
    },
    addLine: (line) => void newLines.push(writeLine(line))
  })
})
