/**
 * Job output on the agent's own output: one live tail per workload with running jobs, and a range read for each job when
 * it has ended, which closes whatever gap the tail left.
 *
 * Invariant: a line is attributed by its replica's name, which holds the command's id; it is printed once, in order, and
 * never for a job whose pool says `stream_output: false`. Trouble here never reaches the handling of runs.
 */
import { Clock, Context, Duration, Effect, FiberMap, Layer, Stream } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { type LogLine, Logs } from "../cpln/logs.ts"
import { CurrentLane } from "../http/lane.ts"
import { at, type Place, placeKey } from "../cpln/place.ts"
import { type About, say } from "../observe/say.ts"
import { type Cursor, cursorFrom, fresh } from "./cursor.ts"

/** A job whose output is followed. */
interface Followed {
  readonly commandId: string
  readonly place: Place
  readonly about: About
  readonly cursor: Cursor
  /** Lines that came last, for the message of a crash. */
  readonly lastLines: Array<string>
  /** Looks in a row that did not show it live. */
  misses: number
}

/** A job to follow. `created` is when its command was made, in ms since 1970. */
export interface Job {
  readonly place: Place
  readonly commandId: string
  readonly created: number
  readonly runId: string
  readonly flow: string | undefined
  readonly streamOutput: boolean | undefined
}

/** Tails that the log service allows per org, with room for people's own. */
const tailsPerOrg = 5
/** The service's own bound for one range read. */
const linesPerRead = 999
/** Lines may come late: reads after a job's end, in ms. */
const readsAfterEnd = [2_000, 8_000, 20_000]
/** Between reads where no tail is left, in ms. */
const readEvery = 5_000
const keptLines = 20
const lastLinesWithin = Duration.seconds(5)
/** The last words of a job are looked for in this much of the past, in ms. */
const lookBack = 24n * 3_600_000n

export class Relay extends Context.Service<
  Relay,
  {
    /** Follows the output of this job from its start; does nothing for one that is followed already. */
    follow(job: Job): Effect.Effect<void>
    /** Jobs that are live now: all others that are followed have ended, and are read to their end. */
    retain(commandIds: ReadonlySet<string>): Effect.Effect<void>
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
        const tails = yield* FiberMap.make<string, void>()
        const endings = yield* FiberMap.make<string, void>()
        const followed = new Map<string, Followed>()

        const print = (job: Followed, lines: ReadonlyArray<LogLine>) =>
          Effect.forEach(
            fresh(job.cursor, lines),
            (line) => {
              job.lastLines.push(line.line)
              if (job.lastLines.length > keptLines) job.lastLines.shift()
              return say("info", "Logs", job.about, line.line)
            },
            { discard: true }
          )

        const printAll = (lines: ReadonlyArray<LogLine>) =>
          Effect.suspend(() => {
            const byJob = new Map<Followed, Array<LogLine>>()
            for (const line of lines) {
              const job = followed.get(commandOf(line.labels["replica"] ?? "") ?? "")
              if (job === undefined) continue
              const known = byJob.get(job)
              if (known === undefined) byJob.set(job, [line])
              else known.push(line)
            }
            return Effect.forEach(byJob, ([job, own]) => print(job, own), { discard: true })
          })

        /** All lines of one job from its cursor on, page by page. */
        const readOn = Effect.fnUntraced(function* (job: Followed) {
          for (;;) {
            const before = job.cursor.at
            const end = BigInt((yield* Clock.currentTimeMillis) + 60_000) * 1_000_000n
            const lines = yield* Logs.use((logs) =>
              logs.range({
                query: queryOf(job.place, job.commandId),
                start: before,
                end,
                limit: linesPerRead
              })
            ).pipe(at(job.place.access))
            yield* print(job, lines)
            if (lines.length < linesPerRead || job.cursor.at === before) return
          }
        })

        const tailed = (place: Place) =>
          [...tails].filter(([key]) => key.startsWith(`${place.access.endpoint} /org/${place.access.org}/`))
            .length

        /** One session after the other, each from where the oldest followed job stands. */
        const tail = Effect.fnUntraced(function* (place: Place) {
          const key = placeKey(place)
          for (;;) {
            const jobs = [...followed.values()].filter((each) => placeKey(each.place) === key)
            if (jobs.length === 0) return
            const start = jobs.map((each) => each.cursor.at).reduce((a, b) => (b < a ? b : a))
            yield* Logs.pipe(
              Effect.flatMap((logs) =>
                Stream.runForEach(logs.tail({ query: queryOf(place), start }), printAll)
              ),
              at(place.access),
              Effect.catch((error) =>
                Effect.logDebug(`tail of ${key}: ${error.message}`).pipe(Effect.andThen(readAll(jobs)))
              )
            )
            yield* Effect.sleep(Duration.millis(readEvery))
          }
        })

        const readAll = (jobs: ReadonlyArray<Followed>) =>
          Effect.forEach(
            jobs,
            (job) =>
              readOn(job).pipe(
                Effect.catch((error) =>
                  say("debug", "Logs", job.about, `output not readable now: ${error.message}`)
                )
              ),
            { discard: true, concurrency: 4 }
          )

        /** Workloads beyond the tails that are allowed are read in turns. */
        const readInTurns = Effect.fnUntraced(function* (place: Place) {
          for (;;) {
            const jobs = [...followed.values()].filter((each) => placeKey(each.place) === placeKey(place))
            if (jobs.length === 0) return
            yield* readAll(jobs)
            yield* Effect.sleep(Duration.millis(readEvery))
          }
        })

        const readToEnd = Effect.fnUntraced(function* (job: Followed) {
          for (const pause of readsAfterEnd) {
            yield* Effect.sleep(Duration.millis(pause))
            yield* readAll([job])
          }
          followed.delete(job.commandId)
        })

        /** Of a job whose output is not followed here. */
        const newestOf = Effect.fnUntraced(function* (place: Place, commandId: string) {
          const now = BigInt(yield* Clock.currentTimeMillis)
          const lines = yield* Logs.use((logs) =>
            logs.range({
              query: queryOf(place, commandId),
              start: (now - lookBack) * 1_000_000n,
              end: (now + 60_000n) * 1_000_000n,
              limit: keptLines,
              newest: true
            })
          ).pipe(at(place.access))
          return lines.map(({ line }) => line)
        })

        const inContext = <A, E>(effect: Effect.Effect<A, E, ControlPlane>) =>
          effect.pipe(Effect.provideContext(context), Effect.provideService(CurrentLane, "logs"))

        return Relay.of({
          follow: Effect.fnUntraced(function* (job) {
            const { place, commandId } = job
            const wanted = jobLogs === "stdout" || (jobLogs !== "off" && job.streamOutput !== false)
            if (!wanted || followed.has(commandId)) return
            followed.set(commandId, {
              commandId,
              place,
              about: {
                flow: job.flow,
                runId: job.runId,
                gvc: place.workload.gvc,
                workload: place.workload.name,
                command: commandId
              },
              // A second back: the clocks of API and log service need not agree.
              cursor: cursorFrom(BigInt(Math.trunc(job.created) - 1_000) * 1_000_000n),
              lastLines: [],
              misses: 0
            })
            const key = placeKey(place)
            if (FiberMap.hasUnsafe(tails, key)) return
            const reader = tailed(place) < tailsPerOrg ? tail(place) : readInTurns(place)
            yield* FiberMap.run(tails, key, inContext(reader), { onlyIfMissing: true })
          }),
          retain: Effect.fnUntraced(function* (live) {
            for (const job of followed.values()) {
              job.misses = live.has(job.commandId) ? 0 : job.misses + 1
              // One miss may be a look that began before the job did.
              if (job.misses < 2) continue
              yield* FiberMap.run(endings, job.commandId, inContext(readToEnd(job)), { onlyIfMissing: true })
            }
          }),
          lastLines: (place, commandId) => {
            const job = followed.get(commandId)
            const lines =
              job === undefined ? newestOf(place, commandId) : Effect.as(readAll([job]), job.lastLines)
            return inContext(lines).pipe(
              Effect.timeoutOrElse({
                duration: lastLinesWithin,
                orElse: () => Effect.succeed(job?.lastLines ?? [])
              }),
              Effect.catch(() => Effect.succeed([]))
            )
          }
        })
      })
    )
}

/** LogQL of one workload's jobs, or of one job: replicas are named after their command. */
const queryOf = (place: Place, commandId?: string): string => {
  const { gvc, name } = place.workload
  const replica = commandId === undefined ? "command-.+" : `command-${commandId}.*`
  return `{gvc="${gvc}", workload="${name}", replica=~"${replica}"}`
}

const replicaName = /command-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/u
const commandOf = (replica: string): string | undefined => replicaName.exec(replica)?.[1]
