/**
 * Proposes states for runs that were judged, and settles proposals whose answer was lost.
 *
 * Invariant: every end state is proposed, never forced, after a read that is less than a second old and shows the run as
 * it was judged; its transition id is derived, so that the same end written by two replicas is one write.
 */
import { Effect } from "effect"
import { type ApiError, isTransient } from "../../http/errors.ts"
import { Prefect, type Proposal } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { freshRun } from "../look/fresh.ts"
import { derivedId } from "../ids.ts"
import { pauseBefore } from "../pause.ts"

/** A run as it was judged: which, and by which state. */
export interface Judged {
  readonly id: string
  readonly state_id?: string | null | undefined
}

/**
 * What came of a state that was proposed: "moved on" means that the run had changed, by another replica's write of the same
 * end as well, so that the next look decides anew.
 */
export type Written = "written" | "moved on"

/** Proposals are repeated this often, each after a read of its own. */
const tries = 4

/**
 * Proposes a state for a run that was judged as `judged` shows it. Every try follows a read that is less than a second
 * old; a try whose answer was lost is settled by the id that is read back.
 */
export const proposeFor = Effect.fnUntraced(function* (
  judged: Judged,
  proposalOf: (fresh: FlowRun) => Proposal
): Effect.fn.Return<Written, ApiError, Prefect> {
  const prefect = yield* Prefect
  for (let tried = 1; ; tried++) {
    const fresh = (yield* freshRun(judged.id)).value
    const proposal = proposalOf(fresh)
    const there = fresh.state?.state_details?.transition_id === proposal.transitionId
    // Replicas derive the same id: before our first try it is another's, after a lost answer it counts as ours.
    if (there) return tried > 1 ? "written" : "moved on"
    if (fresh.state_id !== judged.state_id) return "moved on"
    const answer = yield* Effect.result(prefect.propose(judged.id, proposal))
    if (answer._tag === "Success") {
      const ours = answer.success.state?.state_details?.transition_id === proposal.transitionId
      return answer.success.status === "ACCEPT" || (ours && tried > 1) ? "written" : "moved on"
    }
    if (tried >= tries || !isTransient(answer.failure)) return yield* answer.failure
    yield* pauseBefore(tried, answer.failure)
  }
})

/** The end states that the agent may write; nothing ever forces one. */
export const proposeEnd = (
  judged: Judged,
  state: "COMPLETED" | "CRASHED" | "CANCELLED",
  /** The command, or the attempt's transition id where there is none. */
  subject: string,
  message: string
): Effect.Effect<Written, ApiError, Prefect> =>
  proposeFor(judged, () => ({ type: state, message, transitionId: derivedId(judged.id, subject, state) }))

/** Lost hand-backs of one run; the next time its job is lost is a crash. */
export const lostHandBacksAllowed = 2

/** Gives a claimed run back to the pool. `AwaitingRetry`: a state named Scheduled would be renamed Late and lose its message. */
export const handBack = (
  judged: Judged,
  /** Of the claim that is given back. */
  transitionId: string,
  message: string,
  /** ISO time; that of the claimed state unless given. */
  due?: string
): Effect.Effect<Written, ApiError, Prefect> =>
  proposeFor(judged, (fresh) => {
    const scheduledTime =
      due ?? fresh.state?.state_details?.scheduled_time ?? fresh.expected_start_time ?? undefined
    return {
      type: "SCHEDULED",
      name: "AwaitingRetry",
      message,
      transitionId: derivedId(judged.id, transitionId, "hand back"),
      ...(scheduledTime === undefined ? {} : { scheduledTime })
    }
  })

/** Lets the pool offer a run again whose engine died while it waited for a retry of its own. */
export const makeClaimable = Effect.fn("runs.makeClaimable")(function* (
  judged: Judged
): Effect.fn.Return<Written, ApiError, Prefect> {
  const prefect = yield* Prefect
  const fresh = yield* freshRun(judged.id)
  if (fresh.value.state_id !== judged.state_id) return "moved on"
  yield* prefect.changeRun(judged.id, {
    empiricalPolicy: { ...fresh.value.empirical_policy, retry_type: "reschedule" }
  })
  return "written"
})
