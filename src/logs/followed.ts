/**
 * What is remembered of a job whose output is followed: how far it was printed, when it is read next, whether it has ended.
 * Pure but for the memory itself, which one feed owns.
 *
 * Invariant: a job is over only when it was missing, was read for long enough that its late lines are there, and was still
 * missing after that, without having been seen live in between.
 */
import type { About } from "../observe/say.ts"
import { type Cursor, cursorFrom } from "./cursor.ts"
import { type Gate, newGate } from "./gate.ts"
import { latest, nanos } from "./times.ts"

export interface Followed {
  readonly commandId: string
  about: About
  readonly cursor: Cursor
  /** A range read that begins here, in ns, finds every line that was not seen yet. */
  from: bigint
  /** A pass over the range that was left before its end, to be taken up again. */
  pass: Pass | undefined
  gate: Gate
  /** When it is read next, in ms; undefined while its lines come live. */
  due: number | undefined
  /** Set while it is missing among the live jobs. */
  ending: Ending | undefined
}

/** Reads of a range, page by page, up to the present. */
export interface Pass {
  /** When its first page was asked for, in ms. */
  readonly began: number
  /** Where its next page begins, in ns. */
  readonly position: bigint
  /** The newest line so far, in ns; 0 for none. */
  readonly newest: bigint
  /** Gates that it may open: those whose session was sending when it began. */
  readonly opens: ReadonlySet<Gate>
}

interface Ending {
  /** When a look missed it first, in ms. */
  readonly at: number
  /** The last of the reads after the end was made. */
  readOut: boolean
}

/** A live session of a workload's tail. */
export interface Session {
  /** In ms. */
  readonly began: number
  /** The newest line that it sent, in ns; 0 for none. */
  newest: bigint
}

/** Streams of one job reach the log service at different times, up to tens of seconds apart; this bound in ns. */
const lag = 60_000_000_000n
/** Clocks differ, and the query names the command: a start well before the job costs nothing. In ms. */
const beforeCreation = 600_000
/** A query spans 31 days at most, and there is nothing older than 30 days; in ms. */
const longestPast = 30 * 86_400_000
/** Between reads of a job while its workload has no tail, in ms. */
const readEvery = 5_000
/**
 * Reads of a job that a session has sent nothing of, in ms since it began: what was printed before the connection stood is
 * sent by nobody, and one may take minutes to stand.
 */
const readsOfSession = [3_000, 20_000, 60_000, 120_000, 240_000]
/** Reads after the end of a job, in ms: the last lines come late. */
const readsOfEnding = [0, 10_000, 35_000]
const lastReadOfEnding = 35_000
/** Lines that cannot be read this long after a job's end are given up, in ms. */
const patience = 600_000

/** `created` and `now` in ms. */
export const makeFollowed = (commandId: string, about: About, created: number, now: number): Followed => {
  const start = latest(nanos(created), nanos(now - longestPast)) - nanos(beforeCreation)
  return {
    commandId,
    about,
    cursor: cursorFrom(start),
    from: start,
    pass: undefined,
    gate: newGate(),
    due: now,
    ending: undefined
  }
}

/** A job that was given up and lives after all: goes on after what was printed of it. */
export const takenUpAgain = (job: Followed, about: About, now: number): Followed => ({
  ...job,
  about,
  pass: undefined,
  gate: newGate(),
  due: now,
  ending: undefined
})

export const dueBy = (job: Followed, time: number): void => {
  job.due = job.due === undefined ? time : Math.min(job.due, time)
}

/**
 * Where a read of the job has to begin, in ns. A line that arrives from now on is at most `lag` older than the newest one
 * that arrived before.
 */
export const startOf = (job: Followed, session: Session | undefined): bigint =>
  session !== undefined && job.gate.joined ? latest(job.from, session.newest - lag) : job.from

/** A pass has come to the present. What arrived behind it while it went on is within reach of the next. */
export const passed = (job: Followed, pass: Pass, now: number): void => {
  job.pass = undefined
  if (pass.newest > 0n) {
    // A stamp in the future tells nothing of what is still to come.
    const newest = pass.newest < nanos(now) ? pass.newest : nanos(now)
    job.from = latest(job.from, newest - lag - nanos(Math.max(0, now - pass.began)))
  }
  if (job.ending !== undefined && pass.began - job.ending.at >= lastReadOfEnding) job.ending.readOut = true
}

/** When the job is to be read after a pass of this time, in ms. */
export const nextRead = (
  job: Followed,
  session: Session | undefined,
  began: number,
  ended: number
): number | undefined => {
  const { ending, gate } = job
  // Its lines wait for a read that begins after the first of them.
  if (gate.seen && !gate.joined) return began
  const times = ending === undefined ? [] : readsOfEnding.map((each) => ending.at + each)
  // A busy job without a tail is read a fifth of the time at most.
  if (session === undefined) times.push(began + Math.max(readEvery, 5 * (ended - began)))
  else if (!gate.joined) times.push(...readsOfSession.map((each) => session.began + each))
  const ahead = times.filter((each) => each > began)
  return ahead.length === 0 ? undefined : Math.min(...ahead)
}

/** The gap is read at once. Call it before the gate of the session is replaced. */
export const sessionEnded = (job: Followed, session: Session): void => {
  job.from = startOf(job, session)
  job.due = 0
}

export const seenLive = (job: Followed): void => {
  job.ending = undefined
}

/**
 * A look did not show the job live; true when it is over. That may be a look which began before the job did, so the first
 * one only has the job read; the one that counts comes after the last of those reads.
 */
export const missed = (job: Followed, now: number): boolean => {
  if (job.ending !== undefined) return job.ending.readOut
  job.ending = { at: now, readOut: false }
  dueBy(job, now)
  return false
}

export const isGivenUp = ({ ending }: Followed, now: number): boolean =>
  ending !== undefined && now - ending.at >= patience
