/**
 * Words in a run's own log, for the person who waits for it.
 *
 * Invariant: telling something never fails and never delays a decision for long.
 */
import { Clock, Effect } from "effect"
import { CurrentLane } from "../../http/lane.ts"
import type { Level } from "../../observe/say.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { RunMemory } from "../look/board.ts"

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

/** Says or does something of a run a single time while it is remembered. */
export const once = <R>(memory: RunMemory, what: string, effect: Effect.Effect<void, never, R>) =>
  Effect.suspend(() => {
    if (memory.said.has(what)) return Effect.void
    memory.said.add(what)
    return effect
  })
