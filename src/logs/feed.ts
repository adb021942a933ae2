/**
 * The output of the jobs of one workload: a live tail, and range reads for what no tail has sent. A reader and a tail run
 * side by side for as long as the workload has followed jobs.
 *
 * Invariant: a live line is printed only when everything before it was; until then it waits at its job's gate. Whatever a
 * tail may have left out, at its start, at its end or by breaking, is read afterwards, so no line is lost or doubled.
 */
import { Cause, Clock, Deferred, Duration, Effect, Latch, Random, Semaphore, Stream } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { type LogLine, Logs } from "../cpln/logs.ts"
import { at, type Place } from "../cpln/place.ts"
import type { ApiError } from "../http/errors.ts"
import { type About, say } from "../observe/say.ts"
import { fresh } from "./cursor.ts"
import { dueBy, type Followed, isGivenUp, type Session, sessionEnded } from "./followed.ts"
import { clear, newGate, type Room, wait } from "./gate.ts"
import { dueJobs, earliestDue, readOn } from "./reads.ts"
import { commandOf, queryOf } from "./selector.ts"
import type { Sink } from "./sink.ts"
import { nanos } from "./times.ts"

export interface Feed {
  /** Of the job that was followed last: a credential may have changed. */
  place: Place
  readonly jobs: Map<string, Followed>
  session: Session | undefined
  /** Open when something may have become due. */
  readonly news: Latch.Latch
  /** Lines are printed by one fiber at a time, or they would overtake each other. */
  readonly printing: Semaphore.Semaphore
  readonly over: Deferred.Deferred<void>
}

/** What the feeds share. */
export interface Surroundings {
  /** As many permits as an org has tails. */
  readonly tailsOf: (place: Place) => Semaphore.Semaphore
  readonly room: Room
  readonly sink: Sink
  readonly readable: (place: Place) => Effect.Effect<void>
  readonly unreadable: (place: Place, error: ApiError) => Effect.Effect<void>
  /** Ends the following of this job, at this time in ms. */
  readonly drop: (job: Followed, now: number) => void
}

/** A session that lived this long in ms was a good one. */
const goodSession = 60_000
/** Of retries, in ms. */
const longestPause = 60_000
/** A tail begins this far back, in ms, so that its start is no future time to the service. */
const backFromNow = 60_000
const afterDefect = Duration.seconds(10)

export const makeFeed = (place: Place): Feed => ({
  place,
  jobs: new Map(),
  session: undefined,
  news: Latch.makeUnsafe(true),
  printing: Semaphore.makeUnsafe(1),
  over: Deferred.makeUnsafe()
})

/** Runs until the feed is over. */
export const runFeed = (feed: Feed, around: Surroundings): Effect.Effect<void, never, ControlPlane> =>
  Effect.raceFirst(
    Deferred.await(feed.over),
    Effect.all(
      [outliving(feed, "reading", reading(feed, around)), outliving(feed, "the tail", tailing(feed, around))],
      { concurrency: "unbounded", discard: true }
    )
  )

export const addJob = (feed: Feed, job: Followed): void => {
  feed.jobs.set(job.commandId, job)
  feed.news.openUnsafe()
}

/** True when it was the last one. */
export const removeJob = (feed: Feed, job: Followed, room: Room): boolean => {
  feed.jobs.delete(job.commandId)
  clear(job.gate, room)
  if (feed.jobs.size > 0) return false
  Deferred.doneUnsafe(feed.over, Effect.void)
  return true
}

const aboutFeed = ({ place: { workload } }: Feed): About => ({ gvc: workload.gvc, workload: workload.name })

/** A defect is told, and costs a pause; the fiber beside it goes on. */
const outliving = <R>(feed: Feed, what: string, work: Effect.Effect<never, never, R>) =>
  work.pipe(
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause)
        : Effect.logDebug(cause).pipe(
            Effect.andThen(
              say("error", "Logs", aboutFeed(feed), `${what} failed by a defect; it begins anew`)
            ),
            Effect.andThen(Effect.sleep(afterDefect))
          )
    ),
    Effect.forever
  )

/** Half the doubled pause at least, so that a service in trouble is not pressed. */
const pauseAfter = (failures: number) =>
  Effect.map(Random.next, (share) =>
    Duration.millis(Math.trunc(Math.min(longestPause, 1_000 * 2 ** failures) * (0.5 + share / 2)))
  )

const reading = (feed: Feed, around: Surroundings): Effect.Effect<never, never, ControlPlane> =>
  Effect.gen(function* () {
    const show = (lines: ReadonlyArray<LogLine>) => feed.printing.withPermit(printAll(feed, lines, around))
    for (let failures = 0; ;) {
      feed.news.closeUnsafe()
      const now = yield* Clock.currentTimeMillis
      const jobs = dueJobs(feed.jobs.values(), feed.session, now)
      if (jobs.length === 0) {
        const due = earliestDue(feed.jobs.values())
        yield* due === undefined ? feed.news.await : Effect.timeoutOption(feed.news.await, due - now)
        continue
      }
      const read = yield* readOn(feed.place, jobs, feed.session, show).pipe(
        at(feed.place.access),
        Effect.result
      )
      if (read._tag === "Failure" || read.success === undefined) {
        // The others come first next time: so they have their turn, and what fails may be the matter of these jobs alone.
        const after = yield* Clock.currentTimeMillis
        for (const job of jobs) job.due = after
      }
      if (read._tag === "Failure") {
        yield* around.unreadable(feed.place, read.failure)
        yield* giveUp(feed, around)
        yield* Effect.sleep(yield* pauseAfter(failures++))
        continue
      }
      failures = 0
      yield* around.readable(feed.place)
      const finish = read.success
      if (finish !== undefined) yield* feed.printing.withPermit(openGates(feed, jobs, finish, around))
    }
  })

/** What waited at the gates of these jobs follows what was read, and what comes then goes straight through. */
const openGates = Effect.fnUntraced(function* (
  feed: Feed,
  jobs: ReadonlyArray<Followed>,
  finish: (job: Followed, session: Session | undefined) => boolean,
  around: Surroundings
) {
  for (const job of jobs) {
    if (feed.jobs.get(job.commandId) !== job || !finish(job, feed.session)) continue
    yield* print(job, clear(job.gate, around.room), around)
  }
})

/** Jobs that ended long ago are not kept for lines that cannot be read. */
const giveUp = Effect.fnUntraced(function* (feed: Feed, around: Surroundings) {
  const now = yield* Clock.currentTimeMillis
  for (const job of feed.jobs.values()) {
    if (!isGivenUp(job, now)) continue
    // Told first: with the last job this fiber ends.
    yield* say("warning", "Logs", job.about, "The job has ended and its last lines cannot be read; given up.")
    around.drop(job, now)
  }
})

const tailing = (feed: Feed, around: Surroundings): Effect.Effect<never, never, ControlPlane> =>
  Effect.gen(function* () {
    for (let failures = 0; ;) {
      // Workloads that wait for a tail are read in turns; the permit makes the first of them a tailed one.
      const lived = yield* around.tailsOf(feed.place).withPermit(live(feed, around))
      failures = lived < goodSession ? failures + 1 : 0
      yield* Effect.sleep(yield* pauseAfter(failures))
    }
  })

/** One session from its beginning to its end, whatever ends it; returns how long it lived, in ms. */
const live = Effect.fnUntraced(function* (feed: Feed, around: Surroundings) {
  const began = yield* Clock.currentTimeMillis
  const session: Session = { began, newest: 0n }
  feed.session = session
  const start = nanos(began - backFromNow)
  yield* Logs.pipe(
    Effect.flatMap((logs) =>
      Stream.runForEach(logs.tail({ query: queryOf(feed.place), start }), (lines) =>
        feed.printing.withPermit(accept(feed, session, lines, around))
      )
    ),
    at(feed.place.access),
    Effect.catch((error) => say("debug", "Logs", aboutFeed(feed), `tail: ${error.message}`)),
    Effect.ensuring(Effect.sync(() => end(feed, session, around.room)))
  )
  return (yield* Clock.currentTimeMillis) - began
})

const end = (feed: Feed, session: Session, room: Room): void => {
  feed.session = undefined
  for (const job of feed.jobs.values()) {
    sessionEnded(job, session)
    clear(job.gate, room)
    job.gate = newGate()
  }
  feed.news.openUnsafe()
}

/** Takes a frame of the tail: what may pass is printed, the rest waits. */
const accept = (feed: Feed, session: Session, lines: ReadonlyArray<LogLine>, around: Surroundings) =>
  Effect.flatMap(Clock.currentTimeMillis, (time) => {
    // A stamp in the future tells nothing of what is still to come.
    const now = nanos(time)
    for (const each of lines) if (each.at > session.newest && each.at <= now) session.newest = each.at
    const printed: Array<Effect.Effect<void>> = []
    for (const [job, own] of byJob(feed, lines)) {
      if (job.gate.joined) {
        printed.push(print(job, own, around))
        continue
      }
      const isFirst = !job.gate.seen
      for (const line of own) wait(job.gate, around.room, line)
      if (!isFirst) continue
      // The session sends this job's lines: the read that is to open the gate may begin, which it does at this word.
      dueBy(job, 0)
      feed.news.openUnsafe()
    }
    return Effect.all(printed, { discard: true })
  })

const printAll = (feed: Feed, lines: ReadonlyArray<LogLine>, around: Surroundings) =>
  Effect.suspend(() =>
    Effect.forEach(byJob(feed, lines), ([job, own]) => print(job, own, around), { discard: true })
  )

const print = (job: Followed, lines: ReadonlyArray<LogLine>, around: Surroundings) =>
  Effect.suspend(() =>
    Effect.forEach(fresh(job.cursor, lines), ({ line }) => around.sink(job.about, line), { discard: true })
  )

const byJob = (feed: Feed, lines: ReadonlyArray<LogLine>): ReadonlyMap<Followed, ReadonlyArray<LogLine>> => {
  const found = new Map<Followed, Array<LogLine>>()
  let labels: LogLine["labels"] | undefined
  let own: Array<LogLine> | undefined
  for (const line of lines) {
    // Lines of one stream share their labels: the name of the replica is looked at once for them.
    if (line.labels !== labels) {
      labels = line.labels
      const job = feed.jobs.get(commandOf(labels["replica"] ?? "") ?? "")
      own = job === undefined ? undefined : (found.get(job) ?? [])
      if (job !== undefined && own !== undefined) found.set(job, own)
    }
    own?.push(line)
  }
  return found
}
