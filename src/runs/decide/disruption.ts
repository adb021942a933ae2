/**
 * How much may be ended because something is absent. One answer that is wrong (a database that was restored, a server
 * that shows nobody's jobs) makes everything look deleted or gone at once; a person rarely does that.
 *
 * Invariant: pure, and judged over all that is wanted at a time, never one by one: of more than is allowed nothing is
 * carried out, in whatever order it was found.
 */
import type { Decision, Observation } from "./decide.ts"

/** What is counted together, in ms, and how long answers have to stay the same before what was held goes ahead. */
export const disruptionWindow = 15 * 60_000

/**
 * "suspect": got 404, not concluded from yet. "gone": Control Plane shows no job of the run any more. "deleted": Prefect
 * shows no run of the job any more.
 */
export type Absence = "suspect" | "gone" | "deleted"

export interface Want {
  readonly kind: Absence
  /** When it was first held back while the answers stayed the same, in ms; undefined when it never was. */
  readonly heldSince: number | undefined
  /** Only a restart with a higher limit lets it go on. */
  readonly forPerson: boolean
}

export interface Ledger {
  /** What absence asks for, by run. */
  readonly wants: ReadonlyMap<string, Want>
  /** When an end by absence was last carried out, by run. */
  readonly carriedAt: ReadonlyMap<string, number>
  /** When something was last seen again after it had been absent. */
  readonly seenAgainAt: number | undefined
  /** When the database was last seen to have gone back in time. */
  readonly wentBackAt: number | undefined
  /** Runs that were seen again after a 404: what their absence says is not to be relied upon. */
  readonly doubted: ReadonlySet<string>
}

export interface Verdict {
  readonly wants: ReadonlyMap<string, Want>
  /** Runs whose end by absence may be carried out. */
  readonly permitted: ReadonlySet<string>
  /** Runs whose end by absence is held back. */
  readonly held: ReadonlyMap<string, Want>
  /** Why, when any is held. */
  readonly cause: "too many" | "seen again" | "went back"
  readonly hits: number
  readonly live: number
  readonly allowed: number
}

/**
 * Most runs that may be hit of so many with live jobs: less than half of them, but always one, because a single run that
 * a person deletes is no mass action. A limit that a person set stands for the whole rule.
 */
export const allowedOf = (live: number, limit: number | undefined): number => {
  if (limit !== undefined) return limit
  const most = Math.max(5, Math.floor(live / 10))
  return live < 2 ? most : Math.max(1, Math.min(most, Math.ceil(live / 2) - 1))
}

const isRecent = (at: number | undefined, now: number) => at !== undefined && now - at < disruptionWindow

/** `live` are the runs with live jobs, as far as they are known; those that are hit count among them. */
export const weigh = (
  ledger: Ledger,
  live: ReadonlySet<string>,
  limit: number | undefined,
  now: number
): Verdict => {
  const carried = [...ledger.carriedAt].filter(([, at]) => isRecent(at, now)).map(([id]) => id)
  const hits = new Set([...ledger.wants.keys(), ...carried])
  const all = new Set([...live, ...hits]).size
  const allowed = allowedOf(all, limit)
  const tooMany = hits.size > allowed
  const wentBack = isRecent(ledger.wentBackAt, now)
  const doubtful = wentBack || isRecent(ledger.seenAgainAt, now)
  const wants = new Map<string, Want>()
  const permitted = new Set<string>()
  const held = new Map<string, Want>()
  for (const [id, want] of ledger.wants) {
    if (want.kind === "suspect") {
      wants.set(id, want)
      continue
    }
    const forPerson =
      want.kind === "deleted" && (want.forPerson || tooMany || wentBack || ledger.doubted.has(id))
    const waited = want.heldSince !== undefined && now - want.heldSince >= disruptionWindow
    const free = want.kind === "gone" ? !doubtful && (!tooMany || waited) : !doubtful && !forPerson
    const next = { ...want, forPerson, heldSince: free ? want.heldSince : (want.heldSince ?? now) }
    wants.set(id, next)
    if (free) permitted.add(id)
    else held.set(id, next)
  }
  return {
    wants,
    permitted,
    held,
    cause: tooMany ? "too many" : wentBack ? "went back" : "seen again",
    hits: hits.size,
    live: all,
    allowed
  }
}

/** What of a decision rests on absence alone; undefined where it rests on something that was seen. */
export const absenceIn = (
  decision: Decision,
  observation: Observation,
  { jobWasThere, notFound }: { readonly jobWasThere: boolean; readonly notFound: number }
): Absence | undefined => {
  if (observation._tag !== "Absent") return undefined
  const ends = decision._tag === "Propose" || decision._tag === "MakeClaimable"
  if (ends && (observation.gone || jobWasThere)) return "gone"
  // A claim whose job never was is given back without it; not one of which there may have been a job.
  if (notFound > 0 && decision._tag === "HandBack") return "gone"
  return notFound > 0 && decision._tag === "Wait" ? "suspect" : undefined
}
