/**
 * The machine's side of running jobs: process groups, files and folders. The one file of the emulator that asks the
 * operating system for them, in words that Bun, Node and Deno all know.
 *
 * Invariant: every process is started as the leader of a group of its own, and when its leader has ended, or the wait for
 * it was interrupted, the whole group is killed before anyone hears of it.
 */
import { type ChildProcess, spawn } from "node:child_process"
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync
} from "node:fs"
import { rm } from "node:fs/promises"
import { constants as systemConstants, tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import type { Readable } from "node:stream"
import { Deferred, Duration, Effect, Option } from "effect"

export type GroupSignal = "SIGTERM" | "SIGKILL"

/** A living process group. */
export interface Group {
  /** Reaches every process of the group; nothing happens once its leader has ended. */
  readonly signal: (signal: GroupSignal) => void
}

export interface GroupAsk {
  /** An absolute path. */
  readonly file: string
  readonly args: ReadonlyArray<string>
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  readonly folder: string
  readonly onStarted: (group: Group) => void
  readonly onOutput: (stream: "stdout" | "stderr", bytes: Uint8Array) => void
  /** Gets the way to its standard input, which is closed without. */
  readonly onInput?: (input: Input) => void
}

/** What is written after the end of the process goes nowhere. */
export interface Input {
  readonly write: (bytes: Uint8Array) => void
  readonly end: () => void
}

export type GroupEnd =
  | { readonly _tag: "Exited"; readonly code: number }
  /** `code` is the system's name for what was wrong, such as ENOEXEC. */
  | { readonly _tag: "NotStarted"; readonly code: string }

/** Output that is still on its way when the leader has ended is waited for so long, should another process hold the pipe. */
const outputGrace = Duration.seconds(1)
/** A killed process ends at once, unless it hangs in the kernel. */
const killGrace = Duration.seconds(10)

/** 128 and the signal's number, as shells have it. */
const signalBase = 128
const startFailed = "EUNKNOWN"

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : startFailed

const exitCodeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? signalBase + (signal === null ? 0 : (systemConstants.signals[signal] ?? 0))

/** An error means that there is nobody left to signal. */
const signalAll = (leader: number, signal: GroupSignal): void => {
  try {
    process.kill(-leader, signal)
  } catch {}
}

interface Running {
  readonly child: ChildProcess | undefined
  readonly ended: Deferred.Deferred<GroupEnd>
  /** The leader has ended and all its output was handed on. */
  readonly closed: Deferred.Deferred<void>
  over: boolean
}

/** One chunk, then everyone else's turn: a job that prints without end must not hold up the rest of the emulator. */
const readInTurns = (pipe: Readable, onBytes: (bytes: Uint8Array) => void): void => {
  pipe.on("data", (bytes: Uint8Array) => {
    onBytes(bytes)
    pipe.pause()
    setImmediate(() => pipe.resume())
  })
  // A pipe breaks when its other end is killed; that is no news.
  pipe.on("error", () => {})
}

const start = (ask: GroupAsk): Running => {
  const ended = Deferred.makeUnsafe<GroupEnd>()
  const closed = Deferred.makeUnsafe<void>()
  const end = (how: GroupEnd) => {
    running.over = true
    Deferred.doneUnsafe(ended, Effect.succeed(how))
  }
  const launch = (): ChildProcess | undefined => {
    try {
      return spawn(ask.file, [...ask.args], {
        cwd: ask.folder,
        env: { ...ask.env },
        detached: true,
        stdio: [ask.onInput === undefined ? "ignore" : "pipe", "pipe", "pipe"]
      })
    } catch (error) {
      // The message of such an error may hold the value of a variable; its code does not.
      Deferred.doneUnsafe(ended, Effect.succeed({ _tag: "NotStarted", code: codeOf(error) }))
      return undefined
    }
  }
  const child = launch()
  const running: Running = { child, ended, closed, over: child === undefined }
  if (child === undefined) {
    Deferred.doneUnsafe(closed, Effect.void)
    return running
  }
  child.on("error", (error) => {
    if (child.pid !== undefined) return
    end({ _tag: "NotStarted", code: codeOf(error) })
    Deferred.doneUnsafe(closed, Effect.void)
  })
  if (child.stdout !== null) readInTurns(child.stdout, (bytes) => ask.onOutput("stdout", bytes))
  if (child.stderr !== null) readInTurns(child.stderr, (bytes) => ask.onOutput("stderr", bytes))
  child.on("exit", (code, signal) => end({ _tag: "Exited", code: exitCodeOf(code, signal) }))
  child.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
  const { stdin } = child
  if (stdin !== null) {
    // A program need not read what it is given.
    stdin.on("error", () => {})
    ask.onInput?.({ write: (bytes) => void stdin.write(bytes), end: () => void stdin.end() })
  }
  const leader = child.pid
  if (leader !== undefined) {
    ask.onStarted({
      signal: (signal) => {
        if (!running.over) signalAll(leader, signal)
      }
    })
  }
  return running
}

const clear = Effect.fnUntraced(function* ({ child, closed, ended }: Running) {
  if (child?.pid === undefined) return
  // Also when the leader has ended: what is left of a group dies with its leader, as a container does.
  signalAll(child.pid, "SIGKILL")
  const gone = yield* Effect.timeoutOption(Deferred.await(ended), killGrace)
  if (Option.isNone(gone)) yield* Effect.logWarning(`emulator: process ${child.pid} does not end when killed`)
  yield* Effect.timeoutOption(Deferred.await(closed), outputGrace)
  child.stdout?.destroy()
  child.stderr?.destroy()
})

/** Runs a program to its end, as the leader of its own process group. */
export const runGroup = (ask: GroupAsk): Effect.Effect<GroupEnd> =>
  Effect.acquireUseRelease(
    Effect.sync(() => start(ask)),
    ({ ended }) => Deferred.await(ended),
    clear
  )

/**
 * Kills processes that left their group but kept the environment that their container gave them: `HOSTNAME` is the
 * replica's name, and `CPLN_ENDPOINT`, which the names lead to, tells the replicas of two emulators apart. Returns how many
 * there were. Only Linux shows such processes.
 */
export const killByHostname = (replicas: ReadonlyMap<string, string | undefined>): number => {
  let killed = 0
  for (const pid of processes()) {
    const variables = environmentOf(pid)
    const hostname = valueIn(variables, "HOSTNAME")
    if (hostname === undefined || !replicas.has(hostname) || Number(pid) === process.pid) continue
    if (valueIn(variables, "CPLN_ENDPOINT") !== replicas.get(hostname)) continue
    try {
      process.kill(Number(pid), "SIGKILL")
      killed++
    } catch {}
  }
  return killed
}

const processes = (): ReadonlyArray<string> => {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/u.test(name))
  } catch {
    return []
  }
}

const environmentOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1")
  } catch {
    return ""
  }
}

const valueIn = (variables: string, name: string): string | undefined => {
  const start = `${name}=`
  return variables
    .split("\0")
    .find((each) => each.startsWith(start))
    ?.slice(start.length)
}

export type FileKind = "absent" | "folder" | "executable" | "other"

export const fileKind = (path: string): FileKind => {
  try {
    if (statSync(path).isDirectory()) return "folder"
  } catch {
    return "absent"
  }
  try {
    accessSync(path, constants.X_OK)
    return "executable"
  } catch {
    return "other"
  }
}

export const absolute = (folder: string, path: string): string => resolve(folder, path)

/** A new empty folder, within `parent` or among the system's temporary ones. */
export const makeFolder = (parent?: string): string => mkdtempSync(join(parent ?? tmpdir(), "cpln-emulator-"))

export const makeFolderNamed = (parent: string, name: string): string => {
  const path = join(parent, name)
  mkdirSync(path, { recursive: true })
  return path
}

/** Makes `path` below `folder` lead to `target`, which is made where it is not there. */
export const linkFolder = (folder: string, path: string, target: string): void => {
  const link = join(folder, path)
  mkdirSync(target, { recursive: true })
  mkdirSync(dirname(link), { recursive: true })
  rmSync(link, { force: true })
  symlinkSync(target, link)
}

/** With all that is in it; one that cannot be removed is only worth a line at debug. */
export const removeFolder = (path: string): Effect.Effect<void> =>
  Effect.tryPromise(() => rm(path, { recursive: true, force: true, maxRetries: 3 })).pipe(
    Effect.catch((error) => Effect.logDebug(`emulator: ${path} could not be removed`, error.cause))
  )

/** As `removeFolder`, where nothing can be waited for any more. */
export const removeFolderNow = (path: string): void => {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch {}
}

/** What every process inherits unless its pod says otherwise. */
export const inherited = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    ["PATH", "HOME"].flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value] as const]
    })
  )

/** Calls `last` when this process ends in whatever way it can still notice; returns how to take that back. */
export const atExit = (last: () => void): (() => void) => {
  process.on("exit", last)
  return () => process.off("exit", last)
}
