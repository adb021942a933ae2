/**
 * The files of a state folder. The one file of the emulator that knows how they are written.
 *
 * Invariant: a file that is replaced is, at any moment, the old one or the new one as a whole; all are readable by their
 * owner alone, since they hold secrets.
 */
import {
  appendFileSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync
} from "node:fs"
import { Result } from "effect"

const ownerOnly = 0o600

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "EUNKNOWN"

const attempt = <A>(what: () => A): Result.Result<A, string> => {
  try {
    return Result.succeed(what())
  } catch (error) {
    return Result.fail(codeOf(error))
  }
}

export const makeStateFolder = (path: string): Result.Result<unknown, string> =>
  attempt(() => mkdirSync(path, { recursive: true, mode: 0o700 }))

/** Undefined when there is none. */
export const readText = (path: string): Result.Result<string | undefined, string> => {
  const read = attempt(() => readFileSync(path, "utf8"))
  return Result.isFailure(read) && read.failure === "ENOENT" ? Result.succeed(undefined) : read
}

export const replaceText = (path: string, text: string): Result.Result<void, string> =>
  attempt(() => {
    const beside = `${path}.new`
    const file = openSync(beside, "w", ownerOnly)
    try {
      writeSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(beside, path)
  })

export const appendText = (path: string, text: string): Result.Result<void, string> =>
  attempt(() => appendFileSync(path, text, { mode: ownerOnly }))

export const moveFile = (from: string, to: string): Result.Result<void, string> =>
  attempt(() => renameSync(from, to))

/** In bytes; 0 when there is none. */
export const sizeOf = (path: string): number =>
  Result.getOrElse(
    attempt(() => statSync(path).size),
    () => 0
  )

const isAlive = (pid: number): boolean => {
  const signalled = attempt(() => process.kill(pid, 0))
  // Whoever may not be signalled is there.
  return Result.isSuccess(signalled) || signalled.failure === "EPERM"
}

/** Takes the folder for this process; fails with the id of the process that has it. */
export const lockFile = (path: string): Result.Result<void, string> => {
  const take = () =>
    attempt(() => {
      const file = openSync(path, "wx", ownerOnly)
      writeSync(file, String(process.pid))
      closeSync(file)
    })
  const taken = take()
  if (Result.isSuccess(taken) || taken.failure !== "EEXIST") return taken
  const owner = Number(Result.getOrElse(readText(path), () => "") ?? "")
  if (owner !== process.pid && Number.isInteger(owner) && owner > 0 && isAlive(owner)) {
    return Result.fail(`process ${owner}`)
  }
  // Left behind by one that was killed.
  removeFile(path)
  return take()
}

export const removeFile = (path: string): void => {
  attempt(() => rmSync(path, { force: true }))
}
