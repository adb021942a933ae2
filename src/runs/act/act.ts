/**
 * Performs one decision about one run: the stop, the state that is proposed, the hand-back, and the words that go with it.
 *
 * Invariant: nothing is decided here. Every write follows a fresh read that shows the run as it was judged, and what may
 * still have to be known before a write (the run's history, other jobs of it) only ever holds the write back.
 */
import { Effect } from "effect"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import type { ApiError } from "../../http/errors.ts"
import { handBackMessage, parseClaimMessage } from "../../job/claim-message.ts"
import { Relay } from "../../logs/relay.ts"
import { type About, type Area, say } from "../../observe/say.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { Board, RunMemory } from "../look/board.ts"
import { Brake } from "./brake.ts"
import { RunsConfig } from "../config.ts"
import { type Crash, crashLog, crashMessage, sentence, whereOf } from "../decide/crash.ts"
import type { Decision, Observation } from "../decide/decide.ts"
import { advice, kindOf, silence, troubleOf } from "../decide/diagnose.ts"
import { absenceIn } from "../decide/disruption.ts"
import { liveCommands } from "../look/earlier.ts"
import { executionOf, type RecentExecutions } from "../workloads/executions.ts"
import { hasGrounds } from "./grounds.ts"
import { heldBack } from "../flight/flight.ts"
import { historyOf, readHistory } from "../look/history.ts"
import type { Look } from "../look/look.ts"
import { restoreEnd } from "./overwritten.ts"
import type { Places } from "../places.ts"
import type { CurrentPool } from "../pool.ts"
import type { Preparation } from "../prepare/prepare.ts"
import { handBack, makeClaimable, proposeEnd, type Written, lostHandBacksAllowed } from "./propose.ts"
import { OnlineWorkers } from "./rendezvous.ts"
import { stop } from "./stop.ts"
import type { Terms } from "../prepare/terms.ts"
import { once, tellRun } from "./tell.ts"
import { steadyMillis } from "../steady.ts"

export type ActEnvironment =
  | Prefect
  | ControlPlane
  | Places
  | RunsConfig
  | Board
  | CurrentPool
  | Preparation
  | RecentExecutions
  | Terms
  | Relay
  | OnlineWorkers
  | Brake

/** Each further worker in the order waits this much longer for the ones before it, in ms. */
const turnAfter = 30_000

/** All that one reconcile is about. */
export interface Case {
  readonly run: FlowRun
  readonly looked: Look
  readonly observation: Observation
  readonly memory: RunMemory
  readonly area: Area
  readonly about: About
}

/** Fails only when a service does not answer: then the next look decides anew. */
export const act = Effect.fnUntraced(function* (
  decision: Decision,
  its: Case
): Effect.fn.Return<void, ApiError, ActEnvironment> {
  const { about, area, memory, run } = its
  if (!(yield* passesBrake(decision, its))) {
    yield* heldBack(run.id, "the brake on ends by absence weighs it first")
    return yield* say(
      "debug",
      area,
      about,
      `${"why" in decision ? decision.why : ""}; held until it is weighed`
    )
  }
  switch (decision._tag) {
    case "Wait":
      return yield* say("debug", area, about, decision.why)
    case "Forget":
      return
    case "Say":
      return yield* once(memory, decision.why, say("warning", area, about, decision.why))
    case "Stop":
      yield* noteStartTrouble(its)
      return yield* stopCurrent(its, decision.why, true)
    case "Propose": {
      // It says that nothing of the run is left, so doubles and older attempts count as well.
      if (decision.state === "CANCELLED" && (yield* hasOtherJobs(its))) {
        const why = "another job of this run lives and is being stopped"
        yield* heldBack(run.id, why)
        return yield* say("debug", area, about, why)
      }
      const written = yield* proposeAndTell(decision, its)
      if (decision.thenStop && written === "written") {
        yield* stopCurrent(its, decision.why, false)
      }
      return
    }
    case "HandBack":
      return yield* handBackOrCrash(decision.why, its)
    case "MakeClaimable": {
      if ((yield* makeClaimable(run)) === "moved on") return
      yield* say("info", area, about, decision.why)
      if (decision.thenStop) yield* stopCurrent(its, decision.why, false)
    }
  }
})

/** True for all that does not rest on absence, and for what of it the last weighing allows. */
const passesBrake = Effect.fnUntraced(function* (decision: Decision, { memory, observation, run }: Case) {
  // No answer is no other answer: what was wanted before stays as it is.
  if (observation._tag === "Unreachable") return true
  const brake = yield* Brake
  const { looks } = memory.attempt.notFound
  // Its start is no sign of one: 3.x sets that for a run that ended before it ever started.
  const jobWasThere = run.run_count > 0 || (run.infrastructure_pid ?? undefined) !== undefined
  const absence = absenceIn(decision, observation, { jobWasThere, notFound: looks })
  if (absence === undefined) {
    brake.withdraw(run.id)
    return true
  }
  yield* brake.want(run.id, absence)
  if (absence === "suspect") return true
  if (!brake.allows(run.id)) return false
  yield* brake.carryOut(run.id)
  return true
})

const stopCurrent = (
  { about, area, looked, memory, observation, run }: Case,
  why: string,
  asJudged: boolean
): Effect.Effect<void, ApiError, ActEnvironment> => {
  if (looked._tag !== "Found") return Effect.void
  const found = looked.current
  const judgedAs =
    observation._tag === "Pending" ? "pending" : observation._tag === "Live" ? "live" : "left over"
  const confirm = hasGrounds({ run, asJudged, found, memory, area, about, judgedAs }).pipe(
    Effect.tap((holds) =>
      holds ? Effect.void : heldBack(run.id, "what the stop rests on does not hold now")
    )
  )
  return stop({ found, memory, area, about, why, confirm })
}

const hasOtherJobs = Effect.fnUntraced(function* ({ looked, run }: Case) {
  const current = looked._tag === "Found" ? looked.current.command.id : undefined
  const live = yield* liveCommands(run, yield* readHistory(run.id))
  return live.some(({ command }) => command.id !== current)
})

/** Why a job does not start is known only while it waits: it is read before the stop. */
const noteStartTrouble = Effect.fnUntraced(function* ({ looked, memory, observation }: Case) {
  if (observation._tag !== "Pending" || looked._tag !== "Found") return
  const known = memory.attempt.startTrouble
  if (known !== undefined && known !== silence) return
  const { command, place } = looked.current
  const found = yield* executionOf(place, command.id).pipe(Effect.catch(() => Effect.succeed(undefined)))
  memory.attempt.startTrouble = troubleOf(found?.execution) ?? memory.attempt.startTrouble ?? silence
})

const proposeAndTell = Effect.fnUntraced(function* (
  decision: Extract<Decision, { readonly _tag: "Propose" }>,
  { about, area, looked, memory, observation, run }: Case
): Effect.fn.Return<Written, ApiError, ActEnvironment> {
  const { state } = decision
  const claimed = run.state_type === "PENDING" ? run.state?.state_details?.transition_id : undefined
  if (claimed) {
    // The engine may have reported before a late claim landed on its report.
    const states = yield* Prefect.use((prefect) => prefect.history(run.id))
    if (yield* restoreEnd(run, claimed, states)) return "moved on"
  }
  const trouble = run.state_type === "PENDING" ? memory.attempt.startTrouble : undefined
  const why = trouble === undefined ? decision.why : `the job did not start in time: ${trouble}`
  const crash = {
    why,
    workload: about.workload,
    command: about.command,
    category: kindOf(why, observation, trouble),
    lines:
      state === "CRASHED" && looked._tag === "Found"
        ? yield* (yield* Relay).lastLines(looked.current.place, looked.current.command.id)
        : []
  } satisfies Crash
  const subject = looked._tag === "Found" ? looked.current.command.id : "absent"
  const message = state === "CRASHED" ? crashMessage(crash) : `${sentence(why)}${whereOf(about)}`
  const written = yield* proposeEnd(run, state, subject, message)
  if (written === "moved on") {
    yield* say("debug", area, about, "the run has moved on; looking again")
    return written
  }
  yield* say(state === "CRASHED" ? "error" : "info", area, about, `Run set to ${state}: ${why}`)
  // Only the agent whose CRASHED was accepted posts the last lines.
  if (state === "CRASHED") yield* tellRun(run.id, "error", crashLog(crash))
  return written
})

/**
 * A claim whose job never came: back to the pool, or, when that keeps happening, the end. That it is
 * proven absent took two searches 30 s apart, of this very state; then it waits for one's turn among the workers.
 */
const handBackOrCrash = Effect.fnUntraced(function* (why: string, { about, area, memory, run }: Case) {
  const config = yield* RunsConfig
  const claimed = parseClaimMessage(run.state?.message ?? "")
  if (claimed === undefined) return
  const now = yield* steadyMillis
  const mem = memory.attempt
  mem.handBackSince ??= now
  const turn = turnAfter * (yield* (yield* OnlineWorkers).rank(run.id))
  if (now - mem.handBackSince < turn) {
    yield* heldBack(run.id, "another agent's turn comes first")
    return yield* say("debug", area, about, `${why}; not handed back yet`)
  }
  // Its claimant may have died before it saw that it had come too late.
  const states = yield* Prefect.use((prefect) => prefect.history(run.id))
  if (yield* restoreEnd(run, claimed.transitionId, states)) return
  const { lost } = historyOf(states)
  if (lost >= lostHandBacksAllowed) {
    const words = `Its job was lost before it started, ${lost + 1} times${whereOf(about)}. ${advice("lost")}`
    const written = yield* proposeEnd(run, "CRASHED", claimed.transitionId, words)
    if (written === "written") {
      yield* say("error", area, about, `Run set to CRASHED: ${words}`)
      yield* tellRun(run.id, "error", words)
    }
    return
  }
  const message = handBackMessage({ ...claimed, agent: config.agentLink, reason: "lost" })
  const written = yield* handBack(run, claimed.transitionId, message)
  if (written === "written") yield* say("warning", area, about, `Handed back to the pool: ${why}`)
})
