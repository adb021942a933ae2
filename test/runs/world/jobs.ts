/**
 * What happens inside a job, as scripts: the platform finds it a replica, the engine reports to Prefect, the containers
 * end. What engines do was measured on 2.20 and 3.8.
 *
 * Invariant: an exit code of 0 says nothing of how the flow ended, and a script reports as the engine of its kind does.
 */
import { Duration, Effect } from "effect"
import type { Orchestration } from "../../../src/prefect/schemas.ts"
import type { ProposedState } from "./prefect-model.ts"

/** One job, as its script sees it. */
export interface Job {
  readonly commandId: string
  readonly runId: string
  readonly hasSideContainers: boolean
  /** It has no replica yet; the platform's words say why. */
  waiting(message: string): Effect.Effect<void>
  /** It has a replica, which waits for its image; the platform's words say why. */
  pulling(message: string): Effect.Effect<void>
  /** The replica runs from here on. */
  readonly live: Effect.Effect<void>
  /** The engine proposes a state; undefined when the run does not exist. */
  report(type: string, more?: Partial<ProposedState>): Effect.Effect<Orchestration | undefined>
  readonly stateType: Effect.Effect<string | undefined>
  /** A person goes on with a run that is paused, or suspended; nothing when it is neither any more. */
  resumedBySomebody(suspended: boolean): Effect.Effect<void>
  /** All containers are over. */
  end(exitCode: number, reason?: string): Effect.Effect<void>
  /** The platform finds out that it was no failure after all. */
  readonly corrected: Effect.Effect<void>
  /** Only side containers are left. */
  mainEnds(exitCode: number): Effect.Effect<void>
  /** Ends when the platform was asked to stop the replica. */
  readonly stopAsked: Effect.Effect<void>
  /** Ends when a stop has come to SIGTERM. */
  readonly terminated: Effect.Effect<void>
}

export type Script = (job: Job) => Effect.Effect<void>

/** Seconds of each part, and how the flow ends. */
export interface FlowPlan {
  readonly pending?: number
  /** What it waits for before it has a replica that runs, beside `pending`; "image" has a replica, the others have none. */
  readonly waits?: { readonly for: "image" | "capacity" | "secret"; readonly seconds: number }
  readonly startUp?: number
  readonly runs?: number
  readonly reports?: "COMPLETED" | "FAILED" | "CRASHED" | "nothing"
  readonly exitCode?: number
  /** The platform's word for the end of the container, such as "OOMKilled" or "Evicted". */
  readonly reason?: string
  /** Seconds after which a failed command turns out to have completed. */
  readonly corrected?: number
  /** Seconds in which the runner notices a cancel; undefined for a runner that is deaf. */
  readonly hearsCancel?: number
  /** Seconds between its report and its end: hooks, the last of its log. */
  readonly flush?: number
  /** Seconds of its hooks, from hearing of a cancel to reporting it. */
  readonly hooks?: number
  /** What SIGTERM does to it; undefined where nothing in the container listens. */
  readonly term?: "dies" | "reports CRASHED" | "reschedules"
  /** Seconds that side containers live on, where the job has any. */
  readonly sides?: number
  /** Once, the flow pauses or is suspended; a person goes on with it after so many seconds, or nobody does. */
  readonly pauses?: { readonly how: "paused" | "suspended"; readonly resumed?: number }
}

const seconds = (value: number) => Effect.sleep(Duration.seconds(value))

const words = {
  image: "ImagePullBackOff: manifest unknown",
  capacity: "0/3 nodes are available: Insufficient cpu",
  secret: "the identity may not reveal secret x"
} as const

/** A flow run as an engine runs it. */
export const flow = (plan: FlowPlan = {}): Script => {
  // Of the run, whatever its attempt.
  const paused = new Set<string>()
  return (job) => {
    const { term } = plan
    const main = { isOver: false }
    const body = engine(job, plan, paused, main)
    // Where only side containers are left, nothing in them listens.
    const ended = Effect.suspend(() =>
      main.isOver || term === undefined ? Effect.never : terminated(job, term)
    )
    return Effect.raceFirst(body, Effect.andThen(job.terminated, ended))
  }
}

const engine = (job: Job, plan: FlowPlan, paused: Set<string>, main: { isOver: boolean }) => {
  /** The main container is over; with it the job, unless it has side containers. */
  const over = Effect.fnUntraced(function* (exitCode: number) {
    if (job.hasSideContainers && plan.sides !== undefined) {
      main.isOver = true
      yield* job.mainEnds(exitCode)
      yield* seconds(plan.sides)
    }
    yield* job.end(exitCode, exitCode === 0 ? undefined : plan.reason)
    if (exitCode === 0 || plan.corrected === undefined) return
    yield* seconds(plan.corrected)
    yield* job.corrected
  })
  return Effect.gen(function* () {
    yield* seconds(plan.pending ?? 2)
    if (plan.waits !== undefined) {
      const why = words[plan.waits.for]
      yield* plan.waits.for === "image" ? job.pulling(why) : job.waiting(why)
      yield* seconds(plan.waits.seconds)
    }
    yield* job.live
    yield* seconds(plan.startUp ?? 3)
    // One that is cancelled already is skipped; any other end does not keep an engine from starting again.
    if ((yield* job.stateType) === "CANCELLED") return yield* over(0)
    for (;;) {
      const answer = yield* job.report("RUNNING")
      if (answer?.status === "WAIT") {
        yield* seconds(answer.details?.delay_seconds ?? 1)
        continue
      }
      // A run that may not start is left as it is.
      if (answer?.status !== "ACCEPT") return yield* over(answer === undefined ? 1 : 0)
      if (plan.pauses !== undefined && !paused.has(job.runId)) {
        paused.add(job.runId)
        yield* seconds(2)
        if (yield* pausedFor(job, plan.pauses)) return yield* over(0)
      }
      const cancelled = yield* Effect.raceFirst(
        Effect.as(seconds(plan.runs ?? 30), false),
        heardCancel(job, plan.hearsCancel)
      )
      if (cancelled) {
        yield* seconds(plan.hooks ?? 0)
        yield* job.report("CANCELLED", { force: true, message: "cancelled by the runner" })
        return yield* over(0)
      }
      if (plan.reports === "nothing") return yield* over(plan.exitCode ?? 0)
      const end = yield* job.report(plan.reports ?? "COMPLETED")
      if (end?.status === "REJECT" && end.state?.type === "SCHEDULED") {
        yield* seconds(5)
        continue
      }
      yield* seconds(plan.flush ?? 0)
      return yield* over(plan.exitCode ?? 0)
    }
  })
}

/** True when the job is to end: the flow is suspended, or was ended while it waited. */
const pausedFor = Effect.fnUntraced(function* (job: Job, { how, resumed }: NonNullable<FlowPlan["pauses"]>) {
  const suspended = how === "suspended"
  const answer = yield* suspended
    ? job.report("PAUSED", { name: "Suspended", pauseReschedule: true, pauseTimeout: 300_000 })
    : job.report("PAUSED", { pauseTimeout: 300_000 })
  if (answer?.status !== "ACCEPT") return false
  if (resumed !== undefined) {
    // Of no job: it happens whatever becomes of this one.
    yield* Effect.forkDetach(Effect.andThen(seconds(resumed), job.resumedBySomebody(suspended)))
  }
  if (suspended) return true
  const type = yield* seconds(5).pipe(
    Effect.andThen(job.stateType),
    Effect.repeat({ until: (each) => each !== "PAUSED" })
  )
  return type !== "RUNNING"
})

/** What the engine does when it gets SIGTERM. */
const terminated = Effect.fnUntraced(function* (job: Job, how: NonNullable<FlowPlan["term"]>) {
  switch (how) {
    case "dies":
      return yield* job.end(143)
    case "reports CRASHED":
      yield* job.report("CRASHED", { message: "Flow run process received SIGTERM." })
      return yield* job.end(143)
    case "reschedules":
      yield* job.report("SCHEDULED", { name: "AwaitingRetry" })
      return yield* job.end(0)
  }
})

const heardCancel = (job: Job, every: number | undefined) =>
  every === undefined
    ? Effect.never
    : Effect.sleep(Duration.seconds(every)).pipe(
        Effect.andThen(job.stateType),
        Effect.repeat({ until: (type) => type === "CANCELLING" }),
        Effect.as(true)
      )

/** No replica is ever found for it, as in a location that is full. */
export const stuck = (): Script => () => Effect.never
