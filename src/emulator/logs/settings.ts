/**
 * How the log service of the emulator behaves where the real one leaves a choice, or has a bound that tests want smaller.
 *
 * Invariant: the defaults are the service's own figures.
 */
import { Context, Duration } from "effect"

export interface LogSettings {
  /** Memory for lines, in bytes; the oldest go first. */
  readonly keepBytes: number
  /** A live tail ends after this time. */
  readonly tailSession: Duration.Duration
  /** Live lines are sent together, this long after the first of them. */
  readonly tailPause: Duration.Duration
}

export const defaultLogSettings: LogSettings = {
  keepBytes: 64 * 1024 * 1024,
  tailSession: Duration.minutes(30),
  tailPause: Duration.millis(100)
}

export const LogSettings = Context.Reference<LogSettings>("emulator/logs/LogSettings", {
  defaultValue: () => defaultLogSettings
})
