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

/** The transition id that a claim names; undefined for any other state. */
export const claimOf = ({ message }: StateSeen): string | undefined =>
  /^Claimed by .* \| attempt (\S+)/u.exec(message)?.[1]

/** Claims without another state between them are one attempt: ids of those up to this one. */
export const roundUpTo = (states: ReadonlyArray<StateSeen>, last: StateSeen): ReadonlyArray<string> => {
  const upTo = states.slice(0, states.indexOf(last) + 1)
  const begun = upTo.findLastIndex((state) => claimOf(state) === undefined)
  return upTo.slice(begun + 1).map((state) => claimOf(state) ?? "")
}

/** As that, and those after it: of two claims of one millisecond the ids do not tell which was the last. */
const roundOf = (states: ReadonlyArray<StateSeen>, claim: number): ReadonlyArray<string> => {
  const after = states.findIndex((state, n) => n > claim && claimOf(state) === undefined)
  return roundUpTo(states, states.at(after < 0 ? -1 : after - 1)!)
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

const newestJobs = (run: RunLife, at: number): ReadonlyArray<JobLife> => {
  const made = run.jobs.filter((job) => job.at <= at)
  const attemptOf = (job: JobLife) => String(job.tags["prefect.io/attempt"] ?? "")
  const newest = made.map(attemptOf).reduce((a, b) => (b > a ? b : a), "")
  const claim = run.states.findLastIndex((state) => newest.endsWith(claimOf(state) ?? " "))
  const round =
    claim < 0
      ? []
      : roundOf(
          run.states.filter((state, n) => n <= claim || state.at <= at),
          claim
        )
  return made
    .filter((job) => attemptOf(job) === newest || round.some((id) => attemptOf(job).endsWith(id)))
    .sort((a, b) => Math.floor(a.at) - Math.floor(b.at) || (a.id < b.id ? -1 : 1))
}
