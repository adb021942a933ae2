/**
 * The auditor: every promise, asked of the evidence of one world.
 *
 * Invariant: independent of the program: nothing of `src/` is used here or in what is imported from this folder for it.
 */
import type { Evidence } from "./evidence.ts"
import type { Check, Violation } from "./promise.ts"
import { promisesOfAgents } from "./promises-of-agents.ts"
import { promisesOfJobs } from "./promises-of-jobs.ts"
import { promisesOfRuns } from "./promises-of-runs.ts"

export const checks: ReadonlyArray<Check> = [...promisesOfRuns, ...promisesOfJobs, ...promisesOfAgents]

/** What was not kept, the first first. */
export const audit = (evidence: Evidence): ReadonlyArray<Violation> =>
  checks
    .flatMap(({ find, name, promise }) => find(evidence).map((found) => ({ promise, check: name, ...found })))
    .sort((a, b) => a.at - b.at)
