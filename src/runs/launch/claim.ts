/**
 * The claim: proposing PENDING with a fresh transition id. It is the only lock between agents.
 *
 * Invariant: exactly one claimant of a run goes on. Only `status: ACCEPT`, or our own id read back, counts: losers of a
 * race may get HTTP 201 too.
 */
import { Effect, Schema } from "effect"
import { type ApiError, isTransient } from "../../http/errors.ts"
import { CurrentLane } from "../../http/lane.ts"
import { Prefect } from "../../prefect/prefect.ts"
import { attemptId } from "../../job/attempt.ts"
import { claimMessage } from "../../job/claim-message.ts"
import type { Orchestration, State } from "../../prefect/schemas.ts"
import { freshRun } from "../look/fresh.ts"
import { freshId } from "../ids.ts"
import { moment, since } from "../moment.ts"
import { pauseBefore } from "../pause.ts"
import { timeOf } from "../decide/phase.ts"
import type { Judged } from "../act/propose.ts"

/** A claim that was accepted. */
export interface Claim {
  readonly transitionId: string
  /** `<timestamp of the accepted state>_<transition id>`: sorts by time. */
  readonly attempt: string
  readonly state: State
  /** How long it took, in ms, from its asking to the answer. */
  readonly underWay: number
}

/** Somebody else has the run, or it is no longer to run: nothing to do. */
export class ClaimLost extends Schema.TaggedError<ClaimLost>()("ClaimLost", { reason: Schema.String }) {
  override get message() {
    return `not claimed: ${this.reason}`
  }
}

/** The server holds the run back (a concurrency limit): to be tried again later. */
export class ClaimDeferred extends Schema.TaggedError<ClaimDeferred>()("ClaimDeferred", {
  reason: Schema.String
}) {
  override get message() {
    return `held back by the server: ${this.reason}`
  }
}

export interface ClaimAs {
  readonly agent: string
  /** `org:gvc:workload`, or "-" when the run will be refused. */
  readonly where: string
  readonly tryNumber: number
  readonly adopts?: string
}

/** A claim whose answer was lost is proposed again this often, with the same id. */
const tries = 4

/** Claims a run that was seen in the given state. */
export const claim = Effect.fn("runs.claim")(
  function* (
    seen: Judged,
    as: ClaimAs
  ): Effect.fn.Return<Claim, ClaimLost | ClaimDeferred | ApiError, Prefect> {
    const prefect = yield* Prefect
    const transitionId = yield* freshId
    const message = claimMessage({ ...as, transitionId })
    const begun = yield* moment
    for (let tried = 1; ; tried++) {
      const answer = yield* Effect.result(
        prefect.propose(seen.id, { type: "PENDING", message, transitionId })
      )
      if (answer._tag === "Success") return yield* judge(answer.success, transitionId, yield* since(begun))
      const lost = answer.failure
      if (!isTransient(lost)) return yield* lost
      yield* pauseBefore(tried, lost)
      // It may have landed: whoever's id stands in the state has the run.
      const now = (yield* freshRun(seen.id)).value
      const state = now.state ?? undefined
      if (state?.state_details?.transition_id === transitionId)
        return accepted(state, transitionId, yield* since(begun))
      // The server renames what is overdue: that is nobody's claim, and the proposal may yet take effect.
      if (now.state_id !== seen.state_id && now.state_name !== "Late")
        return yield* new ClaimLost({ reason: `it is ${now.state_name ?? now.state_type} now` })
      if (tried >= tries) return yield* lost
    }
  },
  Effect.provideService(CurrentLane, "launch")
)

const accepted = (state: State, transitionId: string, underWay: number): Claim => ({
  transitionId,
  attempt: attemptId(timeOf(state.timestamp) ?? 0, transitionId),
  state,
  underWay
})

const judge = Effect.fnUntraced(function* (
  { details, state, status }: Orchestration,
  transitionId: string,
  underWay: number
): Effect.fn.Return<Claim, ClaimLost | ClaimDeferred> {
  if (state?.state_details?.transition_id === transitionId || status === "ACCEPT") {
    return state === null
      ? yield* new ClaimLost({ reason: "the server accepted, but named no state" })
      : accepted(state, transitionId, underWay)
  }
  const reason = details?.reason ?? `the server answered ${status}`
  const heldBack = state?.type === "SCHEDULED" || status === "WAIT" || /concurrency limit/iu.test(reason)
  return yield* heldBack ? new ClaimDeferred({ reason }) : new ClaimLost({ reason })
})
