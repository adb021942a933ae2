/**
 * Folds what Prefect says of a flow run into the few phases that decisions know.
 *
 * Invariant: decided on the state's type, with two exceptions: the name "Cancelling" on type CANCELLED is the legacy way
 * to ask for a cancel. Nothing is decided about a run in a state that we do not know.
 */
import type { FlowRun } from "../../prefect/schemas.ts"
import type { Phase, RunView } from "./decide.ts"

const over = new Set(["COMPLETED", "FAILED", "CANCELLED", "CRASHED"])

export const isCancelling = (run: FlowRun): boolean =>
  run.state_type === "CANCELLING" || (run.state_type === "CANCELLED" && run.state_name === "Cancelling")

/** True for COMPLETED, FAILED, CANCELLED and CRASHED: a state that the agent never changes. */
export const isOver = (run: FlowRun): boolean => over.has(run.state_type ?? "") && !isCancelling(run)

const known = new Set([...over, "SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"])
export const isKnownState = (run: FlowRun): boolean => known.has(run.state_type ?? "")

/** The engine waits inside its job: such a run is SCHEDULED, but never ours to claim. */
export const retriesInProcess = (run: FlowRun): boolean =>
  run.empirical_policy?.["retry_type"] === "in_process"

export const phaseOf = (run: FlowRun, claimedByOurKind: boolean): Phase => {
  if (isCancelling(run)) return "cancelling"
  if (isOver(run)) return "over"
  switch (run.state_type) {
    case "PENDING":
      return claimedByOurKind ? "pending" : "pending elsewhere"
    case "SCHEDULED":
      return retriesInProcess(run) ? "retry in process" : "scheduled"
    case "PAUSED":
      return run.state?.state_details?.pause_reschedule === true ? "suspended" : "paused in process"
    default:
      return "running"
  }
}

/** How long the run has been in its state, in ms; `at` is the server's clock when it answered, in ms since 1970. */
export const phaseAgeOf = (run: FlowRun, at: number): number =>
  Math.max(0, at - (timeOf(run.state?.timestamp) ?? at))

/**
 * `jobAge` is that of the command that counts, in ms. The server keeps the first start of a run that is retried by hand
 * days later, and 3.x calls the end of a run that never started its start.
 */
export const viewOf = (
  run: FlowRun,
  at: number,
  claimedByOurKind: boolean,
  jobAge = Number.POSITIVE_INFINITY
): RunView => {
  const sinceStart = sinceOf(run.start_time, at)
  return {
    phase: phaseOf(run, claimedByOurKind),
    phaseAge: phaseAgeOf(run, at),
    sinceStart: sinceStart === undefined ? undefined : Math.min(sinceStart, jobAge)
  }
}

/** ISO time to ms since 1970; undefined for nothing or nonsense. */
export const timeOf = (iso: string | null | undefined): number | undefined => {
  const ms = iso ? Date.parse(iso) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}

const sinceOf = (iso: string | null | undefined, at: number) => {
  const time = timeOf(iso)
  return time === undefined ? undefined : Math.max(0, at - time)
}
