/**
 * Moments that proofs rest on, and how long they are past.
 *
 * Invariant: never less than what has passed: the machine's clock may be set back, and steady time does not count its sleep,
 * so that the one which shows more is believed. A clock that was set forward only makes a proof too old.
 */
import { Clock, Effect } from "effect"
import { steadyMillis } from "./steady.ts"

export interface Moment {
  /** Both in ms, of this process. */
  readonly wall: number
  readonly steady: number
}

export const moment: Effect.Effect<Moment> = Effect.all({
  wall: Clock.currentTimeMillis,
  steady: steadyMillis
})

/** So long ago that it proves nothing. */
export const longAgo: Moment = { wall: 0, steady: 0 }

/** In ms. */
export const since = (past: Moment): Effect.Effect<number> =>
  Effect.map(moment, (now) => Math.max(now.wall - past.wall, now.steady - past.steady))
