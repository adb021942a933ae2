/**
 * What must hold of every world, read from its chronicle alone.
 *
 * Invariant: nothing of `src/` decides here, so that a mistake there cannot hide itself.
 */
import type { Entry } from "./chronicle.ts"
import { finalStages } from "./platform-model.ts"
import type { World } from "./world.ts"

interface Life {
  readonly commandId: string
  readonly from: number
  /** When it got a replica, before which nobody can stop it; Infinity when it never did. */
  readonly ran: number
  /** Infinity while it lives. */
  readonly to: number
}

/** From when to when each job of a run lived, oldest first; one that was deleted is over. */
export const livesOf = ({ chronicle }: World, runId: string): ReadonlyArray<Life> =>
  chronicle
    .of("job made")
    .filter((each) => each.runId === runId)
    .map(({ at, commandId }) => {
      const end = chronicle.entries.find(
        (each) =>
          (each.what === "job deleted" && each.commandId === commandId) ||
          (each.what === "job stage" && each.commandId === commandId && finalStages.has(each.stage))
      )
      const ran = chronicle.entries.find(
        (each) => each.what === "job stage" && each.commandId === commandId && each.stage === "running"
      )
      return {
        commandId,
        from: at,
        ran: ran?.at ?? Number.POSITIVE_INFINITY,
        to: end?.at ?? Number.POSITIVE_INFINITY
      }
    })

const longestTogether = (lives: ReadonlyArray<readonly [from: number, to: number]>): number => {
  const together = lives.flatMap(([from, to], index) =>
    lives.slice(index + 1).map(([from2, to2]) => Math.min(to, to2) - Math.max(from, from2))
  )
  return Math.max(0, ...together)
}

/** The longest time, in ms, that two jobs of the run existed together. */
export const overlapOf = (world: World, runId: string): number =>
  longestTogether(livesOf(world, runId).map(({ from, to }) => [from, to]))

/** The longest time, in ms, that two jobs of the run had replicas together. */
export const ranTogether = (world: World, runId: string): number =>
  longestTogether(livesOf(world, runId).map(({ ran, to }) => [ran, to]))

const terminal = new Set(["COMPLETED", "FAILED", "CANCELLED", "CRASHED"])

type StateWritten = Extract<Entry, { readonly what: "state" }>

const byAgents = ({ chronicle }: World): ReadonlyArray<StateWritten> =>
  chronicle.of("state").filter(({ by }) => by.startsWith("agent "))

/** What was written this soon before may not have been seen: the server has no write on a condition. In ms. */
const unseenFor = 2_000

/** States that an agent wrote over one that was final. The legacy request to cancel is not final. */
export const overwrites = (world: World): ReadonlyArray<string> =>
  byAgents(world)
    .filter(({ from }) => from !== undefined && terminal.has(from.type) && from.name !== "Cancelling")
    .filter(({ at, from }) => at - Date.parse(from?.timestamp ?? "") > unseenFor)
    .map(({ runId, from, to, by }) => `${runId}: ${from?.type} -> ${to.type} by ${by}`)

/** CANCELLED that an agent wrote while a job of the run lived. */
export const cancelledTooEarly = (world: World): ReadonlyArray<string> =>
  byAgents(world)
    .filter(({ to }) => to.type === "CANCELLED")
    .filter(({ at, runId }) => livesOf(world, runId).some((life) => life.from <= at && life.to > at))
    .map(({ runId, by }) => `${runId} by ${by}`)

/** Every promise that holds whatever happened; empty when all of them do. */
export const broken = (world: World): ReadonlyArray<string> => [
  ...overwrites(world).map((each) => `overwritten: ${each}`),
  ...cancelledTooEarly(world).map((each) => `cancelled too early: ${each}`)
]
