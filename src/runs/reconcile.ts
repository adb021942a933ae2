/**
 * One look at one run and what follows from it: look, normalise, decide, act. Level-triggered: it needs no event and no
 * memory to be right, and a look that is skipped is made up by the next.
 *
 * Invariant: at most one reconcile per run is under way in this process, and none while the run is being launched here.
 */
import { Clock, Effect } from "effect"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import { parseClaimMessage } from "../job/claim-message.ts"
import { infrastructurePid, parseInfrastructurePid } from "../job/infrastructure-pid.ts"
import { duration } from "../observe/duration.ts"
import { type About, type Area, say } from "../observe/say.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { act, type ActEnvironment, once } from "./act.ts"
import { Board, type RunMemory } from "./board.ts"
import { RunsConfig } from "./config.ts"
import { sentence } from "./crash.ts"
import { decide, type Decision, type Observation, type RunView } from "./decide.ts"
import { executionOf } from "./executions.ts"
import { renewLease } from "./lease.ts"
import { type Bulk, look, type Look } from "./look.ts"
import {
  agentTag,
  attemptTag,
  hasSideContainers,
  isFinal,
  type Located,
  observe,
  tagOf
} from "./normalise.ts"
import { isKnownState, isOver, viewOf } from "./phase.ts"
import { prepare } from "./prepare.ts"
import { isUnchanged } from "./propose.ts"
import { pidOf, writePid } from "./record.ts"
import { stop } from "./stop.ts"
import { tellRun } from "./tell.ts"

export type ReconcileEnvironment = ActEnvironment

/** What one reconcile came to; `job` is the current command of the run, for those who follow its output. */
export interface Outcome {
  readonly decision: Decision
  readonly job: { readonly found: Located; readonly memory: RunMemory } | undefined
}

/** The flow name that every command carries: it serves log lines after a restart. */
const flowTag = "prefect.io/flow-name"

/** `bulk` are the run's live commands as the bulk queries saw them; none where they were not asked. */
export const reconcile = Effect.fn("runs.reconcile")(function* (
  seen: Seen<FlowRun>,
  bulk: Bulk
): Effect.fn.Return<Outcome | undefined, ApiError, ReconcileEnvironment> {
  const board = yield* Board
  const run = seen.value
  if (!isKnownState(run) || !board.enter(run.id)) return undefined
  return yield* reconcileEntered(seen, bulk, board.of(run.id)).pipe(
    Effect.tap(({ decision, strays }) =>
      Effect.sync(() => (decision._tag === "Forget" && strays === 0 ? board.forget(run.id) : undefined))
    ),
    Effect.ensuring(Effect.sync(() => board.leave(run.id)))
  )
})

const reconcileEntered = Effect.fnUntraced(function* (seen: Seen<FlowRun>, bulk: Bulk, memory: RunMemory) {
  const run = seen.value
  // It is there: what got 404 before was no deletion.
  memory.deletedSince = undefined
  const looked = yield* look(seen, memory, bulk, { flow: memory.flowName, runId: run.id })
  yield* noteState(run, memory)
  const about = aboutOf(run, memory, looked)
  const area = areaOf(run)
  yield* saySomethingOfPid(run, memory, about)
  const strays = looked._tag === "Unreachable" ? [] : looked.strays
  for (const stray of strays) {
    yield* stop({
      found: stray,
      memory,
      area: "Kill",
      about: { ...about, workload: stray.place.workload.name, command: stray.command.id },
      why: "it is a double, or of an earlier attempt",
      confirm: isUnchanged(run)
    })
  }
  const claimed = parseClaimMessage(run.state?.message ?? "") !== undefined
  if (claimed) yield* renewLease(seen, memory.attempt)
  const view = viewOf(run, seen.at, claimed || (yield* isOfOurKind(looked)))
  const observation = yield* observationOf(run, looked, memory)
  const decision = decide(view, observation, yield* policyOf(run, view, memory))
  yield* act(decision, { run, looked, observation, memory, area, about })
  if (looked._tag === "Found") {
    yield* repairPid(run, looked.current, about)
    yield* noteStopped(looked.current, memory, area, about)
  }
  const job = looked._tag === "Found" ? { found: looked.current, memory } : undefined
  return { decision, job, strays: strays.length } satisfies Outcome & { readonly strays: number }
})

/** Of the attempt as the look knows it. */
const noteState = Effect.fnUntraced(function* (run: FlowRun, { attempt }: RunMemory) {
  if (attempt.state?.id === run.state_id) return
  attempt.state = { id: run.state_id, since: yield* Clock.currentTimeMillis }
})

/** A command with our attempt tag, or of the agent that bears our name. */
const isOfOurKind = Effect.fnUntraced(function* (looked: Look) {
  const { agentLink } = yield* RunsConfig
  if (looked._tag !== "Found") return false
  const { command } = looked.current
  return tagOf(command, attemptTag) !== undefined || tagOf(command, agentTag) === agentLink
})

const areaOf = (run: FlowRun): Area =>
  run.state_type === "CANCELLING" ? "Kill" : isOver(run) ? "Sync Prefect→CPLN" : "Sync CPLN→Prefect"

const aboutOf = (run: FlowRun, memory: RunMemory, looked: Look): About => {
  const current = looked._tag === "Found" ? looked.current : undefined
  if (current !== undefined) memory.flowName ??= tagOf(current.command, flowTag)
  const workload = (current?.place ?? memory.place)?.workload
  return {
    flow: memory.flowName,
    runId: run.id,
    gvc: workload?.gvc,
    workload: workload?.name,
    command: current?.command.id
  }
}

/** Once on the run, so that whoever wrote it, or wonders, can read it. */
const saySomethingOfPid = Effect.fnUntraced(function* (run: FlowRun, memory: RunMemory, about: About) {
  const pid = run.infrastructure_pid ?? ""
  if (pid === "" || parseInfrastructurePid(pid) !== undefined || isOver(run)) return
  const words = `its infrastructure PID ${JSON.stringify(pid.slice(0, 200))} is not of the form org:gvc:workload:command; the run is followed by its job's tags`
  yield* once(
    memory,
    words,
    say("warning", "Sync CPLN→Prefect", about, words).pipe(
      Effect.andThen(tellRun(run.id, "warning", sentence(words)))
    )
  )
})

/** A job execution is read only where it tells something: side containers may be left, or the job has just failed. */
const observationOf = Effect.fnUntraced(function* (run: FlowRun, looked: Look, memory: RunMemory) {
  if (looked._tag !== "Found") return looked satisfies Observation
  const { current } = looked
  const { command, place } = current
  const mem = memory.attempt
  const now = yield* Clock.currentTimeMillis
  const final = isFinal(command)
  const before = mem.final?.found.command.id === command.id ? mem.final : undefined
  const wanted = final
    ? before?.execution === undefined && command.lifecycleStage === "failed"
    : command.lifecycleStage === "running" && hasSideContainers(command)
  const execution = wanted
    ? yield* executionOf(place, command.id).pipe(
        Effect.map((each) => each?.execution),
        Effect.catch(() => Effect.succeed(undefined))
      )
    : before?.execution
  // An answer that is remembered ages with the local clock; only what passed since is taken from it.
  const at =
    before !== undefined && before.found === current ? current.at + (now - before.readAt) : current.at
  if (final) {
    mem.final = {
      found: before?.found === current ? before.found : current,
      execution,
      readAt: before?.found === current ? before.readAt : now
    }
  }
  if (command.lifecycleStage === "failed" && now - mem.failed.lastAt >= 5_000) {
    mem.failed = { looks: mem.failed.looks + 1, lastAt: now }
  }
  const started = (run.start_time ?? undefined) !== undefined
  const observed = observe(command, at, execution, started, {
    stopAsked: memory.stops.get(command.id)?.sentAt !== undefined,
    stopWanted: memory.stops.has(command.id),
    failedLooks: mem.failed.looks,
    mainEndedAge: mem.mainEndedSince === undefined ? 0 : now - mem.mainEndedSince
  })
  if (observed._tag === "MainEnded") mem.mainEndedSince ??= now
  return observed
})

/** After a restart the run's deadline is found by preparing it once more. */
const policyOf = Effect.fnUntraced(function* (run: FlowRun, view: RunView, memory: RunMemory) {
  const config = yield* RunsConfig
  if (memory.deadline === undefined && view.phase === "running") {
    const prepared = yield* Effect.result(prepare(run))
    if (prepared._tag === "Success") {
      memory.deadline = prepared.success.deadline ?? null
      memory.streamOutput ??= prepared.success.streamOutput
    } else if (prepared.failure._tag === "RunRefused" || prepared.failure._tag === "OtherInfrastructure") {
      // It could not be launched here any more; that is no reason against the job that runs.
      memory.deadline = null
    }
  }
  return { ...config, deadline: memory.deadline ?? undefined }
})

/** The PID must name the current attempt's command, or people and other agents look in the wrong place. */
const repairPid = Effect.fnUntraced(function* (run: FlowRun, current: Located, about: About) {
  const pid = pidOf(current)
  if (run.infrastructure_pid === infrastructurePid(pid) || isOver(run) || run.state_type === "SCHEDULED")
    return
  if (tagOf(current.command, attemptTag) === undefined) return
  yield* writePid(run, pid)
  yield* say("info", "Job", about, "PID written: it did not name the current job.")
})

/** Closes what `Sending stopReplica` opened. */
const noteStopped = Effect.fnUntraced(function* (
  { command }: Located,
  memory: RunMemory,
  area: Area,
  about: About
) {
  const asked = memory.stops.get(command.id)
  if (asked?.sentAt === undefined || !isFinal(command) || memory.said.has(command.id)) return
  memory.said.add(command.id)
  const took = (yield* Clock.currentTimeMillis) - asked.firstAt
  yield* say(
    "info",
    area,
    about,
    `Job terminated successfully ${duration(took)} after stopReplica (${command.lifecycleStage}).`
  )
})
