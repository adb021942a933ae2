/**
 * Due runs that could not be launched: why, and until when each is left alone.
 *
 * Invariant: a pause doubles from one failure to the next, up to a bound, so that no run is tried in a hot loop; what may
 * pass by itself is tried again within one monitor interval, so that nothing waits for long once a service answers again.
 */
import { Effect } from "effect"
import { isTransient } from "../http/errors.ts"
import { RunsConfig } from "../runs/config.ts"
import { steadyMillis } from "../runs/steady.ts"

/** Pauses in ms: the first, the longest of what only a person or the server can change, the longest of all else. */
const firstPause = 10_000
const longestPause = 300_000
const longestOfPassing = 60_000
/** Runs that are remembered; the pool offers them again if one is forgotten. */
const mostRemembered = 10_000

interface Held {
  readonly until: number
  readonly pause: number
  readonly why: string
  /** It is another kind of agent's. */
  readonly ofOthers: boolean
}

export interface Failure {
  readonly _tag: string
  readonly message: string
}

/** True for what passes by itself: the service answers again, the quota is free again, an earlier job has ended. */
const passes = (failure: Failure) =>
  isTransient(failure) || ["QuotaReached", "NotStarted", "EarlierJobLives"].includes(failure._tag)

export const makeHeldBack = Effect.map(RunsConfig, ({ monitorInterval }) => {
  const held = new Map<string, Held>()
  const ofPassing = Math.min(longestOfPassing, monitorInterval)
  return {
    /** Its pause in ms; undefined when this reason has been given for the run already. */
    hold: (runId: string, failure: Failure) =>
      Effect.map(steadyMillis, (now) => {
        const before = held.get(runId)
        const longest = passes(failure) ? Math.max(firstPause, ofPassing) : longestPause
        const pause = Math.min(before === undefined ? firstPause : before.pause * 2, longest)
        // The oldest half goes when there are too many.
        if (held.size >= mostRemembered)
          for (const key of [...held.keys()].slice(0, mostRemembered / 2)) held.delete(key)
        held.delete(runId)
        const ofOthers = failure._tag === "OtherInfrastructure"
        held.set(runId, { until: now + pause, pause, why: failure.message, ofOthers })
        return before?.why === failure.message ? undefined : pause
      }),
    release: (runId: string): void => void held.delete(runId),
    /** Why it is left alone at that time; undefined when it is not. */
    of: (runId: string, now: number): Pick<Held, "why" | "ofOthers"> | undefined => {
      const found = held.get(runId)
      return found !== undefined && now < found.until ? found : undefined
    }
  }
})
