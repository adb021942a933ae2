/**
 * What is done about one run among many.
 *
 * Invariant: trouble with it is that run's matter alone, and be it a defect of this program: the others are looked at all
 * the same, and this one again in the next cycle. A defect is said once, with its stack at debug.
 */
import { Cause, Effect } from "effect"
import { say } from "../observe/say.ts"
import { Board } from "../runs/look/board.ts"
import { once } from "../runs/act/tell.ts"

export const alone =
  (runId: string) =>
  <E extends { readonly message: string }, R>(
    effect: Effect.Effect<void, E, R>
  ): Effect.Effect<void, never, R | Board> =>
    effect.pipe(
      Effect.catch((error) => Effect.logDebug(`run ${runId}: ${error.message}; looking again`)),
      Effect.catchDefect((defect) => Effect.flatMap(Board, (board) => tell(board.of(runId), runId, defect)))
    )

const tell = (memory: Parameters<typeof once>[0], runId: string, defect: unknown) => {
  const words = `A mistake of the agent itself, please report it: ${defectText(defect)}. The run is left as it is, and looked at again; the others are not touched by it.`
  return once(memory, words, say("error", "Job", { runId }, words)).pipe(
    Effect.andThen(Effect.logDebug(Cause.die(defect)))
  )
}

export const defectText = (defect: unknown): string =>
  defect instanceof Error ? `${defect.name}: ${defect.message}` : String(defect)
