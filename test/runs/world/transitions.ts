/**
 * What a Prefect server answers to a proposed state: the matrix that was tried cell by cell on real servers, for the
 * lines 2.20 and 3.8.
 *
 * Invariant: pure; a verdict depends on the run as it is, never on who proposes.
 */
import type { FlowRun } from "../../../src/prefect/schemas.ts"

export type Verdict =
  | "accept"
  /** Nothing is written; the answer carries the state as it is. */
  | "reject"
  | "abort"
  /** The server writes CANCELLED instead: there is nothing that could be asked to end. */
  | "cancelled instead"

type Row =
  | "SCHEDULED"
  | "SCHEDULED with pid"
  | "PENDING"
  | "RUNNING"
  | "PAUSED"
  | "SUSPENDED"
  | "CANCELLING"
  | "CANCELLED"
  | "DONE"

const columns = [
  "SCHEDULED",
  "PENDING",
  "RUNNING",
  "COMPLETED",
  "CRASHED",
  "CANCELLING",
  "CANCELLED",
  "PAUSED"
] as const

/** A accept, R reject, X abort, C cancelled instead; two letters are 2.20 and 3.8. In the order of `columns`. */
const matrix: Readonly<Record<Row, string>> = {
  SCHEDULED: "A A A A A C A R",
  "SCHEDULED with pid": "A A A A A A A R",
  PENDING: "A X A A A A A R",
  RUNNING: "A X A A A A A A",
  PAUSED: "A R A A A RA A R",
  SUSPENDED: "A R A A A C A R",
  CANCELLING: "R R R R R R A R",
  CANCELLED: "RA RX RA RA X X A X",
  DONE: "A A A A X X A X"
}

const verdicts: Readonly<Record<string, Verdict>> = {
  A: "accept",
  R: "reject",
  X: "abort",
  C: "cancelled instead"
}

const rowOf = (run: FlowRun): Row => {
  switch (run.state_type) {
    case "SCHEDULED":
      return (run.infrastructure_pid ?? undefined) === undefined ? "SCHEDULED" : "SCHEDULED with pid"
    case "PENDING":
    case "RUNNING":
    case "CANCELLING":
    case "CANCELLED":
      return run.state_type
    case "PAUSED":
      return run.state?.state_details?.pause_reschedule === true ? "SUSPENDED" : "PAUSED"
    default:
      return "DONE"
  }
}

export const verdictOf = (
  run: FlowRun,
  type: string,
  { force, line }: { readonly force: boolean; readonly line: "2" | "3" }
): Verdict => {
  const row = rowOf(run)
  const column = columns.indexOf((type === "FAILED" ? "COMPLETED" : type) as (typeof columns)[number])
  if (column === -1) return "abort"
  const cell = matrix[row].split(" ")[column] ?? ""
  const verdict = verdicts[cell.length === 1 ? cell : line === "2" ? cell.charAt(0) : cell.charAt(1)]
  if (force) return verdict === "cancelled instead" ? verdict : "accept"
  const withoutDeployment = (run.deployment_id ?? undefined) === undefined
  if ((row === "DONE" || row === "CANCELLED") && type === "SCHEDULED" && withoutDeployment) return "abort"
  return verdict ?? "abort"
}
