/**
 * The log service: range reads and live tails of what jobs print.
 *
 * Invariant: every line keeps its own time in nanoseconds as text-exact bigint, because that is the only cursor there is.
 */
import { Context, type Effect, type Stream } from "effect"
import type { ApiError } from "../http/errors.ts"

export interface LogLine {
  /** Nanoseconds since 1970. */
  readonly at: bigint
  readonly line: string
  /** gvc, workload, container, location, provider, replica, stream, version. */
  readonly labels: Readonly<Record<string, string>>
}

export class Logs extends Context.Service<
  Logs,
  {
    /** Lines of `[start, end)` in order of time, at most `limit` (999 is the service's own bound). */
    range(ask: {
      readonly query: string
      readonly start: bigint
      readonly end: bigint
      readonly limit: number
    }): Effect.Effect<ReadonlyArray<LogLine>, ApiError>
    /** Live lines from `start` on, in frames as they come; ends when the service closes the session. */
    tail(ask: {
      readonly query: string
      readonly start: bigint
    }): Stream.Stream<ReadonlyArray<LogLine>, ApiError>
  }
>()("agent/cpln/Logs") {}
