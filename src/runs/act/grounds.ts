/**
 * Whether there are grounds to stop a job for what its run says: asked once, right before the first stop of the job.
 *
 * Invariant: a job is stopped because of its run's state only when the server's history of the run holds the job's
 * attempt. Else the database is not the one that the job was started from: it went back in time, or is another server's.
 * Then the job is kept and followed, and that is said; whoever wants it gone stops it at Control Plane.
 */
import { Effect } from "effect"
import { Commands } from "../../cpln/commands.ts"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { at as inPlace } from "../../cpln/place.ts"
import type { ApiError } from "../../http/errors.ts"
import { parseInfrastructurePid } from "../../job/infrastructure-pid.ts"
import { type About, type Area, say } from "../../observe/say.ts"
import type { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { RunMemory } from "../look/board.ts"
import { Brake } from "./brake.ts"
import { RunsConfig } from "../config.ts"
import { commandsOfRun } from "../look/earlier.ts"
import { freshRun } from "../look/fresh.ts"
import { holdsAttempt, placesOf, readHistory } from "../look/history.ts"
import { since } from "../moment.ts"
import { agentTag, attemptTag, isFinal, type Located, tagOf } from "../decide/normalise.ts"
import { isOver, timeOf } from "../decide/phase.ts"
import type { Places } from "../places.ts"
import type { Preparation } from "../prepare/preparation.ts"
import { steadyMillis } from "../steady.ts"
import { once, tellRun } from "./tell.ts"

/** A run whose state went back and forth a moment ago is read from two servers, or from an old copy, in ms. */
const calmFor = 30_000
/** Reads beside that of the run may take this long together, in ms; then the run is read again. */
const readsTake = 1_000
/** An engine that dies of our stop of a double may report the whole run as CRASHED this long, in ms. */
const doubleReports = 120_000

export interface Asked {
  /** As it was judged. */
  readonly run: FlowRun
  /** False once we wrote the run's state ourselves: then it need not be the judged one any more. */
  readonly asJudged: boolean
  readonly found: Located
  readonly memory: RunMemory
  readonly area: Area
  readonly about: About
  /** What the job was judged as. "left over": a double, or one that is over but for its side containers. */
  readonly judgedAs: "pending" | "live" | "left over"
}

export const hasGrounds = Effect.fn("runs.hasGrounds")(function* (
  asked: Asked
): Effect.fn.Return<boolean, ApiError, Prefect | ControlPlane | Places | RunsConfig | Preparation | Brake> {
  const { about, area, found, memory, run } = asked
  const { monitorInterval } = yield* RunsConfig
  const { id } = found.command
  const now = yield* steadyMillis
  if (memory.flippedAt !== undefined && now - memory.flippedAt < calmFor) return false
  const before = memory.spared.get(id)
  if (before !== undefined && before.stateId === run.state_id && now - before.at < monitorInterval)
    return false
  // A list may be older than the job's start, and one that works has its linger, and its grace.
  if (asked.judgedAs === "pending" && !(yield* isPending(found))) return false
  const fresh = yield* freshRun(run.id)
  if (asked.asJudged && fresh.value.state_id !== run.state_id) return false
  const reason = yield* reasonToSpare(asked, fresh.value)
  // The reads for that may have hung, and the run may be at work by now.
  const isOld = (yield* since(fresh.askedAt)) > readsTake
  if (isOld && (yield* freshRun(run.id)).value.state_id !== fresh.value.state_id) return false
  if (reason === undefined) {
    memory.spared.delete(id)
    return true
  }
  memory.spared.set(id, { stateId: run.state_id, at: now })
  if (reason === "went back") {
    yield* once(memory, `went back ${id}`, sayWentBack(run.id, id, about))
  } else yield* say("debug", area, about, reason)
  return false
})

const isPending = ({ command, place }: Located) =>
  Commands.use((commands) => commands.get(place.workload, command.id)).pipe(
    Effect.map(({ value }) => value.lifecycleStage === "pending"),
    Effect.catchTag("NotFound", () => Effect.succeed(false)),
    inPlace(place.access)
  )

/** On our own output and on the run; and what absence asks for waits. */
export const sayWentBack = Effect.fnUntraced(function* (runId: string, command: string, about: About) {
  const words = `Prefect's database has gone back in time, or is another one: the history of this run does not hold the attempt that command ${command} was started for. The job is kept and followed, and not stopped for what the run says. Stop it at Control Plane if it is not wanted.`
  yield* (yield* Brake).wentBack
  yield* say("warning", "Job", about, words)
  yield* tellRun(runId, "warning", words)
})

const reasonToSpare = Effect.fnUntraced(function* (
  { found, judgedAs }: Asked,
  run: FlowRun
): Effect.fn.Return<
  string | undefined,
  ApiError,
  Prefect | ControlPlane | Places | RunsConfig | Preparation
> {
  const { command } = found
  const config = yield* RunsConfig
  const hasAttempt = tagOf(command, attemptTag) !== undefined
  if (!hasAttempt && !isOwnAgent(config, tagOf(command, agentTag))) {
    if (!isOver(run)) return "another agent's job is not stopped before its run is over"
    if (isOfOtherWorker(run)) return "its run is another worker's"
  }
  if (!isNamedByPid(run, command.id)) {
    // Without an attempt there is nothing that a history could hold: then its own time tells.
    const known = hasAttempt
      ? holdsAttempt(yield* readHistory(run.id), command)
      : (timeOf(run.state?.timestamp) ?? 0) >= (timeOf(command.created) ?? 0)
    if (!known) return "went back"
  }
  return judgedAs !== "left over" && run.state_type === "CRASHED" && (yield* diedOfItsDouble(run, found))
    ? "a double of it was stopped as the run was called CRASHED: its own report counts"
    : undefined
})

/** Whether commands with this agent tag are ours: by our own name, or by one that we take over. */
export const isOwnAgent = (
  { adopted, agentLink }: Pick<RunsConfig["Service"], "adopted" | "agentLink">,
  agent: string | undefined
): boolean => agent !== undefined && (agent === agentLink || adopted.has(agent))

/** A three-part PID is the older worker's, which has a workload for each run. */
const isOfOtherWorker = (run: FlowRun): boolean =>
  (run.infrastructure_pid ?? "") !== "" && parseInfrastructurePid(run.infrastructure_pid) === undefined

/**
 * It is written after the claim, so that a database that holds it held the claim; or by an agent that found the job alive
 * after the database had gone back: that is how a job is adopted.
 */
const isNamedByPid = (run: FlowRun, commandId: string): boolean =>
  parseInfrastructurePid(run.infrastructure_pid)?.commandId === commandId

/**
 * Whether another job of the run lived beside this one and ended about when the run became CRASHED: by the commands' own
 * times, so that every replica finds the same.
 */
const diedOfItsDouble = Effect.fnUntraced(function* (run: FlowRun, found: Located) {
  const crashedAt = timeOf(run.state?.timestamp) ?? 0
  const madeAt = timeOf(found.command.created) ?? 0
  const { places } = yield* placesOf(run, yield* readHistory(run.id))
  const known = new Map([found.place, ...places].map((place) => [place.workload.path, place]))
  const all = yield* Effect.forEach(known.values(), (place) => commandsOfRun(run.id, place))
  return all.flat().some(({ command }) => {
    if (command.id === found.command.id) return false
    const changedAt = timeOf(command.lastModified) ?? 0
    return !isFinal(command) || (changedAt > madeAt && Math.abs(crashedAt - changedAt) <= doubleReports)
  })
})
