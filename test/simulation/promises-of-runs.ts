/**
 * The promises about the states of runs: I1, I4 to I7.
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
  type Process,
  type JobLife,
  type RunLife,
  spansOf,
  type StateSeen,
  waitsInProcess
} from "./evidence.ts"
import {
  claimOf,
  decisive,
  frozenSince,
  graceOf,
  newestJobs,
  ofRuns,
  roundUpTo,
  seconds,
  slownessAt,
  successor
} from "./lives.ts"
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

/** What happens in this time before a write cannot have been seen, in ms: a read and the write take so long. */
const unseenFor = (at: number, evidence: Evidence): number => 2_000 + slownessAt(evidence, at)

/** Whether a write rests on a read that was asked for before `then`, and whose answer was waited for. */
const restsOnSlowRead = ({ slowReads }: Evidence, { at, by }: StateSeen, then: number): boolean =>
  slowReads.some((read) => read.by === by && read.from <= then && then <= at && at - read.to <= 1_000)

/** How soon an end that was overwritten unseen is there again, in ms. */
const givenBackWithin = 10_000

const cancelledIsTrue: Check = {
  promise: "I5",
  name: "CANCELLED is written only when no job of the run lives",
  bound:
    "no job that was made more than 2 s before the write, and what answers take where a service is slow, and that no answer of that time left out or was too old to show",
  find: ofRuns((run, evidence) =>
    run.states.flatMap((state) => {
      if (!byAgent(state.by) || state.type !== "CANCELLED") return []
      const since = state.at - unseenFor(state.at, evidence)
      if (evidence.partialAt.some((at) => at <= state.at && at > since)) return []
      const live = run.jobs.find((job) => job.at <= since && job.over > state.at)
      return live === undefined
        ? []
        : [{ at: state.at, what: `CANCELLED by ${state.by} while ${live.id} was ${live.stage}` }]
    })
  )
}

/** A process that is stopped between its read and its write sends that once it goes on, and then gives the end back. */
const undidAfterFreeze = ({ states }: RunLife, index: number, evidence: Evidence): boolean => {
  const [before, state] = [states[index - 1], states[index]]
  if (before === undefined || state === undefined) return false
  const since = frozenSince(evidence, state.by, state.at, unseenFor(state.at, evidence))
  const wasFrozen = since !== undefined && since <= before.at
  const back = states.slice(index + 1).find(({ type }) => type === before.type)
  return wasFrozen && back !== undefined && back.at - state.at <= givenBackWithin
}

const endsStay: Check = {
  promise: "I6",
  name: "an end is never changed by an agent",
  bound:
    "no state over an end that is older than 2 s, and what answers take where the server is slow: the write follows a read that is at most a second old, takes its time itself, and the server has no write on a condition. A process that was stopped between the two gives the end back within 10 s",
  find: ofRuns((run, evidence) =>
    run.states.flatMap((state, index) => {
      const before = run.states[index - 1]
      if (!byAgent(state.by) || before === undefined || !isEnd(before)) return []
      if (undidAfterFreeze(run, index, evidence) || restsOnSlowRead(evidence, state, before.at)) return []
      const unseen = unseenFor(state.at, evidence)
      // It waited in the server while the run came to its end: that is asked below.
      if (state.at - state.asked > unseen && state.asked - before.at <= unseen) return []
      return state.at - before.at > unseen
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

const lateStatesTakeNothing: Check = {
  promise: "I6",
  name: "an end, and the wish for one, comes back when a state that was asked for before it lands on it",
  bound: "two syncs and 60 s of calm time, unless a person or the engine goes on with the run",
  find: ofRuns((run, evidence) => {
    const bound = 1000 * (60 + 2 * evidence.plan.settings.interval)
    return run.states.flatMap((state, index) => {
      const before = run.states[index - 1]
      const isLate = before !== undefined && state.asked < before.asked && state.at - state.asked > 2_000
      // The wish for an end is granted when the run has ended already, and no server lets the agent take it back.
      const isToEnd = isEnd(state) || isCancelling(state)
      if (!isLate || isToEnd || !(isEnd(before) || isCancelling(before))) return []
      // Of several that waited, the one that was asked for last comes back as well.
      const [last = before] = run.states.slice(0, index).sort((a, b) => b.asked - a.asked)
      // That it is CANCELLED is to be found out anew.
      const isCancel = before.type === "CANCELLED" || isCancelling(before)
      const isBack = ({ by, name, type }: StateSeen) =>
        type === before.type ||
        (type === last.type && isEnd(last)) ||
        (isCancel && (type === "CANCELLED" || isCancelling({ name, type }))) ||
        !byAgent(by)
      const back = run.states.slice(index + 1).find(isBack)?.at ?? evidence.endedAt
      const calm = calmBetween(evidence, state.at, Math.min(back, run.deletedAt ?? back))
      return calm > bound
        ? [
            {
              at: state.at + bound,
              what: `${before.name} was lost to ${state.name} of ${state.by}, which came late`
            }
          ]
        : []
    })
  })
}

const nothingIsForced: Check = {
  promise: "I6",
  name: "no agent forces a state",
  bound: "never",
  find: ofRuns((run) =>
    run.states
      .filter((state) => state.forced && byAgent(state.by))
      .map(({ at, by, name }) => ({ at, what: `${name} was forced by ${by}` }))
  )
}

const endsAreWrittenOnce: Check = {
  promise: "I6",
  name: "replicas write an end once",
  bound:
    "never the same end twice in a row: both carry the same id, and the server refuses the second. Not where the read before it took seconds, and the ends say different things of the job",
  find: ofRuns((run, evidence) =>
    run.states.flatMap((state, index) => {
      const before = run.states[index - 1]
      const twice =
        before !== undefined &&
        isEnd(state) &&
        isEnd(before) &&
        before.type === state.type &&
        byAgent(before.by) &&
        byAgent(state.by) &&
        !restsOnSlowRead(evidence, state, before.at)
      return twice ? [{ at: state.at, what: `${state.name} by ${before.by}, and again by ${state.by}` }] : []
    })
  )
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

/** `failed` counts when it was seen twice, 5 s apart. */
const secondLook = 5_000

const endsAreTrue: Check = {
  promise: "I7",
  name: "an end that an agent writes agrees with the job",
  bound:
    "at the moment of the write, by the job of the newest attempt; where that vanished or never began, by one beside it",
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
      if (job.ran <= state.at && job.mainOver > state.at && !stopped) return wrong(`${job.id} runs`)
      // One that is shown no more may be remembered as it was.
      const left = successor(run, state.at) ?? job
      // One that never began did no work, and one beside it may have done all of it.
      const worker =
        job.ran > state.at ? newestJobs(run, state.at).find((each) => each.ran <= state.at) : undefined
      const completed = [job, left, worker ?? job].some(
        (each) =>
          (each.stage === "completed" && !each.vanished) || (each.mainExit === 0 && each.mainOver <= state.at)
      )
      if (state.type === "COMPLETED" && !completed) return wrong(`${left.id} is ${left.stage}`)
      // What is corrected before a second look was never seen to fail.
      const well =
        job.stage === "completed" &&
        (job.mainExit ?? 0) === 0 &&
        job.deletedAt > state.at &&
        !stopped &&
        job.stageAt - job.over < secondLook
      if (state.type === "CRASHED" && before.type === "RUNNING" && well) return wrong(`${job.id} completed`)
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
    // An engine that ran later, whichever, made it a report of the past.
    if (end === undefined || later.length === 0 || later.some(({ by }) => !byAgent(by))) return []
    const final = run.states.at(-1)
    return final !== undefined && final.type !== end.type
      ? [{ at: final.at, what: `the engine reported ${end.type}, and the run is ${final.name}` }]
      : []
  })
}

export const promisesOfRuns: ReadonlyArray<Check> = [
  noRunIsLost,
  claimsAreKept,
  noRunStaysOpen,
  cancellingConverges,
  cancelledIsTrue,
  endsStay,
  lateStatesTakeNothing,
  nothingIsForced,
  endsAreWrittenOnce,
  pidIsOfNewest,
  endsAreTrue,
  reportsStand
]
