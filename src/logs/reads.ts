/**
 * Range reads: which jobs are read together, and a pass over their range, page by page, up to the present.
 *
 * Invariant: a pass leaves no line out that had arrived when it asked, and moves on with every page, whatever the page
 * holds. One that is long is left after some pages, so that other jobs have their turn, and taken up again.
 */
import { Clock, Effect } from "effect"
import { type LogLine, Logs } from "../cpln/logs.ts"
import type { Place } from "../cpln/place.ts"
import type { ApiError } from "../http/errors.ts"
import { type Followed, nextRead, type Pass, passed, type Session, startOf } from "./followed.ts"
import type { Gate } from "./gate.ts"
import { queryOf } from "./selector.ts"
import { latest, nanos } from "./times.ts"

/** The service's own bound. */
const linesPerRead = 999
const pagesPerTurn = 50
/** Jobs in one query, and how far apart in ns they may begin: the widest of them sets the range for all. */
const jobsPerRead = 50
const beginTogether = 300_000_000_000n
/** A read ends this far in the future, in ms: our clock may be behind. */
const ahead = 86_400_000
/** Of one query, in ms; the service's bound is 31 days. */
const longestSpan = 31 * 86_400_000 - 60_000

/** When something is due at the earliest, in ms. */
export const earliestDue = (jobs: Iterable<Followed>): number | undefined => {
  let earliest: number | undefined
  for (const { due } of jobs) {
    if (due !== undefined && (earliest === undefined || due < earliest)) earliest = due
  }
  return earliest
}

/** The jobs to read now: the one that is due first, with those that can be read along. A pass under way is alone. */
export const dueJobs = (
  all: Iterable<Followed>,
  session: Session | undefined,
  now: number
): ReadonlyArray<Followed> => {
  const due = [...all].filter((job) => job.due !== undefined && job.due <= now)
  if (due.length === 0) return due
  const first = due.reduce((a, b) => (b.due! < a.due! ? b : a))
  if (first.pass !== undefined) return [first]
  const start = startOf(first, session)
  const along = due.filter((job) => {
    const distance = startOf(job, session) - start
    return job !== first && job.pass === undefined && distance <= beginTogether && -distance <= beginTogether
  })
  return [first, ...along.slice(0, jobsPerRead - 1)]
}

/**
 * Reads on for these jobs and shows each page. Returns what is to be done for each of them when the present was reached:
 * it settles the job, and tells whether that opened its gate, so that what waits there follows. Returns nothing when a part
 * is left for the next turn.
 */
export const readOn = Effect.fnUntraced(function* (
  place: Place,
  jobs: ReadonlyArray<Followed>,
  session: Session | undefined,
  show: (lines: ReadonlyArray<LogLine>) => Effect.Effect<void>
): Effect.fn.Return<((job: Followed, session: Session | undefined) => boolean) | undefined, ApiError, Logs> {
  const logs = yield* Logs
  const query = queryOf(
    place,
    jobs.map((each) => each.commandId)
  )
  let pass = jobs[0]?.pass ?? begin(jobs, session, yield* Clock.currentTimeMillis)
  const leave = Effect.sync(() => {
    for (const job of jobs) job.pass = pass
  })
  for (let pages = 0; pages < pagesPerTurn; pages++) {
    const end = latest(nanos(yield* Clock.currentTimeMillis), pass.position) + nanos(ahead)
    const start = latest(pass.position, end - nanos(longestSpan))
    const lines = yield* logs
      .range({ query, start, end, limit: linesPerRead })
      .pipe(Effect.tapError(() => (pages > 0 ? leave : Effect.void)))
    yield* show(lines)
    const last = lines.at(-1)?.at ?? 0n
    pass = { ...pass, newest: latest(pass.newest, last) }
    if (lines.length < linesPerRead) {
      const now = yield* Clock.currentTimeMillis
      return (job, current) => settle(job, pass, current, now)
    }
    // A whole page of one nanosecond: there is no way to ask for the rest of it.
    pass = { ...pass, position: last > start ? last : start + 1n }
  }
  yield* leave
  return undefined
})

const begin = (jobs: ReadonlyArray<Followed>, session: Session | undefined, now: number): Pass => {
  const opens = new Set<Gate>()
  for (const { gate } of jobs) {
    if (!gate.seen) continue
    gate.spilled = false
    opens.add(gate)
  }
  const starts = jobs.map((job) => startOf(job, session))
  return { began: now, position: starts.reduce((a, b) => (b < a ? b : a)), newest: 0n, opens }
}

const settle = (job: Followed, pass: Pass, session: Session | undefined, now: number): boolean => {
  const { gate } = job
  passed(job, pass, now)
  const opens = pass.opens.has(gate) && !gate.joined && !gate.spilled
  if (opens) gate.joined = true
  job.due = nextRead(job, session, pass.began, now)
  return opens
}
