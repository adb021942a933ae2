/**
 * Time for what this process only remembers: pauses, paces, how long something was waited for.
 *
 * Invariant: it goes on at the pace of real time whatever is done to the machine's clock. Never compared with a time of a
 * service or one that a person reads, and never what a proof rests on: a machine that slept does not count its sleep.
 */
import { Clock, Effect } from "effect"

/** Far enough from zero that 0 means "never". */
const origin = 1_000_000_000_000

/** In ms; meaningful only against another value of the same process. */
export const steadyMillis: Effect.Effect<number> = Effect.map(
  Clock.monotonicTimeNanos,
  (nanos) => origin + Number(nanos / 1_000_000n)
)
