/**
 * What the agent says of Control Plane on its own output, in the one form that users filter by.
 *
 * Invariant: saying something never fails.
 */
import { Effect } from "effect"
import { type Area, type LogFields, logLine } from "../job/log-line.ts"

export type { Area, LogFields as About }

export type Level = "debug" | "info" | "warning" | "error"

const log = {
  debug: Effect.logDebug,
  info: Effect.logInfo,
  warning: Effect.logWarning,
  error: Effect.logError
} as const

/** One line; fields that are not known are left out. */
export const say = (level: Level, area: Area, about: LogFields, message: string): Effect.Effect<void> =>
  log[level](logLine(area, about, message))
