/**
 * What ends the waiting for a job from outside: signals, and the end of standard input where a program asked for that.
 *
 * Invariant: while this is in scope the signals are this program's matter alone; afterwards whoever had them before has them
 * again.
 */
import { Effect, Queue, Stdio, Stream } from "effect"
import { leaveStdin, takeSignal } from "../platform.ts"
import type { Wish } from "./run.ts"

/** Ctrl-C asks; SIGTERM, and with `withStdin` the end of standard input, stops. */
export const takeWishes = Effect.fn("cplnJob.takeWishes")(function* (options: {
  readonly withStdin: boolean
}) {
  const wishes = yield* Queue.unbounded<Wish>()
  yield* takeSignal("SIGINT", () => void Queue.offerUnsafe(wishes, "ask"))
  yield* takeSignal("SIGTERM", () => void Queue.offerUnsafe(wishes, "stop"))
  if (options.withStdin) {
    const stdio = yield* Stdio.Stdio
    yield* stdio.stdin.pipe(
      Stream.runDrain,
      Effect.ignore,
      Effect.andThen(Queue.offer(wishes, "stop")),
      Effect.forkScoped
    )
    yield* Effect.addFinalizer(() => leaveStdin)
  }
  return wishes as Queue.Dequeue<Wish>
})
