/**
 * One job from its workload to its end, with a person or a program waiting for it.
 *
 * Invariant: structured interruption stops the job: whoever waits no longer leaves no job behind, unless it is to be left.
 * That holds from the moment of the start, whose answer is always waited for.
 */
import { Cause, Clock, Duration, Effect, Exit, Fiber, Option, Queue, type Scope } from "effect"
import { Commands } from "../cpln/commands.ts"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { at } from "../cpln/place.ts"
import type { ApiError } from "../http/errors.ts"
import type { Prefect } from "../prefect/prefect.ts"
import { blankRun } from "../runs/look/board.ts"
import { isFinal } from "../runs/decide/normalise.ts"
import { stop } from "../runs/act/stop.ts"
import type { DefinedJob } from "./define.ts"
import { ensure, type Identities, removeIdle, type WorkloadUnfit } from "./ensure.ts"
import { followOutput, type Output } from "./output.ts"
import { type JobNotStarted, startJob } from "./start.ts"
import { type Ending, watchJob } from "./watch.ts"

/** Whom the run is told to. */
export interface Report {
  readonly tell: (text: string) => Effect.Effect<void>
  readonly started: (job: DefinedJob, commandId: string) => Effect.Effect<void>
  readonly line: (line: string) => Effect.Effect<void>
}

export interface RunOptions {
  /** In ms. */
  readonly interval: number
  /** From the start on, in ms; the job is stopped then. */
  readonly timeout: number | undefined
  /** Return when it is started. */
  readonly detach: boolean
  readonly deleteAfterwards: boolean
  readonly identities: Identities
  readonly doubtHorizon: number
  readonly launchDeadline: number
}

/** Why the one who waits does so no longer. `ask`: unless it is to be left. */
export type Wish = "ask" | "stop"

export type Result =
  | { readonly _tag: "Detached"; readonly commandId: string }
  | { readonly _tag: "Ended"; readonly commandId: string; readonly ending: Ending }
  /** `ending` is undefined when its end was not waited for. */
  | {
      readonly _tag: "Stopped"
      readonly commandId: string | undefined
      readonly why: string
      readonly ending: Ending | undefined
    }
  | { readonly _tag: "Left"; readonly commandId: string | undefined }

export type RunError = WorkloadUnfit | JobNotStarted | ApiError

type Environment = ControlPlane | Prefect | Scope.Scope

/** What is known of the job from outside the fiber that runs it. */
interface Known {
  commandId: string | undefined
  leaves: boolean
  /** Why it is to be stopped; undefined while it is wanted. */
  why: string | undefined
  /** How it ended after the stop. */
  ending: Ending | undefined
}

/**
 * `wishes` are looked at while the job runs. `leave` asks whether the job is to run on; it is called once at most. A wish
 * that comes while the job is being stopped ends the waiting.
 */
export const runJob = Effect.fn("cplnJob.run")(function* (
  job: DefinedJob,
  options: RunOptions,
  report: Report,
  wishes: Queue.Dequeue<Wish>,
  leave: Effect.Effect<boolean>
): Effect.fn.Return<Result, RunError, Environment> {
  const known: Known = { commandId: undefined, leaves: false, why: undefined, ending: undefined }
  // Not in the scope, which would wait for a stop that nobody waits for any longer.
  const fiber = yield* Effect.forkDetach(attached(job, options, report, known))
  return yield* waiting(fiber, known, report, wishes, leave).pipe(
    Effect.onInterrupt(() => Fiber.interrupt(fiber))
  )
})

const waiting = Effect.fnUntraced(function* (
  fiber: Fiber.Fiber<Result, RunError>,
  known: Known,
  report: Report,
  wishes: Queue.Dequeue<Wish>,
  leave: Effect.Effect<boolean>
): Effect.fn.Return<Result, RunError> {
  const over = Fiber.await(fiber)
  const first = yield* wishOr(over, wishes)
  if (typeof first !== "string") return yield* resultOf(first, known)
  known.leaves = first === "ask" ? yield* wanted(leave, wishes) : false
  known.why = first === "ask" ? "interrupted" : "terminated"
  // Interruption is what stops the job.
  yield* Effect.forkDetach(Fiber.interrupt(fiber))
  const second = yield* wishOr(over, wishes)
  if (typeof second === "string") {
    yield* report.tell("Not waiting for its end any longer.")
    return { _tag: "Stopped", commandId: known.commandId, why: known.why, ending: undefined }
  }
  return yield* resultOf(second, known)
})

const wishOr = <A>(over: Effect.Effect<A>, wishes: Queue.Dequeue<Wish>): Effect.Effect<A | Wish> =>
  Effect.raceFirst(over, Queue.take(wishes))

/** A wish that comes while it is asked answers the question: the job is to be stopped. */
const wanted = (leave: Effect.Effect<boolean>, wishes: Queue.Dequeue<Wish>): Effect.Effect<boolean> =>
  Effect.raceFirst(leave, Effect.as(Queue.take(wishes), false))

const resultOf = (exit: Exit.Exit<Result, RunError>, known: Known): Effect.Effect<Result, RunError> =>
  Exit.isFailure(exit) && known.why !== undefined && Cause.hasInterruptsOnly(exit.cause)
    ? Effect.succeed(
        known.leaves
          ? { _tag: "Left", commandId: known.commandId }
          : { _tag: "Stopped", commandId: known.commandId, why: known.why, ending: known.ending }
      )
    : exit

const attached = (job: DefinedJob, options: RunOptions, report: Report, known: Known) =>
  Effect.uninterruptibleMask(
    Effect.fnUntraced(function* (restore): Effect.fn.Return<
      Result,
      RunError,
      ControlPlane | Prefect | Scope.Scope
    > {
      const { place, what } = job
      yield* restore(ensure(job, options.identities, report.tell))
      yield* report.tell(`Creating Control Plane job in ${place.workload.path}, location ${what.location}.`)
      const commandId = yield* startJob({
        place,
        what: options.detach ? withDeadline(what, options.timeout) : what,
        unwanted: () => known.why !== undefined,
        ensureAgain: ensure(job, options.identities, report.tell).pipe(
          Effect.catchTag("WorkloadUnfit", (error) => report.tell(error.message))
        ),
        doubtHorizon: options.doubtHorizon,
        within: options.launchDeadline,
        tell: report.tell
      })
      known.commandId = commandId
      yield* report.started(job, commandId)
      if (options.detach) return { _tag: "Detached", commandId }
      const output = yield* followOutput({ place, commandId, show: report.line, tell: report.tell })
      const watching = { place, commandId, interval: options.interval, tell: report.tell }
      const { timeout } = options
      const watched = yield* restore(
        timeout === undefined
          ? Effect.map(watchJob(watching), Option.some)
          : Effect.timeoutOption(watchJob(watching), Duration.millis(timeout))
      ).pipe(
        Effect.onInterrupt(() =>
          known.leaves ? Effect.void : stopped(job, commandId, output, options, report, known)
        )
      )
      if (Option.isNone(watched)) {
        known.why = `not over after ${Math.round((timeout ?? 0) / 1000)} s (timeout)`
        yield* stopped(job, commandId, output, options, report, known)
        return { _tag: "Stopped", commandId, why: known.why, ending: known.ending }
      }
      const ending = watched.value
      if (ending.state !== "lost") yield* output.toTheEnd
      yield* cleanUp(job, ending, options, report)
      return { _tag: "Ended", commandId, ending }
    })
  )

/** Nobody watches a detached job: the platform ends it. */
const withDeadline = (what: DefinedJob["what"], timeout: number | undefined): DefinedJob["what"] => {
  if (timeout === undefined) return what
  const seconds = Math.min(Math.ceil(timeout / 1000), what.activeDeadlineSeconds ?? longestDeadline)
  return { ...what, activeDeadlineSeconds: Math.min(seconds, longestDeadline) }
}
const longestDeadline = 86_400

const askEvery = Duration.seconds(1)

/** Stops the job and waits for its end. What cannot be asked now is asked again. */
const stopped = Effect.fn("cplnJob.stop")(function* (
  job: DefinedJob,
  commandId: string,
  output: Output,
  options: RunOptions,
  report: Report,
  known: Known
): Effect.fn.Return<void, never, ControlPlane | Prefect> {
  const { place } = job
  const why = known.why ?? "interrupted"
  yield* report.tell(`Stopping the job: ${why}.`)
  // The stop act remembers in it what it has sent.
  const memory = blankRun()
  const from = yield* Clock.currentTimeMillis
  let isTold = false
  for (;;) {
    const gone = yield* Effect.gen(function* () {
      const { at: time, value: command } = yield* Commands.use((commands) =>
        commands.get(place.workload, commandId)
      ).pipe(at(place.access))
      if (isFinal(command)) return true
      yield* stop({
        found: { place, command, at: time },
        memory,
        area: "Kill",
        about: { gvc: place.workload.gvc, workload: place.workload.name, command: commandId },
        why,
        confirm: Effect.succeed(true)
      })
      return false
    }).pipe(
      Effect.catchTag("NotFound", () => Effect.succeed(true)),
      Effect.catch((error) =>
        isTold
          ? Effect.succeed(false)
          : report
              .tell(`The job cannot be stopped now: ${error.message}; trying again.`)
              .pipe(Effect.andThen(Effect.sync(() => (isTold = true))), Effect.as(false))
      )
    )
    if (gone) break
    yield* Effect.sleep(askEvery)
  }
  const took = Math.round(((yield* Clock.currentTimeMillis) - from) / 1000)
  yield* report.tell(`The job is over, ${took} s after the stop was asked for.`)
  known.ending = yield* watchJob({ place, commandId, interval: 1_000, tell: () => Effect.void }).pipe(
    Effect.timeoutOption("10 seconds"),
    Effect.map(Option.getOrUndefined),
    Effect.catch(() => Effect.succeed(undefined))
  )
  yield* output.toTheEnd
  if (known.ending !== undefined) yield* cleanUp(job, known.ending, options, report)
})

const cleanUp = Effect.fnUntraced(function* (
  job: DefinedJob,
  ending: Ending,
  { deleteAfterwards }: RunOptions,
  { tell }: Report
) {
  if (!deleteAfterwards || ending.state === "lost") return
  const { path } = job.place.workload
  yield* removeIdle(job).pipe(
    Effect.flatMap((living) =>
      tell(
        living === 0
          ? `Workload ${path} is deleted.`
          : `Workload ${path} stays: ${living} other job${living === 1 ? " lives" : "s live"} in it.`
      )
    ),
    Effect.catch((error) => tell(`Workload ${path} could not be deleted: ${error.message}`))
  )
})
