/**
 * Performs one decision about one run.
 *
 * Invariant: every end state is proposed, never forced, after a read that is less than a second old and shows the run as
 * it was judged; its transition id is derived, so that the same end written by two replicas is one write.
 */
import { Clock, Effect } from "effect"
import { Commands } from "../cpln/commands.ts"
import type { Command, Deployment, JobExecution } from "../cpln/schemas.ts"
import { Workloads } from "../cpln/workloads.ts"
import type { ApiError } from "../http/errors.ts"
import { CurrentLane } from "../http/lane.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { RunMemory } from "./board.ts"
import type { Decision } from "./decide.ts"
import { derivedId } from "./ids.ts"
import { at, type Place } from "../cpln/place.ts"
import { type About, type Area, say } from "../observe/say.ts"

/** A stop is asked for again when it has shown no effect for this long, in ms. */
const askAgainAfter = 30_000
/** A stop without effect for this long is said aloud, in ms. */
const raiseVoiceAfter = 180_000

/** The one stop act. Looks for the replica wherever it may show; with none to be found yet, the next look tries again. */
export const stop = Effect.fn("runs.stop")(
  function* (place: Place, command: Command, memory: RunMemory, area: Area, about: About, why: string) {
    const now = yield* Clock.currentTimeMillis
    const asked = memory.stops.get(command.id)
    if (asked !== undefined && now - asked.lastAt < askAgainAfter) return
    if (asked !== undefined && now - asked.firstAt > raiseVoiceAfter) {
      yield* say(
        "error",
        area,
        about,
        `Still running ${duration(now - asked.firstAt)} after stopReplica; asking again.`
      )
    }
    const replica = yield* replicaOf(place, command)
    if (replica === undefined) {
      yield* say(
        "debug",
        area,
        about,
        `${why}; it has no replica yet, so there is nothing to stop: looking again.`
      )
      return
    }
    yield* say("info", area, about, `Sending stopReplica: ${why}`)
    const answer = yield* Commands.use((commands) => commands.stopReplica(place.workload, replica)).pipe(
      at(place.access)
    )
    memory.stops.set(command.id, { firstAt: asked?.firstAt ?? now, lastAt: now })
    if (answer === "already") yield* say("debug", area, about, "A stop is under way already.")
  },
  Effect.provideService(CurrentLane, "stop")
)

/** The command says, else the deployment's job executions. */
const replicaOf = Effect.fnUntraced(function* (place: Place, command: Command) {
  const location = command.spec?.location ?? undefined
  const known = command.status?.replica ?? undefined
  if (known !== undefined && location !== undefined) return { replica: known, location }
  const found = yield* executionOf(place, command.id)
  const replica = found?.execution.replica ?? undefined
  return found === undefined || replica === undefined ? undefined : { replica, location: found.location }
})

/** The command's entry among the job executions of any location, with that location's name. */
export const executionOf = Effect.fn("runs.executionOf")(function* (place: Place, commandId: string) {
  const deployments = yield* Workloads.use((workloads) => workloads.deployments(place.workload)).pipe(
    // A workload that is gone lists no executions.
    Effect.catchTag("NotFound", () => Effect.succeed({ value: [] as ReadonlyArray<Deployment>, at: 0 })),
    at(place.access)
  )
  for (const deployment of deployments.value) {
    const execution = deployment.status?.jobExecutions?.find((each) => each.name === `command-${commandId}`)
    if (execution !== undefined) return { location: deployment.name, execution }
  }
  return undefined as { readonly location: string; readonly execution: JobExecution } | undefined
})

/** A run as it was judged: which, and by which state. */
export interface Judged {
  readonly id: string
  readonly state_id?: string | null | undefined
}

/** What came of an end state that was proposed. */
export type Written = "written" | "moved on"

/**
 * Proposes an end state for a run that was judged as `judged` shows it. "moved on" means that it has changed since (or
 * somebody else wrote the same end), so that the next look decides anew.
 */
export const proposeEnd = Effect.fn("runs.proposeEnd")(function* (
  judged: Judged,
  state: "COMPLETED" | "CRASHED" | "CANCELLED",
  subject: string,
  message: string
): Effect.fn.Return<Written, ApiError, Prefect> {
  const prefect = yield* Prefect
  const fresh = yield* prefect.readRun(judged.id)
  if (fresh.value.state_id !== judged.state_id) return "moved on"
  const answer = yield* prefect.propose(judged.id, {
    type: state,
    message,
    transitionId: derivedId(judged.id, subject, state)
  })
  return answer.status === "ACCEPT" ? "written" : "moved on"
})

/** Gives a claimed run back to the pool. `AwaitingRetry`: a state named Scheduled would be renamed Late and lose its message. */
export const handBack = Effect.fn("runs.handBack")(function* (
  judged: Judged,
  attempt: string,
  message: string
): Effect.fn.Return<Written, ApiError, Prefect> {
  const prefect = yield* Prefect
  const fresh = yield* prefect.readRun(judged.id)
  if (fresh.value.state_id !== judged.state_id) return "moved on"
  const scheduled =
    fresh.value.state?.state_details?.scheduled_time ?? fresh.value.expected_start_time ?? undefined
  const answer = yield* prefect.propose(judged.id, {
    type: "SCHEDULED",
    name: "AwaitingRetry",
    message,
    transitionId: derivedId(judged.id, attempt, "hand back"),
    ...(scheduled === undefined ? {} : { scheduledTime: scheduled })
  })
  return answer.status === "ACCEPT" ? "written" : "moved on"
})

/** Lets the pool offer a run again whose engine died while it waited for a retry of its own. */
export const makeClaimable = Effect.fn("runs.makeClaimable")(function* (judged: Judged) {
  const prefect = yield* Prefect
  const fresh = yield* prefect.readRun(judged.id)
  if (fresh.value.state_id !== judged.state_id) return "moved on" as const
  yield* prefect.changeRun(judged.id, {
    empiricalPolicy: { ...fresh.value.empirical_policy, retry_type: "reschedule" }
  })
  return "written" as const
})

/** The decisions that write a state; the others are handled where they are made. */
export type Ending = Extract<Decision, { readonly _tag: "Propose" }>

/** "3 m 10 s", "0.8 s": for lines that people read. */
export const duration = (ms: number): string => {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60 ? `${minutes} m ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} m`
}
