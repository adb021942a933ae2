/**
 * Ends runs that cannot run as they are defined, and gives back those that cannot be started now.
 *
 * Invariant: only the holder of an accepted claim writes either, so that two agents of different versions never end each
 * other's runs.
 */
import { Duration, Effect } from "effect"
import { handBackMessage, parseClaimMessage } from "../../job/claim-message.ts"
import { isToApply } from "../../job/to-apply.ts"
import { type About, say } from "../../observe/say.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { Claim } from "./claim.ts"
import { RunsConfig } from "../config.ts"
import { advice, categoryOfRefusal } from "../decide/diagnose.ts"
import { isOffer, readHistory, rivalsOf } from "../look/history.ts"
import { handBack, lostHandBacksAllowed, proposeEnd } from "../act/propose.ts"
import { standingOf } from "./standing.ts"
import { tellRun } from "../act/tell.ts"

/**
 * Others may be about to claim, on data from before our claim: they must find the run claimed, not finished, because the
 * server lets a finished run be claimed. Longer than such data is used, and a request takes.
 */
const othersClaimWithin = Duration.seconds(2)

/**
 * Writes CRASHED with what is wrong with the run, for its owner to read. Not where the run had ended before the claim, or
 * another claim was accepted at the same time and has its job.
 */
export const endRefused = Effect.fn("runs.endRefused")(function* (
  run: FlowRun,
  held: Claim,
  about: About,
  problems: string
) {
  yield* say("error", "Job", about, `This run cannot be started: ${problems}`)
  const help = advice(categoryOfRefusal(problems))
  // What is there to be copied into a file ends the text.
  const text = isToApply(problems) ? `${help}\n${problems}` : `${problems}\n${help}`
  yield* Effect.sleep(othersClaimWithin)
  // The end of a drain cuts the search for a rival's job short.
  const standing = yield* standingOf(run.id, held, () => false)
  if (standing === "too late") return
  if (standing === "outrun") return yield* giveBackOutrun(run, held, about)
  if (standing === "second") {
    return yield* say(
      "info",
      "Job",
      about,
      "Not ended: another agent's claim was accepted at the same time, and its job is there."
    )
  }
  const written = yield* proposeEnd(
    { id: run.id, state_id: held.state.id },
    "CRASHED",
    held.transitionId,
    `This run cannot be started on Control Plane. ${text}`
  )
  if (written === "written") {
    yield* tellRun(run.id, "error", `This run cannot be started on Control Plane.\n${text}`)
  }
})

/** Back to the pool, for the time of the offer that came between the claim's asking and its landing. */
export const giveBackOutrun = Effect.fn("runs.giveBackOutrun")(function* (
  run: FlowRun,
  held: Claim,
  about: About
) {
  const claimed = parseClaimMessage(held.state.message ?? "")
  if (claimed === undefined) return
  const { agentLink } = yield* RunsConfig
  const states = yield* Prefect.use((prefect) => prefect.history(run.id))
  const due = states.findLast(isOffer)?.state_details?.scheduled_time ?? undefined
  const message = handBackMessage({ ...claimed, agent: agentLink, reason: "drain" })
  const judged = { id: run.id, state_id: held.state.id }
  if ((yield* handBack(judged, held.transitionId, message, due)) === "written")
    yield* say("info", "Job", about, "Handed back to the pool: the claim came too late.")
})

/**
 * Back to the pool; a job that was lost too often ends the run. Not where another claim was accepted at the same time: its
 * job may live, and only a look at both tells.
 */
export const giveBack = Effect.fn("runs.giveBack")(function* (
  run: FlowRun,
  held: Claim,
  where: string,
  tried: { readonly tryNumber: number; readonly lost: number },
  reason: "lost" | "drain",
  why: string,
  about: About
) {
  if (rivalsOf(yield* readHistory(run.id), held.transitionId).length > 0) {
    return yield* say("info", "Job", about, "Not handed back: another claim was accepted at the same time.")
  }
  if (reason === "lost" && tried.lost >= lostHandBacksAllowed) {
    return yield* endRefused(run, held, about, `Its job could not be started ${tried.lost + 1} times: ${why}`)
  }
  const { agentLink } = yield* RunsConfig
  const message = handBackMessage({
    agent: agentLink,
    transitionId: held.transitionId,
    where,
    tryNumber: tried.tryNumber,
    reason
  })
  const written = yield* handBack({ id: run.id, state_id: held.state.id }, held.transitionId, message)
  if (written === "written") yield* say("info", "Job", about, `Handed back to the pool: ${why}`)
})
