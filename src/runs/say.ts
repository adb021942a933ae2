/**
 * What the agent says of runs: one line form on its own output, and words in the run's own log for the person who waits.
 *
 * Invariant: saying something never fails and never delays a decision.
 */
import { Clock, Effect } from "effect"
import { type Area, logLine } from "../job/log-line.ts"
import { CurrentLane } from "../http/lane.ts"
import { Prefect } from "../prefect/prefect.ts"

export type { Area }

/** What a line is about; fields that are not known are left out. */
export interface About {
  readonly flow?: string | undefined
  readonly runId?: string | undefined
  readonly gvc?: string | undefined
  readonly workload?: string | undefined
  readonly command?: string | undefined
}

export type Level = "debug" | "info" | "warning" | "error"

const log = {
  debug: Effect.logDebug,
  info: Effect.logInfo,
  warning: Effect.logWarning,
  error: Effect.logError
} as const

/** One line on the agent's own output. */
export const say = (level: Level, area: Area, about: About, message: string): Effect.Effect<void> =>
  log[level](logLine(area, about, message))

/** Python's numbers, which Prefect stores. */
const numbers: Readonly<Record<Level, number>> = { debug: 10, info: 20, warning: 30, error: 40 }

/** The same words in the run's log, where its owner looks; failing that, only on our own output. */
export const tellRun = Effect.fn("runs.tellRun")(function* (runId: string, level: Level, message: string) {
  const prefect = yield* Prefect
  const at = yield* Clock.currentTimeMillis
  yield* prefect
    .writeLogs([{ runId, name: "prefect.flow_runs.worker", level: numbers[level], message, at }])
    .pipe(
      Effect.provideService(CurrentLane, "logs"),
      Effect.timeout("20 seconds"),
      Effect.catch((error) =>
        Effect.logDebug(`the log of run ${runId} could not be written: ${error.message}`)
      )
    )
})
