/**
 * One due run from the pool's offer to its infrastructure PID: prepare, ensure the workload, claim, start, write down.
 *
 * Invariant: what cannot run is refused before anything is started, by the holder of an accepted claim only; what may
 * pass claims nothing. A run is claimed only on data that is half a second old at most, because the server would let a
 * finished one be claimed. After an accepted claim this fiber goes on to a started job, a hand-back or an end state, and
 * a drain only asks it to be quick.
 */
import { Cause, Duration, Effect, Exit, Option, Schema } from "effect"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { type ApiError, isTransient } from "../../http/errors.ts"
import { say } from "../../observe/say.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { Board } from "../look/board.ts"
import type { Brake } from "../act/brake.ts"
import { claim, type ClaimDeferred, ClaimLost } from "./claim.ts"
import { RunsConfig } from "../config.ts"
import type { OtherInfrastructure } from "../prepare/definition.ts"
import { type Earlier, earlierAttempts } from "../look/earlier.ts"
import { freshRun } from "../look/fresh.ts"
import { sayWentBack } from "../act/grounds.ts"
import { longAgo, type Moment, moment, since } from "../moment.ts"
import { type Located, pidOf } from "../decide/normalise.ts"
import { retriesInProcess, timeOf } from "../decide/phase.ts"
import { Places } from "../places.ts"
import type { CurrentPool } from "../pool.ts"
import { type Preparation, prepare, type Prepared } from "../prepare/prepare.ts"
import { standingOf } from "./standing.ts"
import { restoreYounger } from "../act/overwritten.ts"
import { writeDown } from "./record.ts"
import { endRefused, giveBack, giveBackOutrun } from "./refuse.ts"
import { aboutOf, startClaimed, type Started } from "./start-claimed.ts"
import { Sightings } from "../look/sightings.ts"
import type { NotStarted } from "./start.ts"
import type { Starts } from "./starts.ts"
import { LaunchWindow, type Went } from "./window.ts"
import { EnsuredWorkloads } from "../workloads/workload.ts"

/** An earlier job of this run lives: it has to end (it is being stopped) before the run is claimed again. */
export class EarlierJobLives extends Schema.TaggedError<EarlierJobLives>()("EarlierJobLives", {
  command: Schema.String
}) {
  override get message() {
    return `an earlier job of this run (command ${this.command}) is still alive and is being stopped first`
  }
}

export type LaunchEnvironment =
  | Prefect
  | ControlPlane
  | RunsConfig
  | Board
  | Places
  | CurrentPool
  | EnsuredWorkloads
  | Preparation
  | Brake
  | Sightings
  | LaunchWindow
  | Starts

/** A due run as the pool offered it; `seenAt` is when that was asked for. */
export interface Offer {
  readonly run: FlowRun
  readonly seenAt: Moment
}

/** The agent's wish to end. */
export interface Drain {
  /** True from the wish on: nothing is claimed or started after that. */
  readonly asked: () => boolean
  /** Ends when what was claimed has had its time. */
  readonly over: Effect.Effect<void>
}

/** From an accepted claim on it is ours to settle: only the end of a drain cuts that short, and then the watch of the next agent settles it. */
const settled =
  ({ over }: Drain) =>
  <A, E, R>(claimed: Effect.Effect<A | undefined, E, R>): Effect.Effect<A | undefined, E, R> =>
    Effect.uninterruptible(Effect.raceFirst(claimed, Effect.as(over, undefined)))

/** A claim rests on data of the run that is at most this old, in ms. */
const freshFor = 500
/** A claim that was answered this soon after the run was seen waited for nobody, in ms. */
const quickClaim = 250
/** The `Date` header has whole seconds: a run that is due within this second is due. */
const dueWithin = 1_000

/** A workload that is not ready is spoken of this often. */
const saidEvery = Duration.seconds(15)

/** Everything that may be done early for a run that is due soon: it fills the caches and makes the workload ready. */
export const warm = Effect.fn("runs.warm")(function* (run: FlowRun) {
  const prepared = yield* prepare(run)
  yield* (yield* EnsuredWorkloads).ensure(prepared.wanted)
})

type LaunchError = ClaimLost | ClaimDeferred | EarlierJobLives | OtherInfrastructure | NotStarted | ApiError

/** Launches one due run, and returns the job, if one was started. */
export const launch: (
  offer: Offer,
  drain: Drain
) => Effect.Effect<Started | undefined, LaunchError, LaunchEnvironment> = Effect.fn("runs.launch")(function* (
  offer: Offer,
  drain: Drain
): Effect.fn.Return<Started | undefined, LaunchError, LaunchEnvironment> {
  if (drain.asked()) return undefined
  const sightings = yield* Sightings
  const earlier = yield* earlierAttempts(offer.run, sightings.of(offer.run.id))
  // The history is the younger one, and may tell of jobs that were not looked for.
  if (earlier.stateId !== undefined && earlier.stateId !== offer.run.state_id) {
    const now = (yield* freshRun(offer.run.id)).value
    if (now.state_id !== offer.run.state_id || (yield* restoreYounger(now))) return yield* movedOn
  }
  if (earlier.live !== undefined) return yield* new EarlierJobLives({ command: earlier.live.command.id })
  if (earlier.adoptable !== undefined) {
    return yield* settled(drain)(adopt(offer, earlier, earlier.adoptable))
  }
  const window = yield* LaunchWindow
  for (let seen = offer; ;) {
    const ready = yield* makeReady(seen.run)
    if (!("problems" in ready)) yield* sightings.lookOnce(ready.wanted.place)
    const turn = yield* window.turn(launchReady(seen, ready, earlier, drain), went)
    if (turn._tag === "Done") return turn.job
    // Its job may live though the run looks as if it had never been started: begun again, that is looked into.
    if (turn._tag === "Seen live") return yield* launch(offer, drain)
    seen = turn.offer
  }
})

type Turn =
  | { readonly _tag: "Done"; readonly job: Started | undefined }
  | { readonly _tag: "Seen live" }
  /** What its job is made from is another now. */
  | { readonly _tag: "Changed"; readonly offer: Offer }

const went = (exit: Exit.Exit<Turn, LaunchError>): Went => {
  if (Exit.isSuccess(exit)) {
    return exit.value._tag === "Done" && exit.value.job !== undefined ? "started" : "neither"
  }
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  return error !== undefined && (isTransient(error) || error._tag === "NotStarted") ? "trouble" : "neither"
}

const launchReady = Effect.fnUntraced(function* (
  seen: Offer,
  ready: Ready,
  earlier: Earlier,
  drain: Drain
): Effect.fn.Return<Turn, LaunchError, LaunchEnvironment> {
  if (drain.asked()) return { _tag: "Done", job: undefined }
  const sightings = yield* Sightings
  if (earlier.stateId === undefined && sightings.of(seen.run.id).length > 0) return { _tag: "Seen live" }
  const now = yield* stillDue(seen)
  if (!isSameJob(seen.run, now.run)) return { _tag: "Changed", offer: now }
  const job = yield* settled(drain)(
    "problems" in ready
      ? refuse(now.run, earlier, ready.problems)
      : claimAndStart(now, ready, earlier, drain.asked)
  )
  return { _tag: "Done", job }
})

const movedOn = new ClaimLost({ reason: "it has moved on since it was offered" })

/** Ready to be claimed, or what its owner has to mend. */
type Ready = Prepared | { readonly problems: string }

/** What may pass by itself is an error. */
const makeReady = Effect.fnUntraced(function* (
  run: FlowRun
): Effect.fn.Return<Ready, OtherInfrastructure | ApiError, LaunchEnvironment> {
  return yield* prepare(run).pipe(
    Effect.tap((prepared) => workloadReady(run, prepared)),
    Effect.catchTag(["RunRefused", "WorkloadUnusable"], (error) =>
      Effect.succeed({ problems: error.message })
    ),
    // An org or GVC that does not exist, or a workload that the service does not take.
    Effect.catchTag(["NotFound", "Refused", "Conflict"], (error) =>
      error.service === "Control Plane" ? Effect.succeed({ problems: error.message }) : Effect.fail(error)
    )
  )
})

/** Readiness is the workload's, but people look for it by their run. */
const workloadReady = Effect.fnUntraced(function* (run: FlowRun, prepared: Prepared) {
  const { location, readyWithin } = prepared.wanted
  const about = aboutOf(run, prepared)
  const waiting = say(
    "info",
    "Workload",
    about,
    `Not ready yet in ${location}; waiting up to ${readyWithin / 1000} s (pod_watch_timeout_seconds).`
  )
  yield* EnsuredWorkloads.use((ensured) => ensured.ensure(prepared.wanted)).pipe(
    Effect.raceFirst(Effect.andThen(Effect.sleep(saidEvery), waiting).pipe(Effect.forever))
  )
  yield* say("info", "Workload", about, `Ready in ${location}.`)
})

/** The run as it is now, by a read unless the offer is fresh; `ClaimLost` when it is no longer to be launched. */
const stillDue = Effect.fnUntraced(function* (
  offer: Offer
): Effect.fn.Return<Offer, ClaimLost | ApiError, Prefect> {
  const now = yield* moment
  if ((yield* since(offer.seenAt)) <= freshFor) return offer
  const read = yield* freshRun(offer.run.id)
  const run = read.value
  const due = timeOf(run.next_scheduled_start_time ?? run.expected_start_time) ?? read.at
  if (run.state_type !== "SCHEDULED" || retriesInProcess(run) || due - read.at > dueWithin) {
    return yield* new ClaimLost({ reason: `it is ${run.state_name ?? run.state_type} now` })
  }
  // Claimed and given back meanwhile, or run and retried: what was found out about its jobs is of the past. The server's own
  // renaming of what is overdue changes nothing.
  if (run.state_id !== offer.run.state_id && run.state_name !== "Late") return yield* movedOn
  return { run, seenAt: now }
})

/** Whether what a job is made from is still the same. */
const isSameJob = (a: FlowRun, b: FlowRun): boolean =>
  a.deployment_id === b.deployment_id &&
  a.name === b.name &&
  JSON.stringify(a.job_variables ?? {}) === JSON.stringify(b.job_variables ?? {})

const claimAndStart = Effect.fnUntraced(function* (
  { run, seenAt }: Offer,
  prepared: Prepared,
  earlier: Earlier,
  drained: () => boolean
): Effect.fn.Return<Started | undefined, LaunchError, LaunchEnvironment> {
  const { agentLink } = yield* RunsConfig
  const tried = { tryNumber: earlier.claims + 1, lost: earlier.lost }
  const provenAt = yield* moment
  const held = yield* claim(run, { agent: agentLink, where: prepared.where, tryNumber: tried.tryNumber })
  const about = aboutOf(run, prepared)
  const took = yield* since(seenAt)
  const standing = took > quickClaim ? yield* standingOf(run.id, held, drained) : "first"
  if (standing === "too late") return undefined
  if (standing === "second") {
    yield* say("info", "Job", about, "Another agent's claim was accepted at the same time; its job is used.")
    return undefined
  }
  if (standing === "outrun") {
    yield* giveBackOutrun(run, held, about)
    return undefined
  }
  if (drained()) {
    yield* giveBack(run, held, prepared.where, tried, "drain", "the agent is stopping", about)
    return undefined
  }
  // With a rival about, only a new read may prove that the run is ours.
  const proof = standing === "alone after all" ? longAgo : provenAt
  return yield* startClaimed(run, held, prepared, tried, proof, drained, about)
})

/** A job of a handed-back attempt that lives after all: the claim takes it over where it is, and nothing is started. */
const adopt = Effect.fnUntraced(function* (
  offer: Offer,
  earlier: Earlier,
  job: Located
): Effect.fn.Return<Started, ClaimLost | ClaimDeferred | ApiError, LaunchEnvironment> {
  const { agentLink } = yield* RunsConfig
  const { run } = yield* stillDue(offer)
  const { gvc, name, org } = job.place.workload
  const held = yield* claim(run, {
    agent: agentLink,
    where: `${org}:${gvc}:${name}`,
    tryNumber: earlier.claims + 1,
    adopts: job.command.id
  })
  const about = { runId: run.id, gvc, workload: name, command: job.command.id }
  const places = yield* Places
  places.remember(job.place)
  ;(yield* Board).of(run.id).place = job.place
  yield* say("info", "Job", about, "Its job of an earlier attempt lives: taken over.")
  if (earlier.wentBack) yield* sayWentBack(run.id, pidOf(job).commandId, about)
  yield* writeDown(run, held, job, yield* moment, about)
  return { place: job.place, commandId: pidOf(job).commandId, flowName: undefined, streamOutput: undefined }
})

const refuse = Effect.fnUntraced(function* (
  run: FlowRun,
  earlier: Earlier,
  problems: string
): Effect.fn.Return<undefined, LaunchError, LaunchEnvironment> {
  const { agentLink } = yield* RunsConfig
  const held = yield* claim(run, { agent: agentLink, where: "-", tryNumber: earlier.claims + 1 })
  yield* endRefused(run, held, { runId: run.id }, problems)
  return undefined
})
