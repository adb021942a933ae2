/**
 * The auditor: every promise, asked of the evidence of one world.
 *
 * Invariant: independent of the program: nothing of `src/` is used here or in what is imported from this folder for it.
 */
import type { Evidence } from "./evidence.ts"
import type { Check, Violation } from "./promise.ts"
import { promisesOfAgents } from "./promises-of-agents.ts"
import { promisesOfClaims } from "./promises-of-claims.ts"
import { promisesOfJobs } from "./promises-of-jobs.ts"
import { promisesOfEnds } from "./promises-of-ends.ts"
import { promisesOfRuns } from "./promises-of-runs.ts"

export const checks: ReadonlyArray<Check> = [
  ...promisesOfRuns,
  ...promisesOfEnds,
  ...promisesOfClaims,
  ...promisesOfJobs,
  ...promisesOfAgents
]

/**
 * The server's records of runs are others than before: what is asked of a run's states has no answer then, and the world
 * never comes to rest. What agents do to others, use up and say is asked all the same.
 */
const lostItsRuns = ({ entries }: Evidence): boolean =>
  entries.some((entry) => entry.what === "database" || (entry.what === "pool" && entry.how !== "changed"))

const holdsForOtherDatabases = ({ promise }: Check): boolean => promise !== "I11"

/** What was not kept, the first first. */
export const audit = (evidence: Evidence): ReadonlyArray<Violation> =>
  (lostItsRuns(evidence) ? promisesOfAgents.filter(holdsForOtherDatabases) : checks)
    .flatMap(({ find, name, promise }) => find(evidence).map((found) => ({ promise, check: name, ...found })))
    .sort((a, b) => a.at - b.at)
