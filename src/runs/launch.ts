/**
 * One due run from the pool's offer to its infrastructure PID: prepare, ensure the workload, claim, start, write down.
 *
 * Invariant: what cannot run is refused before anything is started, by the holder of an accepted claim only; what may
 * pass claims nothing. After an accepted claim this fiber goes on to a started job, a hand-back or an end state, and a
 * drain only asks it to be quick.
 */
import { Clock, Effect, Schema } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import type { ApiError } from "../http/errors.ts"
import { CurrentLane } from "../http/lane.ts"
import { handBackMessage } from "../job/claim-message.ts"
import { flowRunTags, infrastructurePid } from "../job/infrastructure-pid.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { handBack, proposeEnd } from "./act.ts"
import { Board } from "./board.ts"
import { claim, type Claim, type ClaimDeferred, type ClaimLost } from "./claim.ts"
import { RunsConfig } from "./config.ts"
import { agentTag, attemptTag, poolTag } from "./normalise.ts"
import { isCancelling } from "./phase.ts"
import { Places } from "./places.ts"
import { type Preparation, prepare, type Prepared } from "./prepare.ts"
import { earlierAttempts } from "./earlier.ts"
import { say } from "../observe/say.ts"
import { tellRun } from "./tell.ts"
import { type NoLongerOurs, NotStarted, start } from "./start.ts"
import { EnsuredWorkloads } from "./workload.ts"

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
  | EnsuredWorkloads
  | Preparation

/** A job that was started, or taken over. */
export interface Started {
  readonly prepared: Prepared
  readonly commandId: string
}

/** Everything that may be done early for a run that is due soon: it fills the caches and makes the workload ready. */
export const warm = Effect.fn("runs.warm")(function* (run: FlowRun) {
  const prepared = yield* prepare(run)
  yield* (yield* EnsuredWorkloads).ensure(prepared.wanted)
})

/**
 * Launches one due run. `drained` becomes true when the agent is to stop: nothing is claimed or started after that.
 * Returns the job, if one was started.
 */
export const launch = Effect.fn("runs.launch")(function* (
  run: FlowRun,
  drained: () => boolean
): Effect.fn.Return<
  Started | undefined,
  ClaimLost | ClaimDeferred | EarlierJobLives | ApiError,
  LaunchEnvironment
> {
  if (drained()) return undefined
  const prepared = yield* prepare(run).pipe(
    Effect.tap((ready) => EnsuredWorkloads.use((ensured) => ensured.ensure(ready.wanted))),
    Effect.catchTag(["RunRefused", "WorkloadUnusable"], (error) =>
      refuse(run, error.message).pipe(Effect.as(undefined))
    )
  )
  if (prepared === undefined || drained()) return undefined
  const earlier = yield* earlierAttempts(run)
  if (earlier.live !== undefined) return yield* new EarlierJobLives({ command: earlier.live.id })
  const config = yield* RunsConfig
  const tryNumber = earlier.claims + 1
  const provenAt = yield* Clock.currentTimeMillis
  // From here on the claim is ours to settle: only a bound on the whole drain may cut this short.
  return yield* Effect.uninterruptible(
    Effect.gen(function* () {
      const adopts = earlier.adoptable?.id
      const held = yield* claim(run.id, {
        agent: config.agentLink,
        where: prepared.where,
        tryNumber,
        ...(adopts === undefined ? {} : { adopts })
      })
      if (adopts !== undefined) {
        yield* adopt(run, held, prepared, adopts)
        return { prepared, commandId: adopts }
      }
      if (drained()) {
        yield* giveBack(run, held, prepared, tryNumber, "drain")
        return undefined
      }
      return yield* startClaimed(run, held, prepared, tryNumber, provenAt, drained)
    })
  )
})

const startClaimed = Effect.fnUntraced(function* (
  run: FlowRun,
  held: Claim,
  prepared: Prepared,
  tryNumber: number,
  provenAt: number,
  drained: () => boolean
) {
  const config = yield* RunsConfig
  const { place } = prepared.wanted
  remember(yield* Board, yield* Places, run, prepared)
  const about = aboutOf(run, prepared)
  for (const warning of prepared.warnings) {
    yield* say("warning", "Job", about, warning)
    yield* tellRun(run.id, "warning", warning)
  }
  yield* say("info", "Job", about, "Creating Control Plane job...")
  const ensured = yield* EnsuredWorkloads
  const command = yield* start({
    runId: run.id,
    claim: held,
    provenAt,
    place,
    drained,
    what: {
      ...prepared.what,
      tags: {
        ...prepared.what.tags,
        [agentTag]: config.agentLink,
        [poolTag]: config.poolId,
        [attemptTag]: held.attempt
      }
    },
    ensureAgain: ensured.invalidate(prepared.wanted).pipe(
      Effect.andThen(ensured.ensure(prepared.wanted)),
      Effect.catchTag("WorkloadUnusable", (error) => Effect.logWarning(error.message))
    )
  }).pipe(
    Effect.map((id) => ({ id })),
    Effect.catchTag("NotStarted", (error) => notStarted(run, held, prepared, tryNumber, error, drained)),
    Effect.catchTag("NoLongerOurs", (error) => noLongerOurs(run, held, error)),
    Effect.catchTag(["Refused", "Conflict", "Forbidden", "Unauthorised"], (error) =>
      endRefused(run, held, prepared, error.message).pipe(Effect.as(undefined))
    )
  )
  if (command === undefined) return undefined
  yield* say(
    "info",
    "Job",
    { ...about, command: command.id },
    `Job started (try ${tryNumber}) in ${prepared.what.location}.`
  )
  yield* writeDown(run, held, prepared, command.id)
  return { prepared, commandId: command.id } satisfies Started
})

/** A job of a handed-back attempt that lives after all: the claim takes it over, and nothing is started. */
const adopt = Effect.fnUntraced(function* (run: FlowRun, held: Claim, prepared: Prepared, command: string) {
  remember(yield* Board, yield* Places, run, prepared)
  yield* say(
    "info",
    "Job",
    { ...aboutOf(run, prepared), command },
    "Its job of an earlier attempt lives: taken over."
  )
  yield* writeDown(run, held, prepared, command)
})

/** PID and tags in one PATCH; a failure is repaired by the watch, which finds the command by its tags. */
const writeDown = Effect.fnUntraced(function* (
  run: FlowRun,
  held: Claim,
  prepared: Prepared,
  commandId: string
) {
  const prefect = yield* Prefect
  const config = yield* RunsConfig
  const { workload } = prepared.wanted.place
  const pid = { org: workload.org, gvc: workload.gvc, workload: workload.name, commandId }
  yield* prefect
    .changeRun(run.id, {
      infrastructurePid: infrastructurePid(pid),
      tags: [...new Set([...run.tags, ...flowRunTags(pid)])]
    })
    .pipe(
      Effect.catch((error) =>
        say(
          "warning",
          "Job",
          aboutOf(run, prepared),
          `PID not written yet (${error.message}); the watch will write it.`
        )
      )
    )
  yield* prefect
    .labelRun(run.id, {
      "prefect.worker.name": config.workerName,
      "prefect.worker.type": "cpln",
      "prefect.work-pool.name": config.pool,
      "prefect.work-pool.id": config.poolId
    })
    .pipe(
      Effect.provideService(CurrentLane, "sweep"),
      Effect.catch((error) => Effect.logDebug(`labels of run ${run.id} not written: ${error.message}`))
    )
  yield* Effect.logDebug(`run ${run.id} is attempt ${held.attempt}`)
})

/** Only the holder of an accepted claim writes a refusal, so that two agents never end each other's runs. */
const refuse = Effect.fnUntraced(function* (run: FlowRun, problems: string) {
  const config = yield* RunsConfig
  const held = yield* claim(run.id, { agent: config.agentLink, where: "-", tryNumber: 1 })
  yield* endRefused(run, held, undefined, problems)
}, Effect.uninterruptible)

const endRefused = Effect.fnUntraced(function* (
  run: FlowRun,
  held: Claim,
  prepared: Prepared | undefined,
  problems: string
) {
  const about = aboutOf(run, prepared)
  yield* say("error", "Job", about, `This run cannot be started: ${problems}`)
  yield* tellRun(run.id, "error", `This run cannot be started on Control Plane.\n${problems}`)
  yield* proposeEnd(
    { ...run, state_id: held.state.id },
    "CRASHED",
    held.attempt,
    `This run cannot be started on Control Plane. ${problems}`
  )
})

const notStarted = Effect.fnUntraced(function* (
  run: FlowRun,
  held: Claim,
  prepared: Prepared,
  tryNumber: number,
  error: NotStarted,
  drained: () => boolean
) {
  yield* say("warning", "Job", aboutOf(run, prepared), error.message)
  // In doubt, only the watch may conclude: a job may yet show up.
  if (error.surely) yield* giveBack(run, held, prepared, tryNumber, drained() ? "drain" : "lost")
  return undefined
})

/** Somebody cancelled, deleted or moved the run while we were starting; nothing lives of what we posted. */
const noLongerOurs = Effect.fnUntraced(function* (run: FlowRun, held: Claim, error: NoLongerOurs) {
  yield* say("info", "Job", { runId: run.id }, error.message)
  const now = (yield* Prefect.use((prefect) => prefect.readRun(run.id))).value
  if (isCancelling(now))
    yield* proposeEnd(now, "CANCELLED", held.attempt, "Cancelled before its job was started")
  return undefined
})

const giveBack = Effect.fnUntraced(function* (
  run: FlowRun,
  held: Claim,
  prepared: Prepared,
  tryNumber: number,
  reason: "lost" | "drain"
) {
  const config = yield* RunsConfig
  const message = handBackMessage({
    agent: config.agentLink,
    transitionId: held.transitionId,
    where: prepared.where,
    tryNumber,
    reason
  })
  const written = yield* handBack({ ...run, state_id: held.state.id }, held.attempt, message)
  if (written === "written") {
    yield* say("info", "Job", aboutOf(run, prepared), `Handed back to the pool (${reason}).`)
  }
})

const remember = (
  board: Board["Service"],
  places: Places["Service"],
  run: FlowRun,
  prepared: Prepared
): void => {
  places.remember(prepared.wanted.place)
  const memory = board.of(run.id)
  memory.place = prepared.wanted.place
  memory.flowName = prepared.flowName
  memory.deadline = prepared.deadline ?? null
  memory.streamOutput = prepared.streamOutput
}

const aboutOf = (run: FlowRun, prepared: Prepared | undefined) => ({
  flow: prepared?.flowName,
  runId: run.id,
  gvc: prepared?.wanted.place.workload.gvc,
  workload: prepared?.wanted.place.workload.name
})
