/**
 * The promises about the ways of runs: that they come to an end, by the job of their newest claim, I1, I4, I5 and I7.
 *
 * Invariant: a bound counts calm time only: time in which no fault, outage or dead agent was in the way. What no agent can
 * do is not asked of one: a job without a replica cannot be stopped, and the server has no write on a condition.
 */
import {
  byAgent,
  calmBetween,
  type Evidence,
  isCancelling,
  type Process,
  type JobLife,
  type RunLife,
  spansOf,
  type StateSeen,
  waitsInProcess
} from "./evidence.ts"
import { claimOf, graceOf, ofRuns, roundUpTo, seconds } from "./lives.ts"
import type { Check } from "./promise.ts"

const isWaiting = (state: StateSeen): boolean =>
  state.type === "PENDING" || (state.type === "SCHEDULED" && state.name !== "AwaitingConcurrencySlot")

/** From when on nothing is in the way of a state that waits: it is due, and no earlier job lives. */
const freeFrom = (run: RunLife, state: StateSeen): number =>
  Math.max(
    state.at,
    state.type === "SCHEDULED" ? (state.scheduledAt ?? run.due) : 0,
    waitsInProcess(state) ? (run.madeClaimable.find((at) => at >= state.at) ?? Number.POSITIVE_INFINITY) : 0,
    ...run.jobs
      .filter((job) => job.at < state.at && job.over < Number.POSITIVE_INFINITY)
      .map((job) => job.over)
  )

/** Stretches in which a run only waited to run: it was offered, claimed, handed back, offered again. */
const waits = (run: RunLife, evidence: Evidence) => {
  const found: Array<{ from: number; to: number; calm: number; how: Array<string> }> = []
  let open: (typeof found)[number] | undefined
  for (const { from, state, to } of spansOf(run, evidence.endedAt)) {
    if (!isWaiting(state)) {
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
    // A job that waits on though somebody deleted its command can be stopped by nobody.
    const beyondReach = Math.min(
      ...run.jobs.flatMap(({ deletedAt, ran }) => (ran > deletedAt && ran < Infinity ? [deletedAt] : []))
    )
    open.calm += calmBetween(evidence, Math.max(from, freeFrom(run, state)), Math.min(to, beyondReach))
    open.how.push(state.name)
  }
  return found
}

/** The longest pause after a launch was held back: trouble of before is still felt that long. */
const longestPause = 300

/** How long the brake holds what rests on absence, in s. */
const brake = 900

const noRunIsLost: Check = {
  promise: "I1",
  name: "a due run is started, or ended with a reason",
  bound:
    "twice the start timeout, the launch deadline, the longest pause of 300 s after a launch was held back, and 60 s to notice; where the record of a job went twice the 15 minutes of the brake",
  find: ofRuns((run, evidence) => {
    const { launchDeadline, limit, startTimeout } = evidence.plan.settings
    // With a limit it waits for other jobs: then only that the world settles is asked.
    if (limit !== undefined) return []
    const braked = run.jobs.some((job) => Number.isFinite(job.deletedAt)) ? 2 * brake : 0
    const bound = 1000 * (2 * startTimeout + launchDeadline + longestPause + 60 + braked)
    return waits(run, evidence)
      .filter(({ calm }) => calm > bound)
      .map(({ calm, from, how }) => ({
        at: from + bound,
        what: `waited ${seconds(calm)} to run: ${how.join(", ")}`
      }))
  })
}

const openTypes = new Set(["PENDING", "RUNNING", "PAUSED"])

const noRunStaysOpen: Check = {
  promise: "I4",
  name: "no run stays open when its job is over",
  bound:
    "the settle time, two syncs, and 30 s to write it; where the job is in no list any more six more syncs (it is gone after five looks) and twice the 15 minutes for which the brake may hold that",
  find: ofRuns((run, evidence) => {
    const { interval, settle } = evidence.plan.settings
    return spansOf(run, evidence.endedAt).flatMap(({ from, state, to: until }) => {
      if (!(openTypes.has(state.type) || waitsInProcess(state)) || state.pauseReschedule) return []
      // From then on it is a matter of I1.
      const made = waitsInProcess(state) ? run.madeClaimable.find((at) => at >= from) : undefined
      const to = made ?? until
      const own = run.jobs.filter((job) => job.at < to)
      // What is claimed and has no job yet is a matter of I1.
      const begun = state.type === "PENDING" ? own.filter((job) => job.at >= from) : own
      if (begun.length === 0) return []
      const over = Math.max(from, ...own.map((job) => job.mainOver))
      const gone = own.some((job) => job.deletedAt < to)
      const bound = 1000 * (settle + (gone ? 8 * interval + 2 * brake : 2 * interval) + 30)
      const calm = over < to ? calmBetween(evidence, over, to) : 0
      return calm > bound
        ? [{ at: over + bound, what: `still ${state.name} ${seconds(calm)} after its job was over` }]
        : []
    })
  })
}

/** People did more to it than cancel it: its PID may name anything. */
const wasTouched = (run: RunLife, { plan }: Evidence): boolean =>
  plan.events.some(({ event }) => "run" in event && event.run === run.id && event.what !== "cancel")

const cancellingConverges: Check = {
  promise: "I5",
  name: "a run that is being cancelled comes to its end",
  bound:
    "without a job what it takes to prove that there is none (the launch deadline, or five looks at the monitor interval; 45 s where nobody ever claimed it); with one the cancel grace, the platform's grace and 30 s until a stop is asked for again; and two syncs; where the record of a job went twice the 15 minutes of the brake. A job counts from its replica on",
  find: ofRuns((run, evidence) => {
    const { cancelGrace, interval, launchDeadline } = evidence.plan.settings
    const wasClaimed =
      run.jobs.length > 0 ||
      run.states.some((state) => claimOf(state) !== undefined) ||
      wasTouched(run, evidence)
    const braked = run.jobs.some((job) => Number.isFinite(job.deletedAt)) ? 2 * brake : 0
    const absent = Math.max(launchDeadline + 45, 6 * interval)
    const present = cancelGrace + graceOf(evidence) + 30
    const proven = wasClaimed ? Math.max(absent, present) : 45
    const bound = 1000 * (proven + 2 * interval + 30 + braked)
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

/** From the answer to a claim to its job: an unanswered start is looked for, a workload is made. */
const claimWithin = 45_000

const isAliveAs = (process: Process, by: string, at: number): boolean =>
  `agent ${process.name}` === by && process.from <= at && at <= process.to

const claimsAreKept: Check = {
  promise: "I1",
  name: "who claims a run starts its job, or says why not",
  bound: "45 s of calm time, while the claimant lives: the doubt horizon, and the time to make a workload",
  find: ofRuns((run, evidence) =>
    spansOf(run, evidence.endedAt).flatMap(({ from, state, to }) => {
      if (claimOf(state) === undefined || state.type !== "PENDING") return []
      // Of several with one name any may have claimed it: the first to end is taken for it.
      const claimants = evidence.processes.filter((process) => isAliveAs(process, state.by, state.asked))
      const ends = claimants.length === 0 ? from : Math.min(...claimants.map((process) => process.to))
      // Of two claims that the server accepted at once, the job of either is the job of both.
      const round = roundUpTo(run.states, state)
      const made = run.jobs.find((job) =>
        round.some((id) => String(job.tags["prefect.io/attempt"]).endsWith(id))
      )
      const until = Math.min(to, made?.at ?? to, ends)
      const adopted = / \| adopts /u.test(state.message)
      const calm = calmBetween(evidence, from, until)
      return calm > claimWithin && !adopted
        ? [{ at: from + claimWithin, what: `claimed by ${state.by}, who did nothing for ${seconds(calm)}` }]
        : []
    })
  )
}

/** A read that proves a claim holds for 5 s, and the write takes its time. */
const proofHolds = 8_000

const pidIsOfNewest: Check = {
  promise: "I7",
  name: "the infrastructure PID names a job of the newest claim",
  bound:
    "8 s: the proof of a claim holds for 5, and the write takes its time; a process that is frozen as it writes is put right by the next look. A job that was taken for lost, came late and works is named as long as no newer one is there",
  find: ({ entries, runs }) =>
    entries.flatMap((entry) => {
      if (entry.what !== "run changed" || !byAgent(entry.by)) return []
      const id = String(entry.change["infrastructure_pid"] ?? "")
        .split(":")
        .at(-1)
      const run = runs.find((each) => each.id === entry.runId)
      const job = run?.jobs.find((each) => each.id === id)
      const known = run?.states.filter(
        (state) => claimOf(state) !== undefined && state.at <= entry.sent - proofHolds
      )
      const newest = known?.at(-1)
      if (job === undefined || newest === undefined || job.at >= newest.at) return []
      const ids = roundUpTo(run?.states ?? [], newest)
      const isOfNewest = (each: JobLife) =>
        ids.some((one) => String(each.tags["prefect.io/attempt"]).endsWith(one))
      const fits = isOfNewest(job) || newest.message.includes(` adopts ${job.id}`)
      // It came late, after it was taken for lost, works for the run, and there is no other.
      const isAllThereIs =
        !run?.jobs.some((each) => isOfNewest(each) && each.at <= entry.at) &&
        run?.states.some((state) => state.by === "engine" && state.at > newest.at && state.at <= entry.at)
      return fits || isAllThereIs
        ? []
        : [
            {
              at: entry.at,
              runId: entry.runId,
              what: `${entry.by} wrote the PID of ${job.id}, of an older claim`
            }
          ]
    })
}

export const promisesOfRuns: ReadonlyArray<Check> = [
  noRunIsLost,
  claimsAreKept,
  noRunStaysOpen,
  cancellingConverges,
  pidIsOfNewest
]
