/**
 * From what the platform says of a job's end to words for a person: how it ended, and what that usually means.
 *
 * Invariant: an exit code is stated only when the platform gave one.
 */
import type { JobExecution } from "../cpln/schemas.ts"
import type { Exit } from "./decide.ts"

/** What an exit code usually means; the wording of Prefect's own workers. */
const meaning: Readonly<Record<number, string>> = {
  1: "the process failed",
  125: "the container could not be run",
  126: "the command cannot be executed",
  127: "the command was not found",
  137: "killed, often because it ran out of memory",
  143: "ended by SIGTERM",
  247: "ran out of memory"
}

/** How the named container ended; falls back to what the execution itself says. */
export const exitOf = (execution: JobExecution | undefined, container: string): Exit => {
  const seen = execution?.containers?.[container]
  const code = seen?.restarts?.exitCode ?? undefined
  const reason = seen?.restarts?.reason ?? undefined
  const condition = execution?.conditions?.find((each) => each.type === "Failed")
  const words = [
    code === undefined
      ? undefined
      : `exit code ${code}${meaning[code] === undefined ? "" : ` (${meaning[code]})`}`,
    reason,
    seen?.message,
    condition?.reason,
    condition?.message,
    execution?.message
  ].filter((each): each is string => typeof each === "string" && each !== "")
  return { code, text: words.length === 0 ? "the platform gave no reason" : [...new Set(words)].join(" · ") }
}
