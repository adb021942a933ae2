/**
 * Closes what `Sending stopReplica` opened: what became of the jobs of a run that were stopped here.
 *
 * Invariant: said once for each job, and only from the job itself: that it is in no list any more proves nothing.
 */
import { Effect } from "effect"
import { Commands } from "../../cpln/commands.ts"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { at } from "../../cpln/place.ts"
import { duration } from "../../observe/duration.ts"
import { say } from "../../observe/say.ts"
import type { RunMemory, StopMemory } from "../look/board.ts"
import { isFinal, type Located } from "../decide/normalise.ts"
import { steadyMillis } from "../steady.ts"

/** A job that cannot be looked at for so long is not waited for any more, in ms. */
const giveUpAfter = 3_600_000

/** `known` are jobs of the run as they were just seen. Gives how many stops have not been seen to their end. */
export const tellStopped = Effect.fn("runs.tellStopped")(function* (
  memory: RunMemory,
  known: ReadonlyArray<Located>
): Effect.fn.Return<number, never, ControlPlane> {
  let open = 0
  for (const [id, asked] of memory.stops) {
    if (asked.sentAt === undefined || memory.said.has(id)) continue
    const took = (yield* steadyMillis) - asked.firstAt
    const seen = known.find(({ command }) => command.id === id)?.command
    const became =
      seen === undefined ? yield* lookedUp(id, asked) : isFinal(seen) ? seen.lifecycleStage : "open"
    if (became === "open") {
      if (took < giveUpAfter) open++
      continue
    }
    memory.said.add(id)
    const { about, area } = asked
    yield* became === "gone"
      ? say(
          "info",
          area,
          about,
          `Job is gone ${duration(took)} after stopReplica: its command does not exist.`
        )
      : say(
          "info",
          area,
          about,
          `Job terminated successfully ${duration(took)} after stopReplica (${became}).`
        )
  }
  return open
})

const lookedUp = (id: string, { place }: StopMemory) =>
  Commands.use((commands) => commands.get(place.workload, id)).pipe(
    Effect.map(({ value }) => (isFinal(value) ? value.lifecycleStage : "open")),
    Effect.catchTag("NotFound", () => Effect.succeed("gone")),
    Effect.catch(() => Effect.succeed("open")),
    at(place.access)
  )
