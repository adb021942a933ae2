/** What checks of runs and jobs share. */
import type { Evidence, JobLife, RunLife } from "./evidence.ts"
import type { Finding } from "./promise.ts"

export const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`

export const ofRuns =
  (find: (run: RunLife, evidence: Evidence) => ReadonlyArray<Omit<Finding, "runId">>) =>
  (evidence: Evidence): ReadonlyArray<Finding> =>
    evidence.runs.flatMap((run) => find(run, evidence).map((each) => ({ ...each, runId: run.id })))

/** The newest attempt's oldest job, which is the one that counts. */
export const decisive = (run: RunLife, at: number): JobLife | undefined => {
  const made = run.jobs.filter((job) => job.at <= at)
  const attemptOf = (job: JobLife) => String(job.tags["prefect.io/attempt"] ?? "")
  const newest = made.map(attemptOf).reduce((a, b) => (b > a ? b : a), "")
  return made.find((job) => attemptOf(job) === newest)
}
