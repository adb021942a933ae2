/**
 * Whatever differs by runtime stands here alone: Bun (the compiled binary), Deno and Node 24 run the same program.
 *
 * Invariant: no other file of `src` names a runtime or imports a runtime's own modules.
 */
import { writeSync } from "node:fs"
import { hostname } from "node:os"
import {
  NodeChildProcessSpawner,
  NodeCrypto,
  NodeFileSystem,
  NodePath,
  NodeRuntime,
  NodeStdio,
  NodeTerminal
} from "@effect/platform-node-shared"
import { Cause, Effect, Exit, Layer, Runtime } from "effect"
import { FetchHttpClient } from "effect/http"
import { Socket } from "effect/socket"

/** The global `WebSocket` of all three runtimes takes headers, which Effect's stock constructor refuses. */
const webSocket = Layer.succeed(Socket.WebSocketConstructor)(
  (url, options) => new globalThis.WebSocket(url, options as never)
)

/** Files, paths, terminal, child processes, crypto, HTTP client and WebSocket constructor. */
export const platform = Layer.mergeAll(
  NodeChildProcessSpawner.layer.pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        NodeFileSystem.layer,
        NodeCrypto.layer,
        NodePath.layer,
        NodeStdio.layer,
        NodeTerminal.layer
      )
    )
  ),
  FetchHttpClient.layer,
  webSocket
)

/**
 * Once the reader of standard output has gone. The listener stays: without one the signal of the next line would end the
 * process at once. A connection that breaks may raise the signal too, so an empty line is tried.
 */
export const stdoutUnread: Effect.Effect<void> = Effect.callback((resume) => {
  process.on("SIGPIPE", () => {
    try {
      writeSync(1, "\n")
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EPIPE") resume(Effect.void)
    }
  })
})

/** Runs the program until it ends or a signal comes. Ending by SIGTERM or SIGINT is success: exit code 0. */
export const runMain = NodeRuntime.runMain

export const signalIsSuccess = {
  teardown: <E, A>(exit: Exit.Exit<A, E>, done: (code: number) => void) =>
    Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
      ? done(0)
      : Runtime.defaultTeardown(exit, done)
}

/** What the operating system tells this process. */
export const host = {
  environment: (): Readonly<Record<string, string>> =>
    Object.fromEntries(
      Object.entries(process.env).filter((each): each is [string, string] => each[1] !== undefined)
    ),
  name: (): string => hostname(),
  stdoutIsTerminal: (): boolean => process.stdout.isTTY === true,
  arguments: (): ReadonlyArray<string> => process.argv.slice(2)
}

/** While this is in scope the signal is `own`'s matter alone; afterwards whoever had it before has it again. */
export const takeSignal = (signal: "SIGINT" | "SIGTERM", own: () => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.listeners(signal)
      for (const each of before) process.removeListener(signal, each)
      process.on(signal, own)
      return before
    }),
    (before) =>
      Effect.sync(() => {
        process.removeListener(signal, own)
        for (const each of before) process.on(signal, each)
      })
  )

/** A standard input that is being read keeps the process alive, even when nobody wants it any more. */
export const leaveStdin = Effect.sync(() => void process.stdin.destroy())
