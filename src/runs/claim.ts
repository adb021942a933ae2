/**
 * The claim: proposing PENDING with a fresh transition id. It is the only lock between agents.
 *
 * Invariant: exactly one claimant of a run goes on. Only `status: ACCEPT`, or our own id read back, counts: losers of a
 * race may get HTTP 201 too.
 */
import { Effect, Schema } from "effect"
import type { ApiError } from "../http/errors.ts"
import { CurrentLane } from "../http/lane.ts"
import { Prefect } from "../prefect/prefect.ts"
import { attemptId } from "../job/attempt.ts"
import { claimMessage } from "../job/claim-message.ts"
import type { State } from "../prefect/schemas.ts"
import { freshId } from "./ids.ts"
import { timeOf } from "./phase.ts"

/** A claim that was accepted. */
export interface Claim {
  readonly transitionId: string
  /** `<timestamp of the accepted state>_<transition id>`: sorts by time. */
  readonly attempt: string
  readonly state: State
  /** Deployment concurrency lease of 3.x: to be renewed until the run is RUNNING. */
  readonly leaseId: string | undefined
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

export const claim = Effect.fn("runs.claim")(
  function* (
    runId: string,
    as: ClaimAs
  ): Effect.fn.Return<Claim, ClaimLost | ClaimDeferred | ApiError, Prefect> {
    const prefect = yield* Prefect
    const transitionId = yield* freshId
    const answer = yield* prefect
      .propose(runId, { type: "PENDING", message: claimMessage({ ...as, transitionId }), transitionId })
      .pipe(
        Effect.catchTag("Unavailable", (lost) =>
          // The claim may have landed: whoever's id stands in the state has the run.
          prefect
            .readRun(runId)
            .pipe(
              Effect.flatMap(({ value }) =>
                value.state?.state_details?.transition_id === transitionId
                  ? Effect.succeed({ state: value.state, status: "ACCEPT" as const, details: {} })
                  : Effect.fail(lost)
              )
            )
        )
      )
    const state = answer.state
    if (state?.state_details?.transition_id === transitionId || answer.status === "ACCEPT") {
      if (state === null) return yield* new ClaimLost({ reason: "the server accepted, but named no state" })
      return {
        transitionId,
        attempt: attemptId(timeOf(state.timestamp) ?? 0, transitionId),
        state,
        leaseId: state.state_details?.deployment_concurrency_lease_id ?? undefined
      }
    }
    const reason = answer.details?.reason ?? `the server answered ${answer.status}`
    const heldBack =
      state?.type === "SCHEDULED" || answer.status === "WAIT" || /concurrency limit/iu.test(reason)
    return yield* heldBack ? new ClaimDeferred({ reason }) : new ClaimLost({ reason })
  },
  Effect.provideService(CurrentLane, "launch")
)
