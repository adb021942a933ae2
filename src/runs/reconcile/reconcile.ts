/**
 * One look at one run and what follows from it: look, normalise, decide, act. Level-triggered: it needs no event and no
 * memory to be right, and a look that is skipped is made up by the next.
 *
 * Invariant: at most one reconcile per run is under way in this process, and none while the run is being launched here.
 */
import { Effect } from "effect"
import { type ApiError, isTransient } from "../../http/errors.ts"
import type { Seen } from "../../http/seen.ts"
import { infrastructurePid, parseInfrastructurePid } from "../../job/infrastructure-pid.ts"
import { type About, type Area, say } from "../../observe/say.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { act, type ActEnvironment } from "../act/act.ts"
import { Board, type RunMemory } from "../look/board.ts"
import { Brake } from "../act/brake.ts"
import { restoreYounger } from "../act/overwritten.ts"
import { sentence } from "../decide/crash.ts"
import type { Decision } from "../decide/decide.ts"
import { freshRun } from "../look/fresh.ts"
import { hasGrounds } from "../act/grounds.ts"
import { holdsAttempt, readHistory } from "../look/history.ts"
import { judge } from "./judge.ts"
import { type Bulk, look, type Look } from "../look/look.ts"
import { attemptTag, type Located, tagOf, pidOf } from "../decide/normalise.ts"
import { isCancelling, isKnownState, isOver, phaseOf, timeOf } from "../decide/phase.ts"
import { quietAfter } from "./quiet.ts"
import { writePid } from "../launch/record.ts"
import { stop } from "../act/stop.ts"
import { tellStopped } from "../act/stopped.ts"
import { once, tellRun } from "../act/tell.ts"
import { steadyMillis } from "../steady.ts"

export type ReconcileEnvironment = ActEnvironment

/** What one reconcile came to; `job` is the current command of the run, for those who follow its output. */
export interface Outcome {
  readonly decision: Decision
  readonly job: { readonly found: Located; readonly memory: RunMemory } | undefined
}

/** The flow name that every command carries: it serves log lines after a restart. */
const flowTag = "prefect.io/flow-name"

/** The server's clock comes in whole seconds, in ms. */
const wholeSecond = 1_000
/** States of a run that are remembered. */
const mostStates = 8
/** An earlier state that stays for so long is no old copy, in ms. */
const backForGood = 60_000
/** The PID of a job is its launcher's to write for so long, in ms. */
const launcherWrites = 5_000
/** An answer has the time at which it was sent: what it tells may be so much older, in ms. */
const answersTake = 3_000

/** `bulk` are the run's live commands as the bulk queries saw them, none where they were not asked; or why they could not. */
export const reconcile = Effect.fnUntraced(function* (
  seen: Seen<FlowRun>,
  bulk: Bulk | ApiError
): Effect.fn.Return<Outcome | undefined, ApiError, ReconcileEnvironment> {
  const board = yield* Board
  const run = seen.value
  if (!isKnownState(run) || !board.enter(run.id)) return undefined
  return yield* reconcileEntered(seen, bulk, board.of(run.id)).pipe(
    Effect.tap(({ decision, unfinished }) =>
      Effect.sync(() => (decision._tag === "Forget" && unfinished === 0 ? board.forget(run.id) : undefined))
    ),
    Effect.ensuring(Effect.sync(() => board.leave(run.id)))
  )
})

const reconcileEntered = Effect.fnUntraced(function* (
  seen: Seen<FlowRun>,
  bulk: Bulk | ApiError,
  memory: RunMemory
) {
  const run = seen.value
  const brake = yield* Brake
  // It is there: what got 404 before was no deletion.
  if (memory.deletedSince !== undefined) yield* brake.seenAgain(run.id)
  memory.deletedSince = undefined
  memory.quiet = undefined
  if (isNewAndOlder(run, memory)) memory.suspect = run.state_id ?? undefined
  yield* noteState(seen, memory)
  const isSuspect = memory.suspect !== undefined && memory.suspect === run.state_id
  if (isSuspect && (yield* isPutRight(run, memory))) return putRight
  const { attempt } = memory
  const { looks } = attempt.notFound
  const looked = yield* look(seen, memory, bulk, { flow: memory.flowName, runId: run.id })
  const known = memory.attempt.history
  const isOutdated =
    known?.stateId === run.state_id && known?.of.stateId !== run.state_id && known?.of.isToEnd
  if (
    isOutdated === true &&
    !isOver(run) &&
    memory.cleared !== run.state_id &&
    (yield* isPutRight(run, memory))
  )
    return putRight
  if (looked._tag === "Found" && looks > 0 && memory.attempt === attempt) {
    yield* brake.seenAgain()
  }
  const about = aboutOf(run, memory, looked)
  const area = areaOf(run)
  yield* saySomethingOfPid(run, memory, about)
  if (looked._tag === "Unreachable" && looked.kind === "NoCredential") {
    const words = `Its job cannot be looked for: ${looked.why}. The run is left as it is.`
    yield* once(memory, words, say("warning", area, about, words))
  }
  const strays = looked._tag === "Unreachable" ? [] : looked.strays
  for (const stray of strays) {
    const where = { ...about, workload: stray.place.workload.name, command: stray.command.id }
    const its = { found: stray, memory, area: "Kill", about: where } as const
    const confirm = hasGrounds({ ...its, run, asJudged: true, judgedAs: "left over" })
    yield* stop({ ...its, why: "it is a double, or of an earlier attempt", confirm })
  }
  const judgement = yield* judge(seen, looked, memory)
  const { decision, observation } = judgement
  yield* act(decision, { run, looked, observation, memory, area, about })
  if (looked._tag === "Found" && decision._tag === "Wait" && run.state_type === "RUNNING") {
    // It came too late and was to be stopped, but had no replica to name; now the run is in it, and may finish there.
    const { id } = looked.current.command
    if (memory.stops.get(id)?.sentAt === undefined) memory.stops.delete(id)
  }
  if (looked._tag === "Found") yield* repairPid(run, looked.current, about)
  memory.quiet = quietAfter(run, looked, judgement, memory, yield* steadyMillis)
  const job = looked._tag === "Found" ? { found: looked.current, memory } : undefined
  const open =
    looked._tag === "Unreachable"
      ? 0
      : yield* tellStopped(memory, job === undefined ? strays : [job.found, ...strays])
  return { decision, job, unfinished: strays.length + open } satisfies Outcome & {
    readonly unfinished: number
  }
})

/** What was seen of a run that is as it should be again; the next look decides. */
const putRight = {
  decision: { _tag: "Wait", why: "its state came too late" },
  job: undefined,
  unfinished: 0
} as const

/**
 * The history is asked once for each such state; where it does not answer, the next look asks again. What is refused for
 * good keeps no run from being judged.
 */
const isPutRight = Effect.fnUntraced(function* (run: FlowRun, memory: RunMemory) {
  const restored = yield* restoreYounger(run).pipe(
    Effect.catchIf(
      (error) => !isTransient(error),
      () => Effect.succeed(false)
    )
  )
  memory.suspect = undefined
  memory.cleared = run.state_id ?? undefined
  return restored
})

/**
 * A state that is new, and yet bears an earlier time than one that was seen, or than an answer that showed another one: it
 * may have waited in the server.
 */
const isNewAndOlder = (run: FlowRun, memory: RunMemory): boolean => {
  const time = timeOf(run.state?.timestamp) ?? 0
  // What is to end is left as it is.
  const isOlder =
    !isOver(run) &&
    !isCancelling(run) &&
    time < Math.max(memory.youngest, memory.newestAt - wholeSecond) &&
    !memory.states.includes(run.state_id ?? "")
  memory.youngest = Math.max(memory.youngest, time)
  return isOlder
}

/** A state that was followed by another does not come back, unless the answers are of two databases, or of an old copy. */
const noteState = Effect.fnUntraced(function* (
  { at, value: { state_id } }: Seen<FlowRun>,
  memory: RunMemory
) {
  const { states } = memory
  if (state_id == null) return
  const now = yield* steadyMillis
  const known = states.indexOf(state_id)
  if (known === -1) {
    states.push(state_id)
    if (states.length > mostStates) states.shift()
  }
  if (known === -1 || known === states.length - 1) {
    memory.backSince = undefined
    memory.newestAt = Math.max(memory.newestAt, at)
    return
  }
  // The answer is merely older than the one that was looked at before: two loops ask for themselves.
  if (at <= memory.newestAt + answersTake) return
  const brake = yield* Brake
  if (memory.backSince === undefined) {
    memory.flippedAt = now
    yield* brake.seenAgain()
  }
  memory.backSince ??= now
  if (now - memory.backSince < backForGood) return
  yield* brake.wentBack
  // From now on it is the newest: a database goes back once, and the brake is not held for as long as the run stays so.
  states.push(...states.splice(known, 1))
  memory.backSince = undefined
  memory.newestAt = at
})

const areaOf = (run: FlowRun): Area =>
  isCancelling(run) ? "Kill" : isOver(run) ? "Sync Prefect→CPLN" : "Sync CPLN→Prefect"

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

/** The PID must name the current attempt's command, or people and other agents look in the wrong place. */
const repairPid = Effect.fnUntraced(function* (run: FlowRun, current: Located, about: About) {
  const pid = pidOf(current)
  if (run.infrastructure_pid === infrastructurePid(pid) || isOver(run) || run.state_type === "SCHEDULED")
    return
  if (tagOf(current.command, attemptTag) === undefined) return
  // Whoever has just started it is about to write it.
  if (current.at - (timeOf(current.command.created) ?? 0) < launcherWrites) return
  // The PID is also how a job is adopted: not by a run that wants no job.
  const wantsNone = ["cancelling", "suspended"].includes(phaseOf(run, true))
  if (wantsNone && !holdsAttempt(yield* readHistory(run.id), current.command)) return
  // The list that it came from may be old: a newer claim's PID, or somebody's tags, may be there by now.
  const fresh = (yield* freshRun(run.id)).value
  if (fresh.state_id !== run.state_id || fresh.infrastructure_pid !== run.infrastructure_pid) return
  yield* writePid(fresh, pid)
  yield* say("info", "Job", about, "PID written: it did not name the current job.")
})
