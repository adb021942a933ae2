/**
 * The output of one job, from its first line to its last.
 *
 * Invariant: each line is given out once, those of a stream in order (`src/logs`). After the end it is waited for late
 * lines, as long as lines were late before.
 */
import { Clock, Deferred, Duration, Effect, Fiber, Semaphore } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { at, type Place } from "../cpln/place.ts"
import { CurrentLane } from "../http/lane.ts"
import { fresh } from "../logs/cursor.ts"
import { addJob, makeFeed, runFeed, type Surroundings } from "../logs/feed.ts"
import { type Followed, makeFollowed, missed } from "../logs/followed.ts"
import { clear } from "../logs/gate.ts"
import { readOn } from "../logs/reads.ts"

/** After the end, in ms: beside what lines were late, at least, and at most. */
const margin = 3_000
const longestWait = 35_000
/** For a job that has printed nothing at all, in ms. */
const waitWithoutLines = 12_000

export interface Output {
  /** Reads what is left of a job that is over; returns when nothing more is to be expected. */
  readonly toTheEnd: Effect.Effect<void>
}

export interface OutputOptions {
  readonly place: Place
  readonly commandId: string
  readonly show: (line: string) => Effect.Effect<void>
  /** That output cannot be read, or can be again. */
  readonly tell: (text: string) => Effect.Effect<void>
}

/** Follows the output until the scope ends, or until it was read to the end. */
export const followOutput = Effect.fn("cplnJob.followOutput")(function* (options: OutputOptions) {
  const { commandId, place } = options
  const now = yield* Clock.currentTimeMillis
  const context = yield* Effect.context<ControlPlane>()
  const job = makeFollowed(commandId, {}, now, now)
  /** The longest that a line took to get here, in ms; undefined before the first one. */
  let lag: number | undefined
  const show = (line: string) =>
    Effect.flatMap(Clock.currentTimeMillis, (time) => {
      lag = Math.max(lag ?? 0, time - newestOf(job))
      return options.show(line)
    })
  const feed = makeFeed(place)
  const room = { bytes: 0 }
  const around: Surroundings = {
    tailsOf: () => tails,
    room,
    sink: (_about, line) => show(line),
    ...troubles(options),
    drop: () => undefined
  }
  const tails = Semaphore.makeUnsafe(1)
  addJob(feed, job)
  const following = yield* runFeed(feed, around).pipe(
    Effect.provideService(CurrentLane, "logs"),
    Effect.forkScoped
  )
  const toTheEnd = Effect.gen(function* () {
    // Has the feed read once more at once, while it goes on.
    missed(job, yield* Clock.currentTimeMillis)
    feed.news.openUnsafe()
    yield* Effect.sleep(Duration.millis(margin))
    const wait = lag === undefined ? waitWithoutLines : Math.min(2 * lag, longestWait) + margin
    yield* Effect.sleep(Duration.millis(wait - margin))
    yield* Fiber.interrupt(following)
    Deferred.doneUnsafe(feed.over, Effect.void)
    clear(job.gate, room)
    yield* readRest(place, job, show)
  }).pipe(
    Effect.catch((error) => options.tell(`The last lines of the job cannot be read: ${error.message}`)),
    Effect.provideService(CurrentLane, "logs"),
    Effect.provideContext(context)
  )
  return { toTheEnd } satisfies Output
})

/** In ms since 1970. */
const newestOf = (job: Followed): number => {
  let newest = 0n
  for (const { at: time } of job.cursor.streams.values()) if (time > newest) newest = time
  return Number(newest / 1_000_000n)
}

/** Whatever the feed has not given out: the cursor knows. */
const readRest = Effect.fnUntraced(function* (
  place: Place,
  job: Followed,
  show: (line: string) => Effect.Effect<void>
) {
  for (;;) {
    const read = yield* readOn(place, [job], undefined, (lines) =>
      Effect.suspend(() =>
        Effect.forEach(fresh(job.cursor, lines), ({ line }) => show(line), { discard: true })
      )
    ).pipe(at(place.access))
    if (read !== undefined) return
  }
})

/** Said once, and once when it is over. */
const troubles = ({ place, tell }: OutputOptions): Pick<Surroundings, "readable" | "unreadable"> => {
  let isTold = false
  return {
    readable: () =>
      Effect.suspend(() => {
        if (!isTold) return Effect.void
        isTold = false
        return tell("The job's output can be read again.")
      }),
    unreadable: (_place, error) =>
      Effect.suspend(() => {
        if (isTold) return Effect.void
        isTold = true
        const isRefused = error._tag === "Unauthorised" || error._tag === "Forbidden"
        const remedy = isRefused
          ? ` Reading it needs the permission readLogs on org ${place.access.org}; a token that has it can be given in PREFECT_AGENT_CPLN_LOGS_TOKEN.`
          : ""
        return tell(`The job's output cannot be read now: ${error.message}. The job runs on.${remedy}`)
      })
  }
}
