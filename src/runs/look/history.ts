/**
 * What a run's state history tells of its attempts: claims and hand-backs of this kind of agent, and the places they name.
 *
 * Invariant: the history is the server's, so it is the same for every replica and after every restart.
 */
import { Effect } from "effect"
import type { Place } from "../../cpln/place.ts"
import type { Command } from "../../cpln/schemas.ts"
import { attemptId, transitionOf } from "../../job/attempt.ts"
import { type ClaimMessage, parseClaimMessage, parseHandBackMessage } from "../../job/claim-message.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun, PastState, State } from "../../prefect/schemas.ts"
import { placeOf } from "../prepare/access.ts"
import type { RunsConfig } from "../config.ts"
import { attemptTag, tagOf } from "../decide/normalise.ts"
import { timeOf } from "../decide/phase.ts"
import type { Places } from "../places.ts"
import type { Preparation } from "../prepare/preparation.ts"

/** A claim, and when the server accepted it, in ms since 1970. */
export interface PastClaim extends ClaimMessage {
  readonly at: number
  /**
   * Claims with no other state between them share a round: 2.20 on SQLite under load accepts two at once. They count as
   * one attempt, whose oldest command survives. The server's own renaming of what is overdue is none: a claim that waited
   * in it was asked for before that.
   */
  readonly round: number
}

export interface History {
  /** Oldest first. */
  readonly claims: ReadonlyArray<PastClaim>
  /** Transition ids of attempts that were handed back. */
  readonly handedBack: ReadonlySet<string>
  /** How many attempts were handed back because their job was lost; drains do not count. */
  readonly lost: number
  /** The state that was asked for last when this was read: usually the run's, unless an older one was written later. */
  readonly stateId: string | undefined
  /** Whether that one is an end, or the wish for one. */
  readonly isToEnd: boolean
  /** Whether it is a claim: nothing but the server's renaming came after that. */
  readonly isClaimed: boolean
}

export const noHistory: History = {
  claims: [],
  handedBack: new Set(),
  lost: 0,
  stateId: undefined,
  isToEnd: false,
  isClaimed: false
}

const ends = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"] as const
/** A state that must not be lost to one that was asked for before it: an end, or the wish for one. */
export type Ending = PastState & { readonly type: (typeof ends)[number] | "CANCELLING" }

export const isEnding = (state: PastState | undefined): state is Ending =>
  ends.some((type) => type === state?.type) || state?.type === "CANCELLING"
export const isEnd = (state: PastState): state is Ending =>
  ends.some((type) => type === state.type) && state.name !== "Cancelling"

/** SCHEDULED by the server alone, which calls a run Late that is overdue: whoever was to have it still is. */
export const isRenaming = ({ name, type }: State): boolean => type === "SCHEDULED" && name === "Late"

/** SCHEDULED for anybody to claim: given back, moved or retried. */
export const isOffer = (state: State): boolean => state.type === "SCHEDULED" && !isRenaming(state)

export const historyOf = (states: ReadonlyArray<State>): History => {
  const handBacks = states.flatMap((state) => parseHandBackMessage(state.message ?? "") ?? [])
  let round = 0
  return {
    claims: states.flatMap((state) => {
      const claim = parseClaimMessage(state.message ?? "")
      if (claim === undefined && !isRenaming(state)) round++
      return claim === undefined ? [] : [{ ...claim, at: timeOf(state.timestamp) ?? 0, round }]
    }),
    handedBack: new Set(handBacks.map((each) => each.transitionId)),
    lost: handBacks.filter((each) => each.reason === "lost").length,
    stateId: states.at(-1)?.id ?? undefined,
    isToEnd: isEnding(states.at(-1)),
    isClaimed: parseClaimMessage(states.findLast((state) => !isRenaming(state))?.message ?? "") !== undefined
  }
}

export const readHistory = Effect.fn("runs.readHistory")(function* (runId: string) {
  return historyOf(yield* Prefect.use((prefect) => prefect.history(runId)))
})

/** The claims of the same round as the one with this transition id, without itself. */
export const rivalsOf = ({ claims }: History, transitionId: string): ReadonlyArray<PastClaim> => {
  const own = claims.find((claim) => claim.transitionId === transitionId)
  return claims.filter((claim) => claim !== own && claim.round === own?.round)
}

/** The last claim, and those that were accepted at the same time. */
export const newestRound = ({ claims }: History): ReadonlyArray<PastClaim> =>
  claims.filter((claim) => claim.round === claims.at(-1)?.round)

/** Whether the claim in the run's state is of an older round: it waited in the server, and landed on the newest one. */
export const isOutrun = (history: History, inState: string | null | undefined): boolean =>
  history.claims.some((claim) => claim.transitionId === inState) &&
  !newestRound(history).some((claim) => claim.transitionId === inState)

/** Whether the command's attempt was claimed in this database, or a claim in it took the command over. */
export const holdsAttempt = ({ claims, handedBack }: History, command: Command): boolean => {
  const transition = transitionOf(tagOf(command, attemptTag) ?? "")
  return (
    handedBack.has(transition) ||
    claims.some((claim) => claim.transitionId === transition || claim.adopts === command.id)
  )
}

/** The attempt that a command counts for: that of a later claim which took it over, and of the last claim of a round. */
export const attemptIn = ({ claims }: History): ((command: Command) => string) => {
  const lastOf = new Map(claims.map((claim) => [claim.round, attemptId(claim.at, claim.transitionId)]))
  const roundOf = new Map(
    claims.flatMap(({ adopts, round, transitionId }) => [
      [transitionId, round] as const,
      ...(adopts === undefined ? [] : [[`adopts ${adopts}`, round] as const])
    ])
  )
  return (command) => {
    const attempt = tagOf(command, attemptTag) ?? ""
    const round = roundOf.get(`adopts ${command.id}`) ?? roundOf.get(transitionOf(attempt))
    return (round === undefined ? undefined : lastOf.get(round)) ?? attempt
  }
}

/** Every place that the PID and the claims name, once; `unreachable` are those for which there is no credential. */
export const placesOf = Effect.fnUntraced(function* (
  run: FlowRun,
  history: History
): Effect.fn.Return<
  { readonly places: ReadonlyArray<Place>; readonly unreachable: ReadonlyArray<string> },
  never,
  Places | RunsConfig | Preparation
> {
  const texts = [run.infrastructure_pid ?? "", ...history.claims.map((each) => each.where)]
  const found = new Map<string, Place>()
  const unreachable: Array<string> = []
  for (const text of texts) {
    const place = yield* placeOf(run, text)
    if (place === "no credential") unreachable.push(text)
    else if (place !== undefined) found.set(place.workload.path, place)
  }
  return { places: [...found.values()], unreachable }
})
