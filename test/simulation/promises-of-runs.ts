/**
 * The promises about runs and their jobs, I1 to I7.
 *
 * Invariant: a bound counts calm time only: time in which no fault, outage or dead agent was in the way. What no agent can
 * do is not asked of one: a job without a replica cannot be stopped, and the server has no write on a condition.
 */
import {
  byAgent,
  calmBetween,
  type Evidence,
  isCancelling,
  isEnd,
  type JobLife,
  type RunLife,
  spansOf,
  type StateSeen
} from "./evidence.ts"
import type { Check, Finding } from "./promise.ts"

const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`

const ofRuns =
  (find: (run: RunLife, evidence: Evidence) => ReadonlyArray<Omit<Finding, "runId">>) =>
  (evidence: Evidence): ReadonlyArray<Finding> =>
    evidence.runs.flatMap((run) => find(run, evidence).map((each) => ({ ...each, runId: run.id })))

/** Whether a SCHEDULED state waits for its engine, which is inside a job. */
const waitsInProcess = (run: RunLife, { at }: StateSeen): boolean =>
  run.inProcess.findLast((each) => each.at <= at)?.is === true

const isWaiting = (run: RunLife, state: StateSeen): boolean =>
  state.type === "PENDING" ||
  (state.type === "SCHEDULED" && state.name !== "AwaitingConcurrencySlot" && !waitsInProcess(run, state))

/** From when on nothing is in the way of a state that waits: it is due, and no earlier job lives. */
const freeFrom = (run: RunLife, state: StateSeen): number =>
  Math.max(
    state.at,
    state.type === "SCHEDULED" ? (state.scheduledAt ?? run.due) : 0,
    ...run.jobs
      .filter((job) => job.at < state.at && job.over < Number.POSITIVE_INFINITY)
      .map((job) => job.over)
  )

/** Stretches in which a run only waited to run: it was offered, claimed, handed back, offered again. */
const waits = (run: RunLife, evidence: Evidence) => {
  const found: Array<{ from: number; to: number; calm: number; how: Array<string> }> = []
  let open: (typeof found)[number] | undefined
  for (const { from, state, to } of spansOf(run, evidence.endedAt)) {
    if (!isWaiting(run, state)) {
      open = undefined
      continue
    }
    // Somebody else's wish to run it again is a new wait.
    const anew = state.type === "SCHEDULED" && state.by === "person"
    if (open === undefined || anew) {
      open = { from, to, calm: 0, how: [] }
      found.push(open)
    }
    open.to = to
    open.calm += calmBetween(evidence, Math.max(from, freeFrom(run, state)), to)
    open.how.push(state.name)
  }
  return found
}

/** The longest pause after a launch was held back: trouble of before is still felt that long. */
const longestPause = 300

const noRunIsLost: Check = {
  promise: "I1",
  name: "a due run is started, or ended with a reason",
  bound:
    "twice the start timeout, the launch deadline, the longest pause of 300 s after a launch was held back, and 60 s to notice",
  find: ofRuns((run, evidence) => {
    const { launchDeadline, limit, startTimeout } = evidence.plan.settings
    // With a limit it waits for other jobs: then only that the world settles is asked.
    if (limit !== undefined) return []
    const bound = 1000 * (2 * startTimeout + launchDeadline + longestPause + 60)
    return waits(run, evidence)
      .filter(({ calm }) => calm > bound)
      .map(({ calm, from, how }) => ({
        at: from + bound,
        what: `waited ${seconds(calm)} to run: ${how.join(", ")}`
      }))
  })
}

/** Both have a replica. */
const together = (a: JobLife, b: JobLife) => ({
  from: Math.max(a.ran, b.ran),
  to: Math.min(a.over, b.over)
})

const oneJobAtOnce: Check = {
  promise: "I2",
  name: "no two jobs of a run work at once beyond the settle window",
  bound:
    "the settle time, two watch cycles, and the platform's grace after a stop; from when both have a replica, because nobody can stop one that has none",
  find: ofRuns((run, evidence) => {
    const { settle, watchInterval } = evidence.plan.settings
    const bound = 1000 * (settle + 2 * watchInterval + evidence.plan.stopping.grace + 15)
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
    const bound = 1000 * (mainLinger + 2 * interval + 30 + 30 + evidence.plan.stopping.grace + 15)
    const ends = spansOf(run, evidence.endedAt)
      .filter(({ state }) => isEnd(state))
      .map(({ from, next }) => ({ from, to: next === undefined ? evidence.endedAt : next.at }))
    const gone = run.deletedAt === undefined ? [] : [{ from: run.deletedAt, to: evidence.endedAt }]
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

const openTypes = new Set(["PENDING", "RUNNING", "PAUSED"])

const noRunStaysOpen: Check = {
  promise: "I4",
  name: "no run stays open when its job is over",
  bound:
    "the settle time, two syncs, and 30 s to write it; six more syncs where the job is in no list any more, which counts as gone after five looks",
  find: ofRuns((run, evidence) => {
    const { interval, settle } = evidence.plan.settings
    return spansOf(run, evidence.endedAt).flatMap(({ from, state, to }) => {
      const inProcess = state.type === "SCHEDULED" && waitsInProcess(run, state)
      if (!(openTypes.has(state.type) || inProcess) || state.pauseReschedule) return []
      const own = run.jobs.filter((job) => job.at < to)
      // What is claimed and has no job yet is a matter of I1.
      const begun = state.type === "PENDING" ? own.filter((job) => job.at >= from) : own
      if (begun.length === 0) return []
      const over = Math.max(from, ...own.map((job) => job.over))
      const gone = own.some((job) => job.vanished)
      const bound = 1000 * (settle + (gone ? 8 : 2) * interval + 30)
      const calm = over < to ? calmBetween(evidence, over, to) : 0
      return calm > bound
        ? [{ at: over + bound, what: `still ${state.name} ${seconds(calm)} after its job was over` }]
        : []
    })
  })
}

const cancellingConverges: Check = {
  promise: "I5",
  name: "a run that is being cancelled comes to its end",
  bound:
    "without a job what it takes to prove that there is none (the launch deadline, or five looks at the monitor interval); with one the cancel grace, the platform's grace and 30 s until a stop is asked for again; and two syncs. A job counts from its replica on",
  find: ofRuns((run, evidence) => {
    const { cancelGrace, interval, launchDeadline } = evidence.plan.settings
    const absent = Math.max(launchDeadline + 45, 6 * interval)
    const present = cancelGrace + evidence.plan.stopping.grace + 30
    const bound = 1000 * (Math.max(absent, present) + 2 * interval + 30)
    return spansOf(run, evidence.endedAt).flatMap(({ from, state, to }) => {
      if (!isCancelling(state)) return []
      const since = Math.max(
        from,
        ...run.jobs.map((job) => Math.min(job.ran, job.over)).filter(Number.isFinite)
      )
      const calm = since < to ? calmBetween(evidence, since, to) : 0
      return calm > bound ? [{ at: since + bound, what: `still ${state.name} after ${seconds(calm)}` }] : []
    })
  })
}

/** A start that lands in this time before the write cannot have been seen: a read takes that long. In ms. */
const unseenFor = 2_000

const cancelledIsTrue: Check = {
  promise: "I5",
  name: "CANCELLED is written only when no job of the run lives",
  bound: "no job that was made more than 2 s before the write",
  find: ofRuns((run) =>
    run.states.flatMap((state) => {
      if (!byAgent(state.by) || state.type !== "CANCELLED") return []
      const live = run.jobs.find((job) => job.at <= state.at - unseenFor && job.over > state.at)
      return live === undefined
        ? []
        : [{ at: state.at, what: `CANCELLED by ${state.by} while ${live.id} was ${live.stage}` }]
    })
  )
}

const endsStay: Check = {
  promise: "I6",
  name: "an end is never changed by an agent",
  bound:
    "no state over an end that is older than 2 s: the write follows a read that is at most a second old, takes its time itself, and the server has no write on a condition",
  find: ofRuns((run) =>
    run.states.flatMap((state, index) => {
      const before = run.states[index - 1]
      if (!byAgent(state.by) || before === undefined || !isEnd(before)) return []
      return state.at - before.at > unseenFor
        ? [
            {
              at: state.at,
              what: `${before.name} by ${before.by} was changed to ${state.name} by ${state.by}`
            }
          ]
        : []
    })
  )
}

/** The newest attempt's oldest job, which is the one that counts. */
const decisive = (run: RunLife, at: number): JobLife | undefined => {
  const made = run.jobs.filter((job) => job.at <= at)
  const attemptOf = (job: JobLife) => String(job.tags["prefect.io/attempt"] ?? "")
  const newest = made.map(attemptOf).reduce((a, b) => (b > a ? b : a), "")
  return made.find((job) => attemptOf(job) === newest)
}

const endsAreTrue: Check = {
  promise: "I7",
  name: "an end that an agent writes agrees with the job",
  bound: "at the moment of the write, by the job of the newest attempt",
  find: ofRuns((run) =>
    run.states.flatMap((state, index) => {
      const before = run.states[index - 1]
      if (!byAgent(state.by) || !isEnd(state) || before === undefined) return []
      // A claim that landed on an end gives that back.
      const given = run.states
        .slice(0, index)
        .some((each) => each.type === state.type && each.message === state.message && !byAgent(each.by))
      const job = decisive(run, state.at)
      if (given || job === undefined) return []
      const wrong = (why: string) => [
        { at: state.at, what: `${state.name} by ${state.by}, but ${why}: ${state.message}` }
      ]
      const stopped = job.stops.some((stop) => stop.at <= state.at)
      if (job.ran <= state.at && job.over > state.at && !stopped) return wrong(`${job.id} runs`)
      if (state.type === "COMPLETED" && (job.stage !== "completed" || job.vanished))
        return wrong(`${job.id} is ${job.stage}`)
      const well = job.stage === "completed" && job.exitCode === 0 && !job.vanished && !stopped
      if (state.type === "CRASHED" && before.type === "RUNNING" && well)
        return wrong(`${job.id} ended with exit code 0`)
      return []
    })
  )
}

const reportsStand: Check = {
  promise: "I7",
  name: "what the engine reported last is the end, unless somebody wanted it otherwise",
  bound: "at the end of the world",
  find: ofRuns((run) => {
    const last = run.states.findLastIndex((state) => state.by === "engine" && isEnd(state))
    const [end, later] = [run.states[last], run.states.slice(last + 1)]
    if (end === undefined || later.length === 0 || later.some(({ by }) => !byAgent(by) && by !== "engine"))
      return []
    const final = run.states.at(-1)
    return final !== undefined && final.type !== end.type
      ? [{ at: final.at, what: `the engine reported ${end.type}, and the run is ${final.name}` }]
      : []
  })
}

export const promisesOfRuns: ReadonlyArray<Check> = [
  noRunIsLost,
  oneJobAtOnce,
  noGhosts,
  noRunStaysOpen,
  cancellingConverges,
  cancelledIsTrue,
  endsStay,
  endsAreTrue,
  reportsStand
]
