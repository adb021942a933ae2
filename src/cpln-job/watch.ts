/**
 * Watches one job to its end, and says how it ended.
 *
 * Invariant: an end is concluded from what the platform says of the command alone. `failed` counts after a second look,
 * because the service may correct it, and a command that is not to be found only after five looks over a minute.
 */
import { Clock, Duration, Effect } from "effect"
import { Commands } from "../cpln/commands.ts"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { at, type Place } from "../cpln/place.ts"
import type { Command, JobExecution } from "../cpln/schemas.ts"
import { type ApiError, isTransient } from "../http/errors.ts"
import { type Category, categoryOf, exitOf, remedyOf, troubleOf } from "../runs/decide/diagnose.ts"
import { executionOf } from "../runs/workloads/executions.ts"
import { isFinal } from "../runs/decide/normalise.ts"

export interface Ending {
  readonly state: "completed" | "failed" | "cancelled" | "lost"
  readonly exitCode: number | undefined
  /** In the platform's words; undefined for a job that completed. */
  readonly reason: string | undefined
  readonly category: Category | undefined
  readonly advice: string | undefined
}

export interface Watching {
  readonly place: Place
  readonly commandId: string
  /** Between two looks at most, in ms. */
  readonly interval: number
  readonly tell: (text: string) => Effect.Effect<void>
}

const secondLookAfter = 5_000
const lostAfterLooks = 5
const lostAfter = 60_000
/** A job that has not started for this long is asked why, in ms. */
const askWhyAfter = 10_000

/** The first looks come quickly: many jobs are short. */
const pauseAt = (age: number, interval: number) => Math.min(interval, Math.max(500, age / 10))

/** Returns when the job is over, or not to be found any more. */
export const watchJob = Effect.fn("cplnJob.watch")(function* (
  watching: Watching
): Effect.fn.Return<Ending, ApiError, ControlPlane> {
  const { commandId, interval, place, tell } = watching
  const began = yield* Clock.currentTimeMillis
  const said = new Set<string>()
  const tellOnce = (key: string, text: string) => {
    if (said.has(key)) return Effect.void
    said.add(key)
    return tell(text)
  }
  let failedAt: number | undefined
  let missing: { looks: number; readonly since: number } | undefined
  for (;;) {
    const look = yield* Effect.result(
      Commands.use((commands) => commands.get(place.workload, commandId)).pipe(at(place.access))
    )
    const now = yield* Clock.currentTimeMillis
    const pause = pauseAt(now - began, interval)
    if (look._tag === "Failure") {
      const error = look.failure
      if (error._tag === "NotFound") {
        missing = { since: now, ...missing, looks: (missing?.looks ?? 0) + 1 }
        if (missing.looks >= lostAfterLooks && now - missing.since >= lostAfter) {
          const listed = yield* executionOf(place, commandId)
          if (listed === undefined) return lost
        }
        yield* tell(error.message)
        yield* Effect.sleep(Duration.millis(Math.max(interval, lostAfter / lostAfterLooks)))
        continue
      }
      // Whether the job runs is another matter: the caller says so.
      if (!isTransient(error)) return yield* error
      yield* tellOnce("away", `${error.message}; the job runs on, and is looked at again.`)
      yield* Effect.sleep(Duration.millis(Math.max(pause, 2_000)))
      continue
    }
    missing = undefined
    said.delete("away")
    const command = look.success.value
    if (isFinal(command)) {
      if (command.lifecycleStage !== "failed") return yield* endingOf(place, command)
      failedAt ??= now
      if (now - failedAt >= secondLookAfter) return yield* endingOf(place, command)
      yield* Effect.sleep(Duration.millis(secondLookAfter - (now - failedAt)))
      continue
    }
    failedAt = undefined
    yield* tellOnce(command.lifecycleStage, stageText(command))
    if (command.lifecycleStage === "pending" && now - began >= askWhyAfter) {
      const trouble = yield* troubleNow(place, commandId)
      if (trouble !== undefined) yield* tellOnce(trouble, `Not started yet: ${trouble}`)
    }
    yield* Effect.sleep(Duration.millis(pause))
  }
})

const stageText = ({ lifecycleStage, status }: Command): string => {
  switch (lifecycleStage) {
    case "pending":
      return "Waiting for the job to start."
    case "running":
      return `Running${status?.replica == null ? "" : ` as ${status.replica}`}.`
    default:
      return `The job is ${lifecycleStage}.`
  }
}

const troubleNow = (place: Place, commandId: string) =>
  executionOf(place, commandId).pipe(
    Effect.map((found) => troubleOf(found?.execution)),
    Effect.catch(() => Effect.succeed(undefined))
  )

/** The platform forgets executions, so they are read at once. */
const endingOf = Effect.fnUntraced(function* (
  place: Place,
  command: Command
): Effect.fn.Return<Ending, never, ControlPlane> {
  const execution = yield* executionOf(place, command.id).pipe(
    Effect.map((found) => found?.execution),
    Effect.catch(() => Effect.succeed(undefined))
  )
  return ending(command, execution)
})

const lost: Ending = {
  state: "lost",
  exitCode: undefined,
  reason: "its command is not to be found any more",
  category: "lost",
  advice: "Its command or workload was deleted at Control Plane. Run it again."
}

/** Pure. */
export const ending = (command: Command, execution: JobExecution | undefined): Ending => {
  const state =
    command.lifecycleStage === "completed" || command.lifecycleStage === "cancelled"
      ? command.lifecycleStage
      : "failed"
  const containers = Object.entries(execution?.containers ?? {})
  if (state === "completed") {
    return { state, exitCode: 0, reason: undefined, category: undefined, advice: undefined }
  }
  // The one that failed tells more than the first one.
  const [name = ""] =
    containers.find(([, { restarts }]) => (restarts?.exitCode ?? 0) !== 0) ?? containers[0] ?? []
  const exit = exitOf(execution, name)
  const category = categoryOf(exit, { deadline: false, gone: false })
  const where = containers.length > 1 && name !== "" ? `container ${name}: ` : ""
  return {
    state,
    exitCode: exit.code,
    reason: `${where}${exit.text}`,
    category,
    advice: state === "cancelled" ? undefined : remedyOf(category)
  }
}
