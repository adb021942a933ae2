/**
 * Plays what happens inside a job: the platform finds it a replica, the engine reports to Prefect, the containers end.
 *
 * Invariant: a script only does what a real job could do: it proposes states as the engine does, ends its own containers,
 * and is killed when the platform's grace after a stop is over.
 */
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Random } from "effect"
import type { Command } from "../../../src/cpln/schemas.ts"
import type { Orchestration } from "../../../src/prefect/schemas.ts"
import type { ProposedState } from "./prefect-model.ts"
import type { World } from "./world.ts"

/** One job, as its script sees it. */
export interface Job {
  readonly commandId: string
  readonly runId: string
  /** It has a replica, which waits for its image; the platform's words say why. */
  pulling(message: string): Effect.Effect<void>
  /** The replica runs from here on. */
  readonly live: Effect.Effect<void>
  /** The engine proposes a state; undefined when the run does not exist. */
  report(type: string, more?: Partial<ProposedState>): Effect.Effect<Orchestration | undefined>
  readonly stateType: Effect.Effect<string | undefined>
  /** All containers are over. */
  end(exitCode: number, reason?: string): Effect.Effect<void>
  /** Only side containers are left. */
  mainEnds(exitCode: number): Effect.Effect<void>
  /** Ends when the platform was asked to stop the replica. */
  readonly stopAsked: Effect.Effect<void>
}

export type Script = (job: Job) => Effect.Effect<void>

/** Seconds of each part, and how the flow ends. */
export interface FlowPlan {
  readonly pending?: number
  readonly startUp?: number
  readonly runs?: number
  readonly reports?: "COMPLETED" | "FAILED" | "CRASHED" | "nothing"
  readonly exitCode?: number
  /** Seconds in which the runner notices a cancel; undefined for a runner that is deaf. */
  readonly hearsCancel?: number
}

const seconds = (value: number) => Effect.sleep(Duration.seconds(value))

/** A flow run as a healthy engine runs it. */
export const flow =
  (plan: FlowPlan = {}): Script =>
  (job) =>
    Effect.gen(function* () {
      yield* seconds(plan.pending ?? 2)
      yield* job.live
      yield* seconds(plan.startUp ?? 3)
      for (;;) {
        const answer = yield* job.report("RUNNING")
        if (answer?.status === "WAIT") {
          yield* seconds(answer.details?.delay_seconds ?? 1)
          continue
        }
        // A run that may not start is left as it is.
        if (answer?.status !== "ACCEPT") return yield* job.end(answer === undefined ? 1 : 0)
        const cancelled = yield* Effect.raceFirst(
          Effect.as(seconds(plan.runs ?? 30), false),
          heardCancel(job, plan.hearsCancel)
        )
        if (cancelled) {
          yield* job.report("CANCELLED", { force: true, message: "cancelled by the runner" })
          return yield* job.end(0)
        }
        if (plan.reports === "nothing") return yield* job.end(plan.exitCode ?? 0)
        const end = yield* job.report(plan.reports ?? "COMPLETED")
        if (end?.status === "REJECT" && end.state?.type === "SCHEDULED") {
          yield* seconds(5)
          continue
        }
        return yield* job.end(plan.exitCode ?? 0)
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

export interface Stopping {
  /** Seconds from the stop to the end of the containers, where they do not end by themselves. */
  grace: number
  /** The stage in which a stopped job ends. */
  endsAs: "cancelled" | "failed" | "completed"
}

/** Connects the platform's model to played jobs. */
export const playJobs = (world: World): Effect.Effect<void> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const run = Effect.runForkWith(context)
    const stops = new Map<string, Deferred.Deferred<void>>()
    const played = new Map<string, Fiber.Fiber<void>>()
    const { platform } = world

    platform.onStart = (commandId) => {
      const command = platform.command(commandId)
      if (command === undefined) return
      const stopped = Deferred.makeUnsafe<void>()
      stops.set(commandId, stopped)
      played.set(commandId, run(play(world, command, Deferred.await(stopped))))
    }
    platform.onDelete = (commandId) => {
      const fiber = played.get(commandId)
      if (fiber !== undefined) run(Fiber.interrupt(fiber))
    }
    platform.onStop = (commandId) => {
      const known = stops.get(commandId)
      if (known !== undefined) Deferred.doneUnsafe(known, Exit.void)
      // One that no script plays ends all the same.
      else run(endStopped(world, commandId))
    }
  })

const play = Effect.fnUntraced(function* (world: World, command: Command, stopAsked: Effect.Effect<void>) {
  const script = yield* Effect.forkChild(world.scriptOf(command)(jobOf(world, command, stopAsked)))
  yield* Effect.raceFirst(
    Fiber.await(script),
    Effect.gen(function* () {
      yield* stopAsked
      yield* endStopped(world, command.id)
      yield* Fiber.interrupt(script)
    })
  )
})

const endStopped = Effect.fnUntraced(function* (world: World, commandId: string) {
  yield* seconds(world.stopping.grace)
  const now = yield* Clock.currentTimeMillis
  world.platform.change(now, commandId, {
    stage: world.stopping.endsAs,
    execution: {
      status: world.stopping.endsAs === "completed" ? "successful" : "failed",
      ...endedWith(now, 143)
    }
  })
})

const endedWith = (now: number, exitCode: number, reason?: string) => ({
  completionTime: new Date(now).toISOString(),
  containers: {
    "prefect-job": { restarts: { exitCode, ...(reason === undefined ? {} : { reason }) } }
  }
})

const jobOf = (world: World, command: Command, stopAsked: Effect.Effect<void>): Job => {
  const { platform } = world
  const runId = String(command.tags?.["prefect.io/flow-run-id"])
  const stepped = (step: (now: number) => void) => Effect.map(Clock.currentTimeMillis, step)
  return {
    commandId: command.id,
    runId,
    pulling: (message) =>
      stepped((now) =>
        platform.change(now, command.id, {
          replica: `command-${command.id}-replica`,
          execution: { status: "pending", containers: { "prefect-job": { message } } }
        })
      ),
    live: stepped((now) =>
      platform.change(now, command.id, {
        stage: "running",
        replica: `command-${command.id}-replica`,
        execution: { status: "active", startTime: new Date(now).toISOString() }
      })
    ),
    report: (type, more) =>
      Effect.gen(function* () {
        const transitionId = `engine-${yield* Random.nextIntBetween(0, 1_000_000_000)}`
        const now = yield* Clock.currentTimeMillis
        return world.server().propose(now, "engine", runId, { type, transitionId, ...more })
      }),
    stateType: Effect.sync(() => world.server().run(runId)?.state_type ?? undefined),
    end: (exitCode, reason) =>
      stepped((now) =>
        platform.change(now, command.id, {
          stage: exitCode === 0 ? "completed" : "failed",
          execution: {
            status: exitCode === 0 ? "successful" : "failed",
            ...endedWith(now, exitCode, reason)
          }
        })
      ),
    mainEnds: (exitCode) =>
      stepped((now) =>
        platform.change(now, command.id, {
          execution: { containers: { "prefect-job": { restarts: { exitCode } } } }
        })
      ),
    stopAsked
  }
}
