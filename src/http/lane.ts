/**
 * Lanes order the requests that wait for a place: a storm of launches never delays a cancel.
 *
 * Invariant: within one service a waiting request of a lower lane goes only when no higher one waits.
 */
import { Context } from "effect"

/** Most urgent first. */
export const lanes = ["stop", "observe", "launch", "logs", "sweep"] as const
export type Lane = (typeof lanes)[number]

/** The lane of every request that a fiber makes: `Effect.provideService(CurrentLane, "stop")`. */
export const CurrentLane = Context.Reference<Lane>("agent/http/CurrentLane", {
  defaultValue: () => "observe"
})
