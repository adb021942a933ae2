/**
 * Plays jobs on the modelled platform: gives each started command its script, and ends what is stopped, evicted or deleted.
 *
 * Invariant: a script only does what a real job could do, and nothing of it happens after its containers were killed.
 */
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Random } from "effect"
import type { Command } from "../../../src/cpln/schemas.ts"
import type { Job } from "./jobs.ts"
import { answered } from "./landing.ts"
import type { World } from "./world.ts"

export interface Stopping {
  /** Seconds from the stop to the end of the containers, where they do not end by themselves. */
  grace: number
  /** The stage in which a stopped job ends. */
  endsAs: "cancelled" | "failed" | "completed"
  /** Seconds from the stop to SIGTERM, within the grace: the wait before it is half of the grace unless somebody set it. */
  term?: number
}

/** One job as the platform plays it. */
interface Played {
  readonly stopped: Deferred.Deferred<void>
  fiber: Fiber.Fiber<void> | undefined
}

const seconds = (value: number) => Effect.sleep(Duration.seconds(value))

/** Connects the platform's model to played jobs. */
export const playJobs = (world: World): Effect.Effect<void> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const run = Effect.runForkWith(context)
    const all = new Map<string, Played>()
    const { platform } = world

    platform.onStart = (commandId) => {
      const command = platform.command(commandId)
      if (command === undefined) return
      const played: Played = { stopped: Deferred.makeUnsafe<void>(), fiber: undefined }
      all.set(commandId, played)
      played.fiber = run(play(world, command, Deferred.await(played.stopped)))
    }
    platform.onDelete = (commandId) => {
      const fiber = all.get(commandId)?.fiber
      if (fiber !== undefined) run(Fiber.interrupt(fiber))
    }
    platform.onStop = (commandId) => {
      const known = all.get(commandId)
      if (known !== undefined) Deferred.doneUnsafe(known.stopped, Exit.void)
      // One that no script plays ends all the same.
      else run(endStopped(world, commandId))
    }
    platform.onKill = (commandId, exitCode, reason) => {
      const fiber = all.get(commandId)?.fiber
      if (fiber !== undefined) run(Fiber.interrupt(fiber))
      run(end(world, commandId, "failed", exitCode, reason))
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
  yield* end(world, commandId, world.stopping.endsAs, 143)
})

/** A main container that was over keeps its exit code, whatever became of those beside it. */
const end = (world: World, commandId: string, stage: string, exit: number, reason?: string) =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const { containers } = world.platform.execution(commandId) ?? {}
    const exitCode = containers?.["prefect-job"]?.restarts?.exitCode ?? exit
    world.platform.change(now, commandId, {
      stage,
      execution: {
        status: stage === "completed" ? "successful" : "failed",
        completionTime: new Date(now).toISOString(),
        containers: {
          "prefect-job": { restarts: { exitCode, ...(reason === undefined ? {} : { reason }) } }
        }
      }
    })
  })

const jobOf = (world: World, command: Command, stopAsked: Effect.Effect<void>): Job => {
  const { platform, stopping } = world
  const runId = String(command.tags?.["prefect.io/flow-run-id"])
  const replica = `command-${command.id}-replica`
  const stepped = (step: (now: number) => void) => Effect.map(Clock.currentTimeMillis, step)
  const waits = (message: string) =>
    ({ status: "pending", containers: { "prefect-job": { message } } }) as const
  return {
    commandId: command.id,
    runId,
    hasSideContainers: (command.spec?.containerOverrides?.length ?? 0) > 1,
    waiting: (message) => stepped((now) => platform.change(now, command.id, { execution: waits(message) })),
    pulling: (message) =>
      stepped((now) => platform.change(now, command.id, { replica, execution: waits(message) })),
    live: Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const late = platform.lag.replica
      platform.change(now, command.id, {
        stage: "running",
        replica,
        ...(late > 0 ? { shown: "" } : {}),
        execution: { status: "active", startTime: new Date(now).toISOString() }
      })
      if (late > 0) {
        yield* Effect.sleep(Duration.millis(late)).pipe(
          Effect.andThen(stepped((then) => platform.change(then, command.id, { shown: replica }))),
          Effect.forkChild
        )
      }
    }),
    report: (type, more) =>
      Effect.gen(function* () {
        const transitionId = `engine-${yield* Random.nextIntBetween(0, 1_000_000_000)}`
        const now = yield* Clock.currentTimeMillis
        const proposed = world.server().proposeLate(now, "engine", runId, { type, transitionId, ...more })
        return proposed === undefined ? undefined : yield* answered(proposed)
      }),
    stateType: Effect.sync(() => world.server().run(runId)?.state_type ?? undefined),
    resumedBySomebody: (suspended) => Effect.asVoid(Effect.suspend(() => world.resume(runId, suspended))),
    end: (exitCode, reason) =>
      Effect.suspend(() => {
        // What a stop made end is shown as the platform shows stopped jobs.
        const stopped = exitCode === 143 && platform.stopAsked(command.id)
        const stage = stopped ? stopping.endsAs : exitCode === 0 ? "completed" : "failed"
        return end(world, command.id, stage, exitCode, reason)
      }),
    corrected: stepped((now) =>
      platform.change(now, command.id, {
        stage: "completed",
        corrected: true,
        execution: { status: "successful" }
      })
    ),
    mainEnds: (exitCode) =>
      stepped((now) =>
        platform.change(now, command.id, {
          execution: { containers: { "prefect-job": { restarts: { exitCode } } } }
        })
      ),
    stopAsked,
    terminated: Effect.andThen(stopAsked, seconds(stopping.term ?? stopping.grace / 2))
  }
}
