/**
 * One look at one run and what follows from it: look, normalise, decide, act. Level-triggered: it needs no event and no
 * memory to be right, and a look that is skipped is made up by the next.
 *
 * Invariant: at most one reconcile per run is under way in this process, and none while the run is being launched here.
 */
import { Clock, Effect, Option } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import type { Command } from "../cpln/schemas.ts"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import { handBackMessage, parseClaimMessage } from "../job/claim-message.ts"
import { flowRunTags, infrastructurePid } from "../job/infrastructure-pid.ts"
import { Relay } from "../logs/relay.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { duration, executionOf, handBack, makeClaimable, proposeEnd, stop } from "./act.ts"
import { Board, type RunMemory } from "./board.ts"
import { RunsConfig } from "./config.ts"
import { decide, type Decision, type Observation, type RunView } from "./decide.ts"
import { type Crash, crashLog, crashMessage, sentence, whereOf } from "./crash.ts"
import { categoryOf } from "./diagnose.ts"
import { claimsOf } from "./earlier.ts"
import { renewLease } from "./lease.ts"
import { type Bulk, look, type Look } from "./look.ts"
import { agentTag, attemptTag, hasSideContainers, isFinal, observe, tagOf } from "./normalise.ts"
import { isOver, viewOf } from "./phase.ts"
import type { Place } from "../cpln/place.ts"
import type { Places } from "./places.ts"
import { type Preparation, prepare } from "./prepare.ts"
import { type About, type Area, say } from "../observe/say.ts"
import { tellRun } from "./tell.ts"

export type ReconcileEnvironment = Prefect | ControlPlane | Places | RunsConfig | Board | Preparation | Relay

/** What one reconcile came to; `job` is the live command of the run, for those who follow its output. */
export interface Outcome {
  readonly decision: Decision
  readonly job: { readonly place: Place; readonly command: Command; readonly memory: RunMemory } | undefined
}

/** The flow name that every command carries: it serves log lines after a restart. */
const flowTag = "prefect.io/flow-name"

/** The second handed-back claim that was lost is the last: the third is a crash. */
const lostHandBacksAllowed = 2

export const reconcile = Effect.fn("runs.reconcile")(function* (
  seen: Seen<FlowRun>,
  bulk: Bulk | undefined
): Effect.fn.Return<Outcome | undefined, ApiError, ReconcileEnvironment> {
  const board = yield* Board
  const run = seen.value
  if (!board.enter(run.id)) return undefined
  return yield* reconcileEntered(seen, bulk, board.of(run.id)).pipe(
    Effect.tap(({ decision }) =>
      Effect.sync(() => (decision._tag === "Forget" ? board.forget(run.id) : undefined))
    ),
    Effect.ensuring(Effect.sync(() => board.leave(run.id)))
  )
})

const reconcileEntered = Effect.fnUntraced(function* (
  seen: Seen<FlowRun>,
  bulk: Bulk | undefined,
  memory: RunMemory
) {
  const run = seen.value
  const looked = yield* look(run, seen.at, memory, bulk, { flow: memory.flowName, runId: run.id })
  const about = aboutOf(run, memory, looked)
  const area = areaOf(run)
  if (looked._tag !== "Unreachable" && looked.place !== undefined) {
    for (const stray of looked.strays) {
      yield* stop(
        looked.place,
        stray,
        memory,
        "Kill",
        { ...about, command: stray.id },
        "it is a double, or of an earlier attempt"
      )
    }
  }
  const claimed = parseClaimMessage(run.state?.message ?? "") !== undefined
  const ours = claimed || (looked._tag === "Found" && tagOf(looked.current, attemptTag) !== undefined)
  if (claimed) yield* renewLease(seen, memory)
  const view = viewOf(run, seen.at, ours || (yield* isOfOurAgent(looked)))
  const observation = yield* observationOf(run, looked, memory)
  const policy = yield* policyOf(run, view, memory)
  const decision = decide(view, observation, policy)
  yield* perform(decision, run, looked, observation, memory, area, about)
  if (looked._tag === "Found") {
    yield* repairPid(run, looked, about)
    yield* noteStopped(looked.current, memory, area, about)
  }
  const job = looked._tag === "Found" ? { place: looked.place, command: looked.current, memory } : undefined
  return { decision, job } satisfies Outcome
})

const isOfOurAgent = Effect.fnUntraced(function* (looked: Look) {
  const { agentLink } = yield* RunsConfig
  return looked._tag === "Found" && tagOf(looked.current, agentTag) === agentLink
})

const areaOf = (run: FlowRun): Area =>
  run.state_type === "CANCELLING" ? "Kill" : isOver(run) ? "Sync Prefect→CPLN" : "Sync CPLN→Prefect"

const aboutOf = (run: FlowRun, memory: RunMemory, looked: Look): About => {
  if (looked._tag === "Found") memory.flowName ??= tagOf(looked.current, flowTag)
  const workload = looked._tag === "Unreachable" ? memory.place?.workload : looked.place?.workload
  return {
    flow: memory.flowName,
    runId: run.id,
    gvc: workload?.gvc,
    workload: workload?.name,
    command: looked._tag === "Found" ? looked.current.id : undefined
  }
}

/** A job execution is read only where it tells something: side containers may be left, or the job has just failed. */
const observationOf = Effect.fnUntraced(function* (run: FlowRun, looked: Look, memory: RunMemory) {
  if (looked._tag !== "Found") return looked satisfies Observation
  const { current, place } = looked
  const now = yield* Clock.currentTimeMillis
  const final = isFinal(current)
  const known = memory.final?.command.id === current.id ? memory.final.execution : undefined
  const wanted = final
    ? known === undefined && current.lifecycleStage === "failed"
    : current.lifecycleStage === "running" && hasSideContainers(current)
  const read = wanted
    ? yield* executionOf(place, current.id).pipe(
        Effect.map((each) => each?.execution),
        Effect.catch(() => Effect.succeed(undefined))
      )
    : known
  if (final) memory.final = { command: current, execution: read }
  if (current.lifecycleStage === "failed" && now - memory.failed.lastAt >= 5_000) {
    memory.failed = { looks: memory.failed.looks + 1, lastAt: now }
  }
  const started = (run.start_time ?? undefined) !== undefined
  const observed = observe(current, looked.at, read, started, {
    stopAsked: memory.stops.has(current.id),
    failedLooks: memory.failed.looks,
    mainEndedAge: memory.mainEndedSince === undefined ? 0 : now - memory.mainEndedSince
  })
  if (observed._tag === "MainEnded") memory.mainEndedSince ??= now
  return observed
})

/** After a restart the run's deadline is found by preparing it once more; without an answer there is none. */
const policyOf = Effect.fnUntraced(function* (run: FlowRun, view: RunView, memory: RunMemory) {
  const config = yield* RunsConfig
  if (memory.deadline === undefined && view.phase === "running") {
    const prepared = yield* Effect.option(prepare(run))
    memory.deadline = Option.getOrUndefined(prepared)?.deadline ?? null
    memory.streamOutput ??= Option.getOrUndefined(prepared)?.streamOutput
  }
  return { ...config, deadline: memory.deadline ?? undefined }
})

const perform = Effect.fnUntraced(function* (
  decision: Decision,
  run: FlowRun,
  looked: Look,
  observation: Observation,
  memory: RunMemory,
  area: Area,
  about: About
): Effect.fn.Return<void, ApiError, ReconcileEnvironment> {
  switch (decision._tag) {
    case "Wait":
      return yield* say("debug", area, about, decision.why)
    case "Forget":
      return
    case "Say":
      return yield* once(memory, decision.why, say("warning", area, about, decision.why))
    case "Stop":
      if (looked._tag === "Found")
        yield* stop(looked.place, looked.current, memory, area, about, decision.why)
      return
    case "Propose":
      yield* proposeAndTell(decision, run, looked, observation, area, about)
      if (decision.thenStop && looked._tag === "Found") {
        yield* stop(looked.place, looked.current, memory, area, about, decision.why)
      }
      return
    case "HandBack":
      return yield* handBackOrCrash(decision.why, run, area, about)
    case "MakeClaimable":
      if ((yield* makeClaimable(run)) === "written") yield* say("info", area, about, decision.why)
      if (decision.thenStop && looked._tag === "Found") {
        yield* stop(looked.place, looked.current, memory, area, about, decision.why)
      }
  }
})

const once = (memory: RunMemory, what: string, effect: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (memory.said.has(what)) return Effect.void
    memory.said.add(what)
    return effect
  })

const proposeAndTell = Effect.fnUntraced(function* (
  decision: Extract<Decision, { readonly _tag: "Propose" }>,
  run: FlowRun,
  looked: Look,
  observation: Observation,
  area: Area,
  about: About
) {
  const { state, why } = decision
  const { command, workload } = about
  const crash = {
    why,
    workload,
    command,
    category: why.startsWith("deadline")
      ? "deadline"
      : categoryOf("exit" in observation ? observation.exit : undefined, observation._tag === "Absent"),
    lines:
      state === "CRASHED" && looked._tag === "Found"
        ? yield* (yield* Relay).lastLines(looked.place, looked.current.id)
        : []
  } satisfies Crash
  const subject = looked._tag === "Found" ? looked.current.id : "absent"
  const message = state === "CRASHED" ? crashMessage(crash) : `${sentence(why)}${whereOf(about)}`
  const written = yield* proposeEnd(run, state, subject, message)
  if (written === "moved on") return yield* say("debug", area, about, "the run has moved on; looking again")
  yield* say(state === "CRASHED" ? "error" : "info", area, about, `Run set to ${state}: ${why}`)
  // Only the agent whose CRASHED was accepted posts the last lines.
  if (state === "CRASHED") yield* tellRun(run.id, "error", crashLog(crash))
})

/** A claim whose job never came: back to the pool, or, when that keeps happening, the end. */
const handBackOrCrash = Effect.fnUntraced(function* (why: string, run: FlowRun, area: Area, about: About) {
  const prefect = yield* Prefect
  const config = yield* RunsConfig
  const claimed = parseClaimMessage(run.state?.message ?? "")
  if (claimed === undefined) return
  const history = claimsOf(yield* prefect.history(run.id))
  if (history.lost >= lostHandBacksAllowed) {
    const written = yield* proposeEnd(
      run,
      "CRASHED",
      claimed.transitionId,
      `Its job was lost before it started, ${history.lost + 1} times`
    )
    if (written === "written")
      yield* say("error", area, about, "Run set to CRASHED: its job was lost again and again")
    return
  }
  const message = handBackMessage({ ...claimed, agent: config.agentLink, reason: "lost" })
  const written = yield* handBack(run, claimed.transitionId, message)
  if (written === "written") yield* say("warning", area, about, `Handed back to the pool: ${why}`)
})

/** The PID must name the current attempt's command, or people and other agents look in the wrong place. */
const repairPid = Effect.fnUntraced(function* (
  run: FlowRun,
  looked: Extract<Look, { readonly _tag: "Found" }>,
  about: About
) {
  const { org, gvc, name } = looked.place.workload
  const pid = { org, gvc, workload: name, commandId: looked.current.id }
  const text = infrastructurePid(pid)
  if (run.infrastructure_pid === text || isOver(run) || run.state_type === "SCHEDULED") return
  if (tagOf(looked.current, attemptTag) === undefined) return
  yield* Prefect.use((prefect) =>
    prefect.changeRun(run.id, {
      infrastructurePid: text,
      tags: [
        ...new Set([
          ...run.tags.filter((tag) => !/^cpln:(org|gvc|workload|command):/u.test(tag)),
          ...flowRunTags(pid)
        ])
      ]
    })
  )
  yield* say("info", "Job", about, "PID written: it did not name the current job.")
})

/** Closes what `Sending stopReplica` opened. */
const noteStopped = Effect.fnUntraced(function* (
  command: Command,
  memory: RunMemory,
  area: Area,
  about: About
) {
  const asked = memory.stops.get(command.id)
  if (asked === undefined || !isFinal(command) || memory.said.has(command.id)) return
  memory.said.add(command.id)
  const took = (yield* Clock.currentTimeMillis) - asked.firstAt
  yield* say(
    "info",
    area,
    about,
    `Job terminated successfully ${duration(took)} after stopReplica (${command.lifecycleStage}).`
  )
})
