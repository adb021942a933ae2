/**
 * The one stop act: every job that the agent ends is ended here.
 *
 * Invariant: the first stop of a command is sent only after a fresh confirmation of what it was concluded from, and a
 * stop never claims more than that it was sent: what became of the job is seen by looking at it.
 */
import { Effect } from "effect"
import { Commands } from "../../cpln/commands.ts"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { at, type Place } from "../../cpln/place.ts"
import type { Command } from "../../cpln/schemas.ts"
import type { ApiError } from "../../http/errors.ts"
import { CurrentLane } from "../../http/lane.ts"
import { duration } from "../../observe/duration.ts"
import { Foresight } from "../../observe/foresight.ts"
import { type About, type Area, say } from "../../observe/say.ts"
import type { RunMemory, StopMemory } from "../look/board.ts"
import { executionOf } from "../workloads/executions.ts"
import type { Located } from "../decide/normalise.ts"
import { steadyMillis } from "../steady.ts"

/** A stop is asked for again when it has shown no effect for this long, in ms. */
const askAgainAfter = 30_000
/** A stop without effect for this long is said aloud, and again after as long, in ms. */
const raiseVoiceAfter = 180_000

export interface Stopping<R> {
  readonly found: Located
  readonly memory: RunMemory
  readonly area: Area
  readonly about: About
  readonly why: string
  /** Whether what the stop was concluded from still holds; asked right before the first stop of a command is sent. */
  readonly confirm: Effect.Effect<boolean, ApiError, R>
}

/** The one stop act. Looks for the replica wherever it may show; with none to be found yet, the next look tries again. */
export const stop = Effect.fn("runs.stop")(
  function* <R = never>({
    about,
    area,
    confirm,
    found,
    memory,
    why
  }: Stopping<R>): Effect.fn.Return<void, ApiError, ControlPlane | R> {
    const { command, place } = found
    const foresight = yield* Foresight
    if (foresight !== undefined) {
      const key = `stop ${command.id}`
      if (foresight.knows(key) || !(yield* confirm)) return
      return yield* foresight.tell(key, area, about, `Would send stopReplica: ${why}`)
    }
    const now = yield* steadyMillis
    const before = memory.stops.get(command.id)
    if (before?.answeredAt !== undefined && now - before.answeredAt < askAgainAfter) return
    const firstAt = before?.firstAt ?? now
    const spared = say(
      "debug",
      area,
      about,
      "what the stop rests on does not hold: its job is not stopped; looking again"
    )
    if (before === undefined && !(yield* confirm)) return yield* spared
    const note = (change: Partial<StopMemory>) => {
      const { answeredAt, complainedAt, sentAt } = memory.stops.get(command.id) ?? {}
      const wanted = { firstAt, wantedAt: now, place, area, about }
      memory.stops.set(command.id, { ...wanted, answeredAt, complainedAt, sentAt, ...change })
    }
    note({})
    const complain = (words: string) => {
      note({ complainedAt: now })
      return say("error", area, about, words)
    }
    const isOverdue = now - Math.max(firstAt, before?.complainedAt ?? 0) > raiseVoiceAfter
    const since = duration(now - firstAt)
    const replica = yield* replicaOf(place, command)
    if (replica === undefined) {
      return yield* isOverdue
        ? complain(
            `Not stopped ${since} after that was wanted: it has no replica that could be. Still looking.`
          )
        : say("debug", area, about, `${why}; it has no replica yet that could be stopped: looking again.`)
    }
    // What held when there was no replica yet may have changed by now.
    if (before !== undefined && before.sentAt === undefined && !(yield* confirm)) {
      memory.stops.delete(command.id)
      return yield* spared
    }
    yield* say("info", area, about, `Sending stopReplica: ${why}`)
    const answer = yield* Commands.use((commands) => commands.stopReplica(place.workload, replica)).pipe(
      Effect.catchTag(["Forbidden", "Unauthorised", "Refused"], ({ message }) => Effect.succeed({ message })),
      at(place.access)
    )
    if (typeof answer === "object") {
      note({ answeredAt: now })
      if (before?.complainedAt !== undefined && !isOverdue) return
      return yield* complain(
        `It cannot be stopped: ${answer.message}. The agent needs the permission exec.stopReplica. Asking again.`
      )
    }
    note({ answeredAt: now, sentAt: now })
    if (isOverdue) yield* complain(`Still running ${since} after the first stop; asking again.`)
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
