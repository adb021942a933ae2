/**
 * What a command that runs for long does when nobody reads what it prints any more (`agent … | head`, a log collector that
 * died): it ends in order, with the exit code that shells show for SIGPIPE. Whoever keeps it running starts it anew, with an
 * output that is read; deaf and dumb it would go on unnoticed.
 */
import { Effect, Runtime, Schema } from "effect"
import { stdoutUnread } from "../platform.ts"

class OutputClosed extends Schema.TaggedError<OutputClosed>()("OutputClosed", { outcome: Schema.String }) {
  override readonly [Runtime.errorExitCode] = 128 + 13

  override get message() {
    return `Nobody reads standard output any more: ${this.outcome}`
  }
}

/** `outcome` is what has come of it when that is told. Finalizers run before, as on SIGTERM. */
export const whileRead =
  (outcome: string) =>
  <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E | OutputClosed, R> =>
    Effect.raceFirst(work, Effect.andThen(stdoutUnread, Effect.fail(new OutputClosed({ outcome }))))
