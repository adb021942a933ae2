/**
 * What ends the waiting for a job from outside: signals, and the end of standard input where a program asked for that.
 *
 * Invariant: while this is in scope the signals are this program's matter alone; afterwards whoever had them before has them
 * again.
 */
import process from "node:process"
import { Effect, Queue, Stdio, Stream } from "effect"
import type { Wish } from "./run.ts"

const meanings = { SIGINT: "ask", SIGTERM: "stop" } as const satisfies Readonly<Record<string, Wish>>

type Signal = keyof typeof meanings

/** Takes the signals from whoever has them, and gives them back. */
const taken = (signal: Signal, wishes: Queue.Enqueue<Wish>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.listeners(signal)
      for (const each of before) process.removeListener(signal, each)
      const own = () => void Queue.offerUnsafe(wishes, meanings[signal])
      process.on(signal, own)
      return { before, own }
    }),
    ({ before, own }) =>
      Effect.sync(() => {
        process.removeListener(signal, own)
        for (const each of before) process.on(signal, each)
      })
  )

/** Ctrl-C asks; SIGTERM, and with `withStdin` the end of standard input, stops. */
export const takeWishes = Effect.fn("cplnJob.takeWishes")(function* (options: {
  readonly withStdin: boolean
}) {
  const wishes = yield* Queue.unbounded<Wish>()
  yield* taken("SIGINT", wishes)
  yield* taken("SIGTERM", wishes)
  if (options.withStdin) {
    const stdio = yield* Stdio.Stdio
    yield* stdio.stdin.pipe(
      Stream.runDrain,
      Effect.ignore,
      Effect.andThen(Queue.offer(wishes, "stop")),
      Effect.forkScoped
    )
    // An input that is still open would keep the process alive.
    yield* Effect.addFinalizer(() => Effect.sync(() => void process.stdin.destroy()))
  }
  return wishes as Queue.Dequeue<Wish>
})
