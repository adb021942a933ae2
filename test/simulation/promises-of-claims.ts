/**
 * The promises about claims that follow on each other: I2 before there are two jobs. A claim is given back only when its
 * job is proven absent, none is made beside a job that works, and none for somebody else's claim.
 *
 * Invariant: all are asked of the moment of the write, so that what is put right afterwards does not hide it.
 */
import { byAgent } from "./evidence.ts"
import { claimOf, ofRuns, seconds } from "./lives.ts"
import type { Check } from "./promise.ts"

const handBack = /^Handed back by .* \| attempt (\S+) \| .* \| lost$/u
/** Ages come from whole seconds. */
const wholeSecond = 1_500

const absenceIsProven: Check = {
  promise: "I2",
  name: "what another agent claimed is given back only when its job is proven absent",
  bound:
    "the launch deadline after the claim, less 1.5 s for ages in whole seconds; the claimant itself may know sooner",
  find: ofRuns((run, { plan }) =>
    run.states.flatMap((state) => {
      const id = byAgent(state.by) ? handBack.exec(state.message)?.[1] : undefined
      const claim = id === undefined ? undefined : run.states.find((each) => claimOf(each) === id)
      if (claim === undefined || claim.by === state.by) return []
      const age = state.at - claim.asked
      return age < 1000 * plan.settings.launchDeadline - wholeSecond
        ? [
            {
              at: state.at,
              what: `the claim of ${claim.by} was given back by ${state.by} after ${seconds(age)}`
            }
          ]
        : []
    })
  )
}

/** A job that has worked for so long was seen by everybody, in ms. */
const inSight = 20_000

const nothingBesideAJob: Check = {
  promise: "I2",
  name: "no job is started for a new claim while a job of an earlier one works",
  bound: "one that had worked for 20 s when the new claim was made, and no fault hit a search for it",
  find: ofRuns((run, { blindAt }) =>
    run.jobs.flatMap((job) => {
      if (!byAgent(job.by)) return []
      const attempt = String(job.tags["prefect.io/attempt"])
      const claim = run.states.find((state) => attempt.endsWith(claimOf(state) ?? " "))
      if (claim === undefined) return []
      const earlier = run.jobs.find(
        (each) =>
          each !== job &&
          each.tags["prefect.io/attempt"] !== attempt &&
          each.ran < claim.at - inSight &&
          each.over > job.sent &&
          !blindAt.some((at) => at >= each.ran && at <= job.sent)
      )
      return earlier === undefined
        ? []
        : [{ at: job.sent, what: `${job.id} was started by ${job.by} while ${earlier.id} worked` }]
    })
  )
}

const attemptsAreOnesOwn: Check = {
  promise: "I2",
  name: "nobody starts a job for another agent's claim",
  bound: "never: every claim has an id that nobody else can have",
  find: ofRuns((run) =>
    run.jobs.flatMap((job, index) => {
      const attempt = job.tags["prefect.io/attempt"]
      const first = run.jobs
        .slice(0, index)
        .find((each) => each.tags["prefect.io/attempt"] === attempt && each.by !== job.by)
      return first === undefined || !byAgent(job.by) || !byAgent(first.by)
        ? []
        : [
            {
              at: job.sent,
              what: `${job.id} by ${job.by} is of the same claim as ${first.id} by ${first.by}`
            }
          ]
    })
  )
}

export const promisesOfClaims: ReadonlyArray<Check> = [absenceIsProven, nothingBesideAJob, attemptsAreOnesOwn]
