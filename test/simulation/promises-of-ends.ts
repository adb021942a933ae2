/**
 * The promises about the ends of runs: that they are true, and stay, I5 to I7.
 *
 * Invariant: the server has no write on a condition, so that what nobody can have seen before a write is not asked of it.
 */
import {
  byAgent,
  calmBetween,
  type Evidence,
  isCancelling,
  isEnd,
  type RunLife,
  type StateSeen
} from "./evidence.ts"
import { decisive, frozenSince, newestJobs, ofRuns, slownessAt, successor } from "./lives.ts"
import type { Check } from "./promise.ts"

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

export const promisesOfEnds: ReadonlyArray<Check> = [
  cancelledIsTrue,
  endsStay,
  lateStatesTakeNothing,
  nothingIsForced,
  endsAreWrittenOnce,
  endsAreTrue,
  reportsStand
]
