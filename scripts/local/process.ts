/**
 * Child processes that end with the scope they were started in.
 *
 * Invariant: every child leads a process group of its own and writes to a file, so that nothing it starts outlives the
 * scope, and no full pipe ever stops it.
 */
import { spawn } from "node:child_process"
import { appendFileSync, closeSync, openSync, readFileSync, readdirSync } from "node:fs"
import { Deferred, Effect, Schema } from "effect"

/** How a process ended; a signal counts as 128 plus its number, as in a shell. */
export interface Ended {
  readonly code: number
}

export interface Running {
  readonly name: string
  readonly pid: number
  readonly logFile: string
  readonly ended: Effect.Effect<Ended>
  /** Everything it has printed so far, both streams in order. */
  readonly output: () => string
  /** Sends a signal to the process alone. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** SIGTERM to the group, SIGKILL after `graceSeconds`; returns how it ended. */
  readonly stop: (graceSeconds?: number) => Effect.Effect<Ended>
}

export class ProcessFailed extends Schema.TaggedError<ProcessFailed>()("ProcessFailed", {
  name: Schema.String,
  code: Schema.Number,
  output: Schema.String
}) {
  override get message() {
    return `${this.name} ended with exit code ${this.code}${this.output === "" ? "" : `:\n${this.output}`}`
  }
}

export interface Program {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly logFile: string
  readonly cwd?: string
}

const signalNumbers: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }

const signalGroup = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(-pid, signal)
  } catch {
    // The group is empty already.
  }
}

const launch = (program: Program): Running => {
  const log = openSync(program.logFile, "a")
  const child = spawn(program.command, [...program.args], {
    detached: true,
    env: program.env,
    stdio: ["ignore", log, log],
    ...(program.cwd === undefined ? {} : { cwd: program.cwd })
  })
  closeSync(log)
  const ended = Deferred.makeUnsafe<Ended>()
  const end = (code: number) => Deferred.doneUnsafe(ended, Effect.succeed({ code }))
  child.once("error", (error) => {
    appendFileSync(program.logFile, `${program.command}: ${error.message}\n`)
    end(127)
  })
  child.once("exit", (code, signal) => end(code ?? 128 + (signalNumbers[signal ?? ""] ?? 0)))
  const pid = child.pid ?? -1
  const output = () => readFileSync(program.logFile, "utf8")
  return {
    name: program.name,
    pid,
    logFile: program.logFile,
    ended: Deferred.await(ended),
    output,
    signal: (signal) =>
      Effect.sync(() => {
        if (pid > 0) child.kill(signal)
      }),
    stop: (graceSeconds = 15) =>
      Effect.gen(function* () {
        if (pid < 0) return { code: 127 }
        signalGroup(pid, "SIGTERM")
        const polite = yield* Deferred.await(ended).pipe(Effect.timeoutOption(`${graceSeconds} seconds`))
        signalGroup(pid, "SIGKILL")
        return polite._tag === "Some" ? polite.value : yield* Deferred.await(ended)
      })
  }
}

/** Starts a program in the current scope; the scope's end stops it and whatever it started in its group. */
export const start = (program: Program) =>
  Effect.acquireRelease(
    Effect.sync(() => launch(program)),
    (running) => running.stop()
  )

/** Runs a program to its end and returns what it printed; any exit code but 0 is an error. */
export const run = Effect.fnUntraced(function* (program: Program) {
  const running = yield* start(program)
  const { code } = yield* running.ended
  if (code !== 0) {
    return yield* new ProcessFailed({ name: program.name, code, output: tail(running.output(), 40) })
  }
  return running.output()
}, Effect.scoped)

/** The last lines of a text. */
export const tail = (text: string, lines: number) => text.trimEnd().split("\n").slice(-lines).join("\n")

/**
 * Ends what is left of a world after its scope, and says how many processes that were: whatever carries the world's own
 * folder in its environment. Should be none. Only on Linux, where `/proc` tells.
 */
export const endLeftovers = (folder: string): number => {
  if (process.platform !== "linux") return 0
  const left = readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false
    try {
      return readFileSync(`/proc/${pid}/environ`, "utf8").includes(folder)
    } catch {
      return false
    }
  })
  for (const pid of left) {
    try {
      process.kill(Number(pid), "SIGKILL")
    } catch {
      // It ended by itself in the meantime.
    }
  }
  return left.length
}
