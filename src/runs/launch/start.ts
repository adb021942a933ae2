/**
 * Starts the job of a claimed run, and settles a start whose answer was lost.
 *
 * Invariant: a start is posted only within 5 s of a proof that the run is PENDING with our id, and posted again only when
 * a search by attempt over the whole doubt horizon found nothing, nor a last one right before. So an attempt has one live
 * command.
 */
import { Duration, Effect, Schema, identity } from "effect"
import { Commands, type StartCommand } from "../../cpln/commands.ts"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { type ApiError, isTransient } from "../../http/errors.ts"
import { CurrentLane } from "../../http/lane.ts"
import { type About, say } from "../../observe/say.ts"
import type { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { Claim } from "./claim.ts"
import { RunsConfig } from "../config.ts"
import { freshRun } from "../look/fresh.ts"
import { isOutrun, newestRound, readHistory } from "../look/history.ts"
import { type Moment, since } from "../moment.ts"
import { attemptTag } from "../decide/normalise.ts"
import { at, type Place } from "../../cpln/place.ts"
import { Starts } from "./starts.ts"
import { steadyMillis } from "../steady.ts"

/** A proof that the run is still ours holds for this long, in ms. */
export const proofHolds = 5_000
/** With less of it left the run is read again first, in ms. */
const leastLeft = 1_000

/** The run is no longer PENDING with our id: nothing may be started for it any more. */
export class NoLongerOurs extends Schema.TaggedError<NoLongerOurs>()("NoLongerOurs", {
  stateType: Schema.String
}) {
  override get message() {
    return `the run was changed while its job was being started (now ${this.stateType})`
  }
}

/**
 * Nothing was started before the launch deadline. `surely` is false when an answer was lost and no search could settle
 * it: then only the watch may conclude, from two more searches. `away` when a service is the reason, not the run.
 */
export class NotStarted extends Schema.TaggedError<NotStarted>()("NotStarted", {
  reason: Schema.String,
  surely: Schema.Boolean,
  away: Schema.Boolean
}) {
  override get message() {
    return `its job could not be started in time: ${this.reason}`
  }
}

export interface Launch {
  readonly runId: string
  readonly claim: Claim
  /** When the claim was proposed; `longAgo` when only a new read may prove it. */
  readonly provenAt: Moment
  readonly place: Place
  readonly what: StartCommand
  /** What lines about it name. */
  readonly about: About
  /** True once the agent is to stop: nothing is tried again then. */
  readonly drained: () => boolean
  /** Makes the workload again after a 404. */
  readonly ensureAgain: Effect.Effect<void, ApiError, ControlPlane>
}

/** The one command of this attempt, and when the run was last proven ours. */
export interface StartedCommand {
  readonly id: string
  readonly provenAt: Moment
}

interface Retry {
  readonly retry: string
  /** False when the job may have been made all the same. */
  readonly surely: boolean
  /** True when that was so until it was searched. */
  readonly doubted?: boolean
  readonly fault: Fault
}

/** Who is to blame: a service that asked to wait, one that gave no clear answer, or the run itself. */
type Fault = "refused for now" | "unanswered" | "run"

type Outcome = { readonly id: string } | Retry

export const start = Effect.fn("runs.start")(
  function* (
    launch: Launch
  ): Effect.fn.Return<
    StartedCommand,
    NoLongerOurs | NotStarted | ApiError,
    Prefect | ControlPlane | RunsConfig | Starts
  > {
    const { launchDeadline } = yield* RunsConfig
    const starts = yield* Starts
    const begun = yield* steadyMillis
    let provenAt = launch.provenAt
    let pause = 1_000
    let doubted = false
    let told = false
    for (;;) {
      // It may have landed since: the proof can have taken long to come.
      const found: Found = doubted ? yield* searchOnce(launch) : "nothing"
      if (typeof found === "object") return yield* taken(launch, found.id, provenAt)
      const proof = yield* prove(launch, provenAt)
      if (proof !== undefined) provenAt = proof
      const left = proofHolds - (yield* since(provenAt))
      // An answer that took too long proves what was, not what is.
      const outcome: Outcome =
        proof === undefined || left <= 0
          ? { retry: "Prefect does not answer in time", surely: true, fault: "refused for now" }
          : found === "unknown"
            ? { retry: "Control Plane does not answer", surely: true, fault: "unanswered" }
            : yield* post(launch, left).pipe(doubted ? refusedInDoubt : identity)
      if ("id" in outcome) return yield* taken(launch, outcome.id, provenAt)
      doubted ||= outcome.doubted === true
      const late = (yield* steadyMillis) - begun > launchDeadline
      if (late || !outcome.surely || launch.drained()) {
        return yield* new NotStarted({
          reason: outcome.retry,
          surely: outcome.surely && found !== "unknown",
          away:
            outcome.fault === "refused for now" ||
            (outcome.fault === "unanswered" && !starts.since(launch.place, begun))
        })
      }
      if (!told) yield* say("warning", "Job", launch.about, waiting(outcome, launchDeadline))
      told = true
      yield* Effect.sleep(Duration.millis(pause))
      pause = Math.min(pause * 2, 15_000)
    }
  },
  Effect.provideService(CurrentLane, "launch")
)

/** What is refused now may have been taken before, and come to a job yet: then the refusal ends nothing. */
const refusedInDoubt = <A, R>(
  posted: Effect.Effect<A, ApiError, R>
): Effect.Effect<A, NotStarted | ApiError, R> =>
  Effect.catchTag(posted, ["Refused", "Conflict"], ({ message }) =>
    Effect.fail(new NotStarted({ reason: message, surely: false, away: false }))
  )

const waiting = ({ retry }: Retry, launchDeadline: number) =>
  `Not started yet: ${retry}. Trying again, for ${launchDeadline / 1000} s at most.`

const taken = ({ place }: Launch, id: string, provenAt: Moment) =>
  Starts.use(({ note }) => note(place)).pipe(Effect.as<StartedCommand>({ id, provenAt }))

/** One post, its doubt settled. What waits for its turn longer than the proof holds is not sent. */
const post = Effect.fnUntraced(function* (
  launch: Launch,
  left: number
): Effect.fn.Return<Outcome, ApiError, ControlPlane | RunsConfig> {
  const { doubtHorizon, launchDeadline } = yield* RunsConfig
  return yield* Commands.use((commands) =>
    commands.start(launch.place.workload, launch.what, Duration.millis(left))
  ).pipe(
    Effect.map((id): Outcome => ({ id })),
    Effect.catchTag("StartInDoubt", (doubt) =>
      Effect.logWarning(doubt.message).pipe(
        Effect.andThen(searchByAttempt(launch, doubtHorizon, launchDeadline)),
        Effect.map((search): Outcome =>
          search._tag === "Found"
            ? { id: search.id }
            : { retry: doubt.detail, surely: search._tag === "Nothing", doubted: true, fault: "unanswered" }
        )
      )
    ),
    Effect.catchTag("NotFound", (gone) =>
      launch.ensureAgain.pipe(
        Effect.as<Outcome>({
          retry: `the workload went away (${gone.message})`,
          surely: true,
          fault: "run"
        })
      )
    ),
    Effect.catchIf(isTransient, (error) =>
      Effect.succeed<Outcome>({
        retry: error.message,
        surely: true,
        fault: error._tag === "RateLimited" ? "refused for now" : "unanswered"
      })
    ),
    Effect.catchTag("QuotaReached", ({ message }) =>
      Effect.succeed<Outcome>({ retry: message, surely: true, fault: "refused for now" })
    ),
    at(launch.place.access)
  )
})

/** A proof that holds long enough to post: the one at hand, or a new read. Undefined without an answer. */
const prove = Effect.fnUntraced(function* (
  launch: Launch,
  provenAt: Moment
): Effect.fn.Return<Moment | undefined, NoLongerOurs | ApiError, Prefect> {
  if (proofHolds - (yield* since(provenAt)) >= leastLeft) return provenAt
  const read = yield* Effect.result(
    Effect.gen(function* () {
      const { askedAt, value: run } = yield* freshRun(launch.runId)
      return { askedAt, run, held: yield* isHeld(run, launch.claim.transitionId) }
    })
  )
  if (read._tag === "Failure") return isTransient(read.failure) ? undefined : yield* read.failure
  const { askedAt, held, run } = read.success
  return held ? askedAt : yield* new NoLongerOurs({ stateType: run.state_type ?? "unknown" })
})

/** An older claim may have waited in the server and landed on ours, which counts all the same, unless more came since. */
const isHeld = Effect.fnUntraced(function* (run: FlowRun, transitionId: string) {
  if (run.state_type !== "PENDING") return false
  const inState = run.state?.state_details?.transition_id
  if (inState === transitionId) return true
  const history = yield* readHistory(run.id)
  const isNewest = newestRound(history).some((claim) => claim.transitionId === transitionId)
  return isNewest && history.isClaimed && isOutrun(history, inState)
})

/** "unknown": the search was not answered. */
type Found = { readonly id: string } | "nothing" | "unknown"

type Search = { readonly _tag: "Found"; readonly id: string } | { readonly _tag: "Nothing" | "Unknown" }

/**
 * Looks for the command of this attempt. "Nothing" needs a search that was answered after the doubt horizon; without
 * one before the launch deadline it stays "Unknown", and nothing is posted again.
 */
const searchByAttempt = Effect.fnUntraced(function* (
  launch: Launch,
  horizon: number,
  deadline: number
): Effect.fn.Return<Search, never, ControlPlane> {
  const start = yield* steadyMillis
  let pause = 500
  for (;;) {
    const waited = (yield* steadyMillis) - start
    const found = yield* searchOnce(launch)
    if (found === "nothing" && waited > horizon) return { _tag: "Nothing" }
    if (typeof found === "object") return { _tag: "Found", id: found.id }
    if (launch.drained() || (found === "unknown" && waited > deadline)) return { _tag: "Unknown" }
    yield* Effect.sleep(Duration.millis(pause))
    pause = Math.min(pause * 2, 8_000)
  }
})

const searchOnce = ({ claim, place }: Launch): Effect.Effect<Found, never, ControlPlane> =>
  Commands.use((commands) =>
    commands.find(place.workload, [{ op: "=", tag: attemptTag, value: claim.attempt }])
  ).pipe(
    Effect.map(({ value: [first] }): Found => (first === undefined ? "nothing" : { id: first.id })),
    // A workload that is gone has no command of ours.
    Effect.catchTag("NotFound", () => Effect.succeed<Found>("nothing")),
    Effect.catch(() => Effect.succeed<Found>("unknown")),
    at(place.access)
  )
