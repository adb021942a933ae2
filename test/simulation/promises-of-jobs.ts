/**
 * The promises about the jobs of runs: I2, I3, and that a job which does its work is left to do it.
 *
 * Invariant: a job counts from its replica on, because nobody can stop one that has none; and only calm time counts.
 */
import {
  byAgent,
  calmBetween,
  isCancelling,
  isEnd,
  type JobLife,
  type RunLife,
  spansOf,
  type StateSeen
} from "./evidence.ts"
import { decisive, frozenSince, graceOf, ofRuns, seconds } from "./lives.ts"
import type { Check } from "./promise.ts"

/** Both have a replica. */
const together = (a: JobLife, b: JobLife) => ({
  from: Math.max(a.ran, b.ran),
  to: Math.min(a.mainOver, b.mainOver)
})

const oneJobAtOnce: Check = {
  promise: "I2",
  name: "no two jobs of a run work at once beyond the settle window",
  bound:
    "the settle time, two watch cycles, and the platform's grace after a stop; from when both have a replica, because nobody can stop one that has none",
  find: ofRuns((run, evidence) => {
    const { settle, watchInterval } = evidence.plan.settings
    const bound = 1000 * (settle + 2 * watchInterval + graceOf(evidence) + 15)
    return run.jobs.flatMap((job, index) =>
      run.jobs.slice(index + 1).flatMap((other) => {
        const { from, to } = together(job, other)
        const calm = to > from ? calmBetween(evidence, from, Math.min(to, evidence.endedAt)) : 0
        return calm > bound
          ? [{ at: from, what: `${job.id} and ${other.id} worked together for ${seconds(to - from)}` }]
          : []
      })
    )
  })
}

const noGhosts: Check = {
  promise: "I3",
  name: "no job outlives its run",
  bound:
    "the linger of a main container, two syncs to notice, 30 s between the two reads that prove a deletion, 30 s until a stop is asked for again, and the platform's grace",
  find: ofRuns((run, evidence) => {
    const { interval, mainLinger } = evidence.plan.settings
    const bound = 1000 * (mainLinger + 2 * interval + 30 + 30 + graceOf(evidence) + 15)
    const ends = spansOf(run, evidence.endedAt)
      .filter(({ state }) => isEnd(state))
      .map(({ from, next }) => ({ from, to: next === undefined ? evidence.endedAt : next.at }))
    const gone =
      run.deletedAt === undefined || evidence.mayBrake ? [] : [{ from: run.deletedAt, to: evidence.endedAt }]
    return [...ends, ...gone].flatMap((over) =>
      run.jobs.flatMap((job) => {
        const from = Math.max(over.from, job.ran, job.at)
        const to = Math.min(over.to, job.over)
        const calm = to > from ? calmBetween(evidence, from, to) : 0
        return calm > bound
          ? [{ at: from + bound, what: `${job.id} outlived its run by ${seconds(to - from)}` }]
          : []
      })
    )
  })
}

const mayStop = (state: StateSeen): boolean =>
  isEnd(state) || isCancelling(state) || state.type === "SCHEDULED" || state.pauseReschedule

/** The states that a run was in at some time of a span, the last one last. */
const statesIn = (run: RunLife, from: number, to: number): ReadonlyArray<StateSeen> =>
  run.states.filter(
    ({ at }, index) => at <= to && (run.states[index + 1]?.at ?? Number.POSITIVE_INFINITY) > from
  )

/** Ages come from whole seconds. */
const wholeSecond = 1_500

/** The read that confirms a stop may be 5 s old where the server is slow, and the stop takes its time. */
const confirmedWithin = 7_000

const hasItsLinger: Check = {
  promise: "I3",
  name: "a job that worked when its run ended has its linger",
  bound:
    "the linger of a main container, or of side containers where only those are left, less 1.5 s for ages in whole seconds",
  find: ofRuns((run, { plan }) =>
    run.jobs.flatMap((job) => {
      const [stop] = job.stops
      if (stop === undefined || !byAgent(stop.by)) return []
      // The engine's report may come as the stop that rests on an end before it is under way.
      const ends = statesIn(run, stop.at - confirmedWithin, stop.at)
      const state = ends.at(-1)
      if (state === undefined || !isEnd(state) || state.by !== "engine" || job.ran > state.at) return []
      // Or as one is that rests on what it was before.
      if (ends.some((each) => !isEnd(each) && mayStop(each))) return []
      const since = ends.every(isEnd) ? Math.min(...ends.map((end) => end.asked)) : state.asked
      const lingered = stop.at - since
      const { linger, mainLinger } = plan.settings
      const least = 1000 * (job.mainOver <= stop.at ? linger : mainLinger) - wholeSecond
      return decisive(run, stop.at) === job && lingered < least
        ? [{ at: stop.at, what: `${job.id} was stopped ${seconds(lingered)} after its run ended` }]
        : []
    })
  )
}

const workIsNotStopped: Check = {
  promise: "I7",
  name: "no job that does its work for an open run is stopped",
  bound:
    "unless in the last 7 s, or before its stopper stood still, its run was over, cancelling, not to run now or deleted, another attempt or double was there, it did not start in time, or the run was claimed anew after its start was sent",
  find: ofRuns((run, evidence) =>
    run.jobs.flatMap((job) => {
      const { plan } = evidence
      const [stop] = job.stops
      if (stop === undefined || !byAgent(stop.by)) return []
      const since = (frozenSince(evidence, stop.by, stop.at, confirmedWithin) ?? stop.at) - confirmedWithin
      const deleted = run.deletedAt !== undefined && run.deletedAt <= stop.at
      const slow = Math.min(job.ran, stop.at) - job.at >= 1000 * plan.settings.startTimeout - wholeSecond
      const alone = decisive(run, stop.at) === job
      const claimedAnew = run.states.some(
        ({ at, type }) => type === "PENDING" && at > job.sent && at <= stop.at
      )
      const idle = job.mainOver <= stop.at
      if (idle || deleted || slow || !alone || claimedAnew || statesIn(run, since, stop.at).some(mayStop))
        return []
      return [
        {
          at: stop.at,
          what: `${job.id} was stopped by ${stop.by} while its run was ${statesIn(run, stop.at, stop.at).at(-1)?.name}`
        }
      ]
    })
  )
}

/** The proof that a run is ours holds for 5 s, and a start takes its time. */
const provenWithin = 8_000

const nothingStartsForTheDead: Check = {
  promise: "I3",
  name: "no job is started for a run that is over",
  bound: "8 s after its end: the proof of a claim holds for 5, and sending the start takes its time",
  find: ofRuns((run) =>
    run.jobs.flatMap((job) => {
      if (!byAgent(job.by)) return []
      const states = statesIn(run, job.sent - provenWithin, job.sent)
      const over = states.every((state) => isEnd(state) || isCancelling(state))
      const deleted = run.deletedAt !== undefined && run.deletedAt < job.sent - provenWithin
      return over || deleted
        ? [
            {
              at: job.sent,
              what: `${job.id} was started by ${job.by} although the run was ${states.at(-1)?.name}`
            }
          ]
        : []
    })
  )
}

/** After this an answer is a doubt, in ms. */
const answerWithin = 15_000
/** A start that lands this soon after it was sent, in ms, is found: 15 s for the answer, and most of the doubt horizon. */
const foundWithin = 30_000

const doubtIsSettled: Check = {
  promise: "I2",
  name: "a start that lands within the doubt horizon is found, and not sent again",
  bound: "30 s after it was sent, where no fault hits the search",
  find: ofRuns((run, { blindAt }) =>
    run.jobs.flatMap((job) => {
      const late = job.at - job.sent
      if (!byAgent(job.by) || late < answerWithin || late > foundWithin) return []
      if (blindAt.some((at) => at >= job.sent && at <= job.at + 60_000)) return []
      const attempt = job.tags["prefect.io/attempt"]
      // One that was sent before landed beyond the horizon itself: nobody could know of it.
      const double = run.jobs.find(
        (each) => each !== job && each.tags["prefect.io/attempt"] === attempt && each.sent > job.sent
      )
      // What somebody deleted before the search is not found.
      if (double !== undefined && job.deletedAt < double.sent) return []
      return double === undefined
        ? []
        : [{ at: double.at, what: `${double.id} was started although ${job.id} of the same attempt came` }]
    })
  )
}

const claimableWithoutJob: Check = {
  promise: "I2",
  name: "a run that waits for its own retry is made claimable only when its job is over",
  bound: "at the moment of the write; side containers are no engine, and are stopped then",
  find: ofRuns((run) =>
    run.madeClaimable.flatMap((at) => {
      const live = run.jobs.find(
        (job) =>
          job.ran <= at && Math.min(job.mainOver, job.over) > at && !job.stops.some((stop) => stop.at <= at)
      )
      return live === undefined ? [] : [{ at, what: `made claimable while ${live.id} lived` }]
    })
  )
}

export const promisesOfJobs: ReadonlyArray<Check> = [
  oneJobAtOnce,
  doubtIsSettled,
  claimableWithoutJob,
  noGhosts,
  hasItsLinger,
  workIsNotStopped,
  nothingStartsForTheDead
]
