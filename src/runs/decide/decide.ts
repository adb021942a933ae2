/**
 * From one observation of a flow run to exactly one decision. Pure and total: no clock, no I/O, no memory of its own,
 * so that the whole table can be tested, printed and replayed.
 *
 * Invariant: nothing irreversible is decided from a single look at something the service may still correct, and nothing
 * at all from an observation that could not be made.
 */

/** The flow run as Prefect shows it, reduced to what a decision may depend on. */
export type Phase =
  /** PENDING with a claim message of this kind of agent. */
  | "pending"
  /** PENDING, claimed by something else. */
  | "pending elsewhere"
  | "running"
  /** CANCELLING, or the legacy type CANCELLED with the name "Cancelling". */
  | "cancelling"
  /** COMPLETED, FAILED, CANCELLED, CRASHED; a run that was deleted counts as well, once that is certain. */
  | "over"
  /** SCHEDULED by the engine itself, which waits inside the job for its retry. */
  | "retry in process"
  | "scheduled"
  | "paused in process"
  | "suspended"

/** A run and the ages that matter, all in milliseconds by the server's clock. */
export interface RunView {
  readonly phase: Phase
  /** Since the run entered its state. */
  readonly phaseAge: number
  /** Since the first RUNNING, or since its job was made where that was later; undefined when it never was. */
  readonly sinceStart: number | undefined
}

/** The command of the current attempt, after stages, executions and errors have been folded together. */
export type Observation =
  /** 401, 403, 5xx, no answer: not ours to judge. */
  | { readonly _tag: "Unreachable"; readonly why: string }
  /**
   * No command is there. `gone`: five looks at the monitor interval got 404. `provenAbsent`: claimed longer ago than the
   * launch deadline, two queries by tag at least 30 s apart found nothing, and nobody here is launching it. `whose`:
   * "ours" when a claim or a PID of this kind is known, "nobody" when there is neither, "other" for another worker's.
   */
  | {
      readonly _tag: "Absent"
      readonly gone: boolean
      readonly provenAbsent: boolean
      readonly whose: "ours" | "nobody" | "other"
    }
  /** Made, but no replica runs yet. `age` since it was created. */
  | { readonly _tag: "Pending"; readonly age: number; readonly stopAsked: boolean }
  /**
   * `runner`: the replica is live, the run has started and the command holds `prefect flow-run execute`. `stopWanted`: it
   * was to be stopped before it had a replica that could be named.
   */
  | { readonly _tag: "Live"; readonly runner: boolean; readonly stopWanted: boolean }
  /** The main container is over, side containers live. `age` since we first saw that. */
  | { readonly _tag: "MainEnded"; readonly exit: Exit; readonly age: number; readonly stopAsked: boolean }
  | { readonly _tag: "Stopping" }
  /** `looks` counts looks at least 5 s apart; `age` since the command became final. */
  | {
      readonly _tag: "Final"
      readonly stage: "completed" | "failed" | "cancelled"
      readonly looks: number
      readonly age: number
      readonly exit: Exit
      readonly stopAsked: boolean
    }

/** What is known of how a container ended. `text` is ready for a person; `code` is undefined when nobody said. */
export interface Exit {
  readonly code: number | undefined
  readonly text: string
}

/** What the agent concludes. `why` is the log line. */
export type Decision =
  | { readonly _tag: "Wait"; readonly why: string }
  | { readonly _tag: "Stop"; readonly why: string }
  | {
      readonly _tag: "Propose"
      readonly state: "COMPLETED" | "CRASHED" | "CANCELLED"
      readonly why: string
      /** Side containers are left, or the job must not start after all: stop it once the state is written. */
      readonly thenStop: boolean
    }
  | { readonly _tag: "HandBack"; readonly why: string }
  /** The job of an in-process retry is over: let the pool offer the run again. */
  | { readonly _tag: "MakeClaimable"; readonly why: string; readonly thenStop: boolean }
  /** Something a person should know, once; nothing is written. */
  | { readonly _tag: "Say"; readonly why: string }
  | { readonly _tag: "Forget" }

/** The settings that decisions depend on, in milliseconds. */
export interface Policy {
  readonly settle: number
  readonly cancelGrace: number
  readonly linger: number
  readonly mainLinger: number
  readonly startTimeout: number
  /** `job_watch_timeout_seconds` of the run. */
  readonly deadline: number | undefined
  readonly unreportedExit: "COMPLETED" | "CRASHED"
}

export const decide = (run: RunView, seen: Observation, policy: Policy): Decision => {
  if (seen._tag === "Unreachable") return wait(`not ours to judge: ${seen.why}`)
  switch (run.phase) {
    case "pending":
    case "pending elsewhere":
      return whilePending(run, seen, policy)
    case "running":
      return whileRunning(run, seen, policy)
    case "cancelling":
      return whileCancelling(run, seen, policy)
    case "over":
      return whenOver(run, seen, policy)
    case "retry in process":
      return whileRetrying(seen, policy)
    case "scheduled":
    case "suspended":
      return whileWithoutJob(run, seen, policy)
    case "paused in process":
      return whilePaused(seen)
  }
}

type Seen = Exclude<Observation, { readonly _tag: "Unreachable" }>

const wait = (why: string): Decision => ({ _tag: "Wait", why })
const stop = (why: string): Decision => ({ _tag: "Stop", why })
const forget: Decision = { _tag: "Forget" }
const propose = (state: "COMPLETED" | "CRASHED" | "CANCELLED", why: string, thenStop = false): Decision => ({
  _tag: "Propose",
  state,
  why,
  thenStop
})

/** The engine reports its own result as its process ends; only its silence is ours to fill in. */
const settled = (age: number, policy: Policy, then: Decision): Decision =>
  age < policy.settle ? wait("the job is over; waiting for the engine's own word") : then

/** `failed` is the one final stage that the service may still correct. */
const seenTwice = (looks: number, then: Decision): Decision =>
  looks < 2 ? wait("failed, seen once: looking again") : then

const whilePending = (run: RunView, seen: Seen, policy: Policy): Decision => {
  switch (seen._tag) {
    case "Pending":
      if (seen.age < policy.startTimeout) return wait("the job is starting")
      return seen.age < 2 * policy.startTimeout
        ? stop("the job did not start in time")
        : propose("CRASHED", "the job never started, and could not be stopped in time", true)
    case "Live":
    case "Stopping":
      return wait("the job is starting")
    case "MainEnded":
      return settled(
        seen.age,
        policy,
        propose("CRASHED", `the job ended before it reported: ${seen.exit.text}`, true)
      )
    case "Final":
      switch (seen.stage) {
        case "completed":
          return settled(
            seen.age,
            policy,
            propose("CRASHED", `the job ended without ever reporting: ${seen.exit.text}`)
          )
        case "failed":
          return seenTwice(
            seen.looks,
            propose("CRASHED", `the job failed before it reported: ${seen.exit.text}`)
          )
        case "cancelled":
          return propose("CRASHED", "the job was stopped before it reported")
      }
    // falls through: every stage above returns
    case "Absent":
      if (run.phase === "pending elsewhere" || seen.whose !== "ours")
        return wait("claimed elsewhere; no job of ours")
      if (seen.gone) return propose("CRASHED", "the job no longer exists (Got 404 five times)")
      return seen.provenAbsent
        ? { _tag: "HandBack", why: "claimed, but its job was never started" }
        : wait("claimed; no job yet")
  }
}

const whileRunning = (run: RunView, seen: Seen, policy: Policy): Decision => {
  const overrun = overDeadline(run, seen, policy)
  if (overrun !== undefined && seen._tag !== "Absent") {
    return seen._tag === "Final" ? propose("CRASHED", overrun) : stop(overrun)
  }
  switch (seen._tag) {
    case "Pending":
    case "Live":
    case "Stopping":
      return wait("the job runs")
    case "MainEnded":
      return settled(
        seen.age,
        policy,
        seen.stopAsked ? stoppedByUs(true) : unreported(seen.exit, policy, true)
      )
    case "Final":
      switch (seen.stage) {
        case "completed":
          return settled(
            seen.age,
            policy,
            // A process may well end with 0 when it is stopped: that is no work done.
            seen.stopAsked ? stoppedByUs(false) : unreported({ ...seen.exit, code: 0 }, policy, false)
          )
        case "failed":
          return seenTwice(seen.looks, propose("CRASHED", `the job failed: ${seen.exit.text}`))
        case "cancelled":
          return settled(
            seen.age,
            policy,
            seen.stopAsked
              ? stoppedByUs(false)
              : propose("CANCELLED", "the job was cancelled at Control Plane")
          )
      }
    // falls through: every stage above returns
    case "Absent":
      return whenGone(seen)
  }
}

const stoppedByUs = (thenStop: boolean): Decision =>
  propose("CRASHED", "the job was stopped by the agent", thenStop)

const whenGone = (seen: Extract<Observation, { _tag: "Absent" }>): Decision => {
  if (seen.whose !== "ours")
    return { _tag: "Say", why: "no job of this run can be found, and no claim says where it was" }
  return seen.gone
    ? propose("CRASHED", "the job no longer exists (Got 404 five times)")
    : wait("Got 404: looking again before anything is concluded")
}

/** An end that the engine did not report, seen from its exit code. */
const unreported = (exit: Exit, policy: Policy, thenStop: boolean): Decision =>
  exit.code === 0
    ? propose(policy.unreportedExit, "the job ended with exit code 0 and never reported", thenStop)
    : propose("CRASHED", `the job ended without reporting: ${exit.text}`, thenStop)

/** From the first RUNNING to now, or to the end of the command. */
const overDeadline = (run: RunView, seen: Seen, policy: Policy): string | undefined => {
  if (policy.deadline === undefined || run.sinceStart === undefined) return undefined
  const ran = seen._tag === "Final" ? run.sinceStart - seen.age : run.sinceStart
  return ran > policy.deadline
    ? `deadline: ran longer than job_watch_timeout_seconds (${policy.deadline / 1000} s)`
    : undefined
}

const whileCancelling = (run: RunView, seen: Seen, policy: Policy): Decision => {
  switch (seen._tag) {
    case "Live":
      return seen.runner && run.phaseAge < policy.cancelGrace
        ? wait("cancelling: the runner inside the job has its grace")
        : stop("the run was cancelled")
    case "Pending":
    case "MainEnded":
    case "Stopping":
      return stop("the run was cancelled")
    case "Final":
      // Whatever the stage: a `failed` that is corrected later is over all the same.
      return propose("CANCELLED", "the run was cancelled and its job is over")
    case "Absent":
      return seen.whose !== "other" && (seen.provenAbsent || seen.gone)
        ? propose("CANCELLED", "the run was cancelled and has no job")
        : wait("cancelling: no job found yet")
  }
}

const whenOver = (run: RunView, seen: Seen, policy: Policy): Decision => {
  switch (seen._tag) {
    case "Pending":
      return stop("the run is over, and its job has not started")
    case "Live":
      // One that had not started when the run ended has nothing to finish: it would run the flow again.
      return run.phaseAge < policy.mainLinger && !seen.stopWanted
        ? wait("the run is over; its job is finishing")
        : stop("the run is over")
    case "MainEnded":
      return run.phaseAge < policy.linger || seen.age < policy.linger
        ? wait("the run is over; side containers are finishing")
        : stop("the run is over, and only side containers are left")
    case "Stopping":
      return stop("the run is over")
    case "Final":
    case "Absent":
      return forget
  }
}

const whileRetrying = (seen: Seen, policy: Policy): Decision => {
  const claimable = (thenStop: boolean): Decision => ({
    _tag: "MakeClaimable",
    why: "its job ended while it waited for a retry",
    thenStop
  })
  switch (seen._tag) {
    case "Pending":
    case "Live":
    case "Stopping":
      return wait("the job waits for its own retry")
    case "MainEnded":
      return settled(seen.age, policy, claimable(true))
    case "Final":
      return seen.stage === "failed" ? seenTwice(seen.looks, claimable(false)) : claimable(false)
    case "Absent":
      return seen.whose === "ours" && seen.gone ? claimable(false) : wait("no job found yet")
  }
}

/** SCHEDULED and Suspended runs should have no job at all. */
const whileWithoutJob = (run: RunView, seen: Seen, policy: Policy): Decision => {
  switch (seen._tag) {
    case "Pending":
      return stop("the run is not to run now, and its job has not started")
    case "Live":
    case "Stopping":
      return run.phaseAge < policy.mainLinger
        ? wait("its earlier job is finishing")
        : stop("its earlier job lives on")
    case "MainEnded":
      return stop("only side containers of its earlier job are left")
    case "Final":
    case "Absent":
      return forget
  }
}

const whilePaused = (seen: Seen): Decision => {
  const crashed = (thenStop: boolean) =>
    propose("CRASHED", "the job ended while the run was paused", thenStop)
  switch (seen._tag) {
    case "Pending":
    case "Live":
    case "Stopping":
      return wait("the job waits while the run is paused")
    case "MainEnded":
      return crashed(true)
    case "Final":
      return seen.stage === "failed" ? seenTwice(seen.looks, crashed(false)) : crashed(false)
    case "Absent":
      return seen.whose === "ours" && seen.gone ? crashed(false) : wait("no job found yet")
  }
}
