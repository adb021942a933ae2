/**
 * Job output on the agent's own output: which jobs are followed, and from when to when. How the lines of one workload are
 * had stands in `feed.ts`.
 *
 * Invariant: each line of a followed job is printed once, those of a stream in order, and none of a job whose pool says
 * `stream_output: false`. Trouble here never reaches the handling of runs.
 */
import { Clock, Context, Duration, Effect, FiberSet, Layer, Semaphore } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { Logs } from "../cpln/logs.ts"
import { at, type Place, placeKey } from "../cpln/place.ts"
import { CurrentLane } from "../http/lane.ts"
import { type About, say } from "../observe/say.ts"
import { addJob, type Feed, makeFeed, removeJob, runFeed, type Surroundings } from "./feed.ts"
import { type Followed, makeFollowed, missed, seenLive, takenUpAgain } from "./followed.ts"
import { queryOf } from "./selector.ts"
import { stdout } from "./sink.ts"
import { nanos } from "./times.ts"
import { makeTroubles } from "./troubles.ts"

/**
 * A job to follow. `created` is when its command was made, in ms since 1970, roughly. `streamOutput` undefined: not known
 * yet; the job is followed once it is, or after two minutes.
 */
export interface Job {
  readonly place: Place
  readonly commandId: string
  readonly created: number
  readonly runId: string
  readonly flow: string | undefined
  readonly streamOutput: boolean | undefined
}

/** A job that waits for what its pool says. */
interface Undecided {
  readonly job: Job
  readonly since: number
}

/** Tails that the log service allows per org, with room for people's own. */
const tailsPerOrg = 5
/** Jobs followed at once; what goes beyond is not printed, and said. */
const mostJobs = 20_000
/** An adopted job whose pool cannot be asked is followed after this long: it is the pools' default. In ms. */
const undecidedFor = 120_000
/** How far a job was printed is remembered this long after its end, in ms, in case that it lives after all. */
const rememberedFor = 900_000
const mostRemembered = 2_000
const keptLines = 20
const lastLinesWithin = Duration.seconds(5)
/** The last words of a job are looked for in this much of the past, and in the future of a clock that is behind; in ms. */
const lookBack = 24 * 3_600_000
const lookAhead = 24 * 3_600_000

export class Relay extends Context.Service<
  Relay,
  {
    /**
     * Follows the output of this job from its start. To be called again when more is known: it does nothing for a job that
     * is followed already, and ends the following of one whose pool turns out to say `stream_output: false`.
     */
    follow(job: Job): Effect.Effect<void>
    /**
     * Tells which jobs are live now, by command id. A followed job that is missing is read to its end, and is not followed
     * any more once a later look misses it too. Jobs in places that did not answer, by `placeKey`, are left as they are.
     */
    retain(live: ReadonlySet<string>, unanswered?: ReadonlySet<string>): Effect.Effect<void>
    /** The last lines that the job printed, oldest first; none where they cannot be had within some seconds. */
    lastLines(place: Place, commandId: string): Effect.Effect<ReadonlyArray<string>>
  }
>()("agent/logs/Relay") {
  /** `jobLogs` undefined: as each job's pool says in `stream_output`. */
  static readonly layer = (jobLogs: "stdout" | "off" | undefined) =>
    Layer.effect(
      Relay,
      Effect.gen(function* () {
        const context = yield* Effect.context<ControlPlane>()
        const run = yield* FiberSet.runtime(yield* FiberSet.make<void>())<ControlPlane>()
        const feeds = new Map<string, Feed>()
        const followed = new Map<string, { readonly job: Followed; readonly feed: Feed }>()
        const undecided = new Map<string, Undecided>()
        const remembered = new Map<string, { readonly job: Followed; readonly until: number }>()
        const tails = new Map<string, Semaphore.Semaphore>()
        let full = false

        const inLane = Effect.provideService(CurrentLane, "logs")

        const tailsOf = ({ access: { endpoint, org } }: Place) => {
          const key = `${endpoint} ${org}`
          const known = tails.get(key) ?? Semaphore.makeUnsafe(tailsPerOrg)
          tails.set(key, known)
          return known
        }

        // No step of these waits, so that a feed never ends while a job joins it.
        const start = (place: Place, job: Followed) => {
          const key = placeKey(place)
          const known = feeds.get(key)
          const feed = known ?? makeFeed(place)
          feed.place = place
          addJob(feed, job)
          followed.set(job.commandId, { job, feed })
          if (known !== undefined) return
          feeds.set(key, feed)
          run(inLane(runFeed(feed, around)))
        }
        const stop = (job: Followed, feed: Feed) => {
          followed.delete(job.commandId)
          if (removeJob(feed, job, around.room)) feeds.delete(placeKey(feed.place))
        }

        const around: Surroundings = {
          tailsOf,
          room: { bytes: 0 },
          sink: stdout,
          ...makeTroubles(),
          drop: (job, now) => {
            const known = followed.get(job.commandId)
            if (known?.job !== job) return
            stop(job, known.feed)
            remember(job, now)
          }
        }

        const remember = (job: Followed, now: number) => {
          for (const [id, { until }] of remembered) {
            if (until > now && remembered.size < mostRemembered) break
            remembered.delete(id)
          }
          remembered.set(job.commandId, { job, until: now + rememberedFor })
        }

        const decide = (job: Job): boolean | undefined =>
          jobLogs === undefined ? job.streamOutput : jobLogs === "stdout"

        const begin = (job: Job, now: number): Effect.Effect<void> => {
          if (followed.size >= mostJobs) {
            if (full) return Effect.void
            full = true
            const words = `Output of more than ${mostJobs} jobs at once is not printed: this one's is not.`
            return say("warning", "Logs", aboutOf(job), words)
          }
          full = false
          const before = remembered.get(job.commandId)?.job
          remembered.delete(job.commandId)
          start(
            job.place,
            before === undefined
              ? makeFollowed(job.commandId, aboutOf(job), job.created, now)
              : takenUpAgain(before, aboutOf(job), now)
          )
          return Effect.void
        }

        const follow = (job: Job, now: number): Effect.Effect<void> => {
          const { commandId } = job
          const wanted = decide(job)
          const known = followed.get(commandId)
          const since = undecided.get(commandId)?.since ?? now
          undecided.delete(commandId)
          if (wanted === false) {
            if (known !== undefined) stop(known.job, known.feed)
            return Effect.void
          }
          if (known !== undefined) {
            known.feed.place = job.place
            known.job.about = aboutOf(job)
            seenLive(known.job)
            return Effect.void
          }
          if (wanted === true || remembered.has(commandId)) return begin(job, now)
          if (undecided.size < mostJobs) undecided.set(commandId, { job, since })
          return Effect.void
        }

        const retain = (
          live: ReadonlySet<string>,
          unanswered: ReadonlySet<string>,
          now: number
        ): Effect.Effect<void> => {
          const begun: Array<Effect.Effect<void>> = []
          for (const [id, { job, since }] of undecided) {
            if (now - since < undecidedFor) continue
            undecided.delete(id)
            begun.push(begin(job, now))
          }
          for (const [key, feed] of feeds) {
            if (unanswered.has(key)) continue
            for (const job of feed.jobs.values()) {
              if (live.has(job.commandId)) seenLive(job)
              else if (missed(job, now)) around.drop(job, now)
              else if (job.due !== undefined && job.due <= now) feed.news.openUnsafe()
            }
          }
          return Effect.all(begun, { discard: true })
        }

        const newestOf = Effect.fnUntraced(function* (place: Place, commandId: string) {
          const now = yield* Clock.currentTimeMillis
          const lines = yield* Logs.use((logs) =>
            logs.range({
              query: queryOf(place, [commandId]),
              start: nanos(now - lookBack),
              end: nanos(now + lookAhead),
              limit: keptLines,
              newest: true
            })
          ).pipe(at(place.access))
          return lines.map(({ line }) => line)
        })

        return Relay.of({
          follow: (job) => Effect.flatMap(Clock.currentTimeMillis, (now) => follow(job, now)),
          retain: (live, unanswered = new Set()) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) => retain(live, unanswered, now)),
          lastLines: (place, commandId) =>
            newestOf(place, commandId).pipe(
              Effect.timeoutOrElse({ duration: lastLinesWithin, orElse: () => Effect.succeed([]) }),
              Effect.catch(() => Effect.succeed([])),
              Effect.provideContext(context),
              inLane
            )
        })
      })
    )
}

const aboutOf = ({ commandId, flow, place, runId }: Job): About => ({
  flow,
  runId,
  gvc: place.workload.gvc,
  workload: place.workload.name,
  command: commandId
})
