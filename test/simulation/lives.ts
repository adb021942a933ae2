/** What checks of runs and jobs share. */
import type { Evidence, JobLife, RunLife, StateSeen } from "./evidence.ts"
import type { Finding } from "./promise.ts"

export const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`

export const ofRuns =
  (find: (run: RunLife, evidence: Evidence) => ReadonlyArray<Omit<Finding, "runId">>) =>
  (evidence: Evidence): ReadonlyArray<Finding> =>
    evidence.runs.flatMap((run) => find(run, evidence).map((each) => ({ ...each, runId: run.id })))

/** By how much answers were slower than usual then, in ms. */
export const slownessAt = ({ begin, plan }: Evidence, at: number): number =>
  plan.events
    .map(({ at: from, event }) =>
      event.what === "slow answers" &&
      begin + 1000 * from <= at &&
      at <= begin + 1000 * (from + event.seconds) + event.by
        ? event.by
        : 0
    )
    .reduce((all, each) => all + each, Math.max(0, plan.latency.most - 1_000))

/** How long a stopped job may live, in s. Of slow stops that overlap, the end of the later one brings the earlier one back. */
export const graceOf = ({ plan: { events, stopping } }: Evidence): number => {
  const slow = events.flatMap(({ at, event }) =>
    event.what === "slow stops" ? [{ from: at, to: at + event.seconds, grace: event.grace }] : []
  )
  const stays = slow.filter((each) =>
    slow.some((later) => later.from > each.from && later.from <= each.to && later.to >= each.to)
  )
  return Math.max(stopping.grace, ...stays.map(({ grace }) => grace))
}

/** Since when whoever sent that had stood still, when it went on only `within` ms ago: what it read is that old. */
export const frozenSince = (
  { processes }: Evidence,
  by: string,
  at: number,
  within: number
): number | undefined =>
  processes
    .filter(({ name }) => `agent ${name}` === by)
    .flatMap(({ frozen }) => frozen)
    .find(({ to }) => to <= at && at - to <= within)?.from

/** The transition id that a claim names; undefined for any other state. */
export const claimOf = ({ message }: StateSeen): string | undefined =>
  /^Claimed by .* \| attempt (\S+)/u.exec(message)?.[1]

/** Claims without another state between them are one attempt: ids of those up to this one. */
export const roundUpTo = (states: ReadonlyArray<StateSeen>, last: StateSeen): ReadonlyArray<string> =>
  roundIn(states.slice(0, states.indexOf(last) + 1), last)

/** In the order in which states were asked for, which is how the server shows them: one that landed late is not the last. */
const roundIn = (states: ReadonlyArray<StateSeen>, claim: StateSeen): ReadonlyArray<string> => {
  const inOrder = states.toSorted((a, b) => a.asked - b.asked)
  const at = inOrder.indexOf(claim)
  const ends = (state: StateSeen) => claimOf(state) === undefined && state.name !== "Late"
  const begun = inOrder.findLastIndex((state, n) => n < at && ends(state))
  const over = inOrder.findIndex((state, n) => n > at && ends(state))
  return inOrder.slice(begun + 1, over < 0 ? undefined : over).flatMap((state) => claimOf(state) ?? [])
}

/** The newest attempt's oldest job, which is the one that counts; of the same millisecond that with the smaller id. */
export const decisive = (run: RunLife, at: number): JobLife | undefined => newestJobs(run, at)[0]

/** Where that one is not there any more: the oldest one beside it, one that was left to do its work before one that was stopped. */
export const successor = (run: RunLife, at: number): JobLife | undefined => {
  const [first, ...others] = newestJobs(run, at)
  if (first === undefined || first.deletedAt > at) return undefined
  const seen = others.filter((job) => !job.vanished)
  return seen.find((job) => job.stops.length === 0) ?? seen[0]
}

export const newestJobs = (run: RunLife, at: number): ReadonlyArray<JobLife> => {
  const made = run.jobs.filter((job) => job.at <= at)
  const attemptOf = (job: JobLife) => String(job.tags["prefect.io/attempt"] ?? "")
  const newest = made.map(attemptOf).reduce((a, b) => (b > a ? b : a), "")
  const claim = run.states.findLast((state) => newest.endsWith(claimOf(state) ?? " "))
  const round =
    claim === undefined
      ? []
      : roundIn(
          run.states.filter((state) => state === claim || state.at <= at),
          claim
        )
  return made
    .filter((job) => attemptOf(job) === newest || round.some((id) => attemptOf(job).endsWith(id)))
    .sort((a, b) => Math.floor(a.at) - Math.floor(b.at) || (a.id < b.id ? -1 : 1))
}
