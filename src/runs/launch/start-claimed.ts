/**
 * From an accepted claim to a job that is written down on its run, or to the end of the claim: a hand-back, an end state,
 * or nothing where only the watch may conclude.
 *
 * Invariant: every way out leaves the run to somebody: a job, the pool, an end that says why, or the watch.
 */
import { Effect } from "effect"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import type { Place } from "../../cpln/place.ts"
import type { ApiError } from "../../http/errors.ts"
import { type About, say } from "../../observe/say.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { Board } from "../look/board.ts"
import type { Claim } from "./claim.ts"
import { RunsConfig } from "../config.ts"
import { liveCommands } from "../look/earlier.ts"
import { readHistory, rivalsOf } from "../look/history.ts"
import { agentTag, attemptTag, poolTag } from "../decide/normalise.ts"
import type { Moment } from "../moment.ts"
import { isCancelling } from "../decide/phase.ts"
import { Places } from "../places.ts"
import type { Preparation, Prepared } from "../prepare/prepare.ts"
import { proposeEnd } from "../act/propose.ts"
import { label, writeDown } from "./record.ts"
import { endRefused, giveBack } from "./refuse.ts"
import { type NoLongerOurs, type NotStarted, start } from "./start.ts"
import type { Starts } from "./starts.ts"
import { stop } from "../act/stop.ts"
import { tellRun } from "../act/tell.ts"
import { EnsuredWorkloads } from "../workloads/workload.ts"

export type StartEnvironment =
  | Prefect
  | ControlPlane
  | RunsConfig
  | Board
  | Places
  | Preparation
  | EnsuredWorkloads
  | Starts

/** A job that was started, or taken over. */
export interface Started {
  readonly place: Place
  readonly commandId: string
  readonly flowName: string | undefined
  readonly streamOutput: boolean | undefined
}

export const startClaimed = Effect.fnUntraced(function* (
  run: FlowRun,
  held: Claim,
  prepared: Prepared,
  tried: { readonly tryNumber: number; readonly lost: number },
  provenAt: Moment,
  drained: () => boolean,
  about: About
): Effect.fn.Return<Started | undefined, NotStarted | ApiError, StartEnvironment> {
  const config = yield* RunsConfig
  const ensured = yield* EnsuredWorkloads
  const { place } = prepared.wanted
  remember(yield* Board, yield* Places, run, prepared)
  yield* say("info", "Job", about, "Creating Control Plane job...")
  const lost = (reason: "lost" | "drain", why: string) =>
    giveBack(run, held, prepared.where, tried, reason, why, about).pipe(Effect.as(undefined))
  const command = yield* start({
    runId: run.id,
    claim: held,
    provenAt,
    place,
    drained,
    about,
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
    // In doubt, only the watch may conclude: a job may yet show up.
    Effect.catchTag("NotStarted", (error) =>
      error.surely
        ? notStarted(run, held, error, drained, lost, about)
        : say("warning", "Job", about, error.message).pipe(Effect.as(undefined))
    ),
    Effect.catchTag("NoLongerOurs", (error) => noLongerOurs(run, held, error)),
    Effect.catchTag(["Refused", "Conflict"], (error) =>
      endRefused(run, held, about, error.message).pipe(Effect.as(undefined))
    ),
    // A credential that ran out is nobody's end: the run waits in the pool, and what is wrong is said there.
    Effect.catchTag(["Forbidden", "Unauthorised"], (error) =>
      lost("drain", error.message).pipe(Effect.andThen(Effect.fail(error)))
    )
  )
  if (command === undefined) return undefined
  const withCommand = { ...about, command: command.id }
  yield* say("info", "Job", withCommand, `Job started (try ${tried.tryNumber}) in ${prepared.what.location}.`)
  const job = { place, command: { id: command.id } }
  if (!(yield* writeDown(run, held, job, command.provenAt, withCommand))) {
    yield* stopOwn(run, held, place, command.id, prepared.what.location, withCommand)
    return undefined
  }
  yield* tellWarnings(run, prepared, about).pipe(Effect.andThen(label(run.id)), Effect.forkDetach)
  return {
    place,
    commandId: command.id,
    flowName: prepared.flowName,
    streamOutput: prepared.streamOutput
  } satisfies Started
})

/** Said after the start, so that words never delay a job. */
const tellWarnings = Effect.fnUntraced(function* (run: FlowRun, prepared: Prepared, about: About) {
  for (const warning of prepared.warnings) {
    yield* say("warning", "Job", about, warning)
    yield* tellRun(run.id, "warning", warning)
  }
})

/** A newer attempt has the run: our own job must not live. */
const stopOwn = Effect.fnUntraced(function* (
  run: FlowRun,
  held: Claim,
  place: Place,
  commandId: string,
  location: string,
  about: About
) {
  const memory = (yield* Board).of(run.id)
  const command = {
    id: commandId,
    type: "runCronWorkload",
    created: "",
    lifecycleStage: "pending",
    spec: { location }
  }
  yield* stop({
    found: { place, command, at: 0 },
    memory,
    area: "Kill",
    about,
    why: "a newer attempt has the run",
    // A database that has gone back in time knows nothing of the claim: then the watch looks after the job.
    confirm: Effect.map(readHistory(run.id), ({ claims }) =>
      claims.some((claim) => claim.transitionId === held.transitionId)
    )
  })
})

/** Given back it counts as lost, unless a service is the reason: then the run waits in the pool for as long as that takes. */
const notStarted = Effect.fnUntraced(function* (
  run: FlowRun,
  held: Claim,
  error: NotStarted,
  drained: () => boolean,
  lost: (reason: "lost" | "drain", why: string) => Effect.Effect<undefined, ApiError, StartEnvironment>,
  about: About
): Effect.fn.Return<undefined, NotStarted | ApiError, StartEnvironment> {
  const now = (yield* Prefect.use((prefect) => prefect.readRun(run.id))).value
  // Cancelled meanwhile, and no job was ever made: there is nothing to wait for.
  if (isCancelling(now)) return yield* cancelUnstarted(now, held)
  if (error.away && !drained()) {
    yield* lost("drain", error.reason)
    return yield* error
  }
  yield* say("warning", "Job", about, error.message)
  return yield* lost(drained() ? "drain" : "lost", error.reason)
})

/** Where another claim was accepted at the same time, its job may live or be on its way: then the watch concludes. */
const cancelUnstarted = Effect.fnUntraced(function* (run: FlowRun, held: Claim) {
  const history = yield* readHistory(run.id)
  if (rivalsOf(history, held.transitionId).length > 0) return undefined
  if ((yield* liveCommands(run, history)).length > 0) return undefined
  yield* proposeEnd(run, "CANCELLED", held.transitionId, "Cancelled before its job was started")
  return undefined
})

/** Somebody cancelled, deleted or moved the run while we were starting; nothing was posted since the last proof. */
const noLongerOurs = Effect.fnUntraced(function* (run: FlowRun, held: Claim, error: NoLongerOurs) {
  yield* say("info", "Job", { runId: run.id }, error.message)
  const now = (yield* Prefect.use((prefect) => prefect.readRun(run.id))).value
  return isCancelling(now) ? yield* cancelUnstarted(now, held) : undefined
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

/** What lines about this run name. */
export const aboutOf = (run: FlowRun, prepared: Prepared): About => ({
  flow: prepared.flowName,
  runId: run.id,
  gvc: prepared.wanted.place.workload.gvc,
  workload: prepared.wanted.place.workload.name
})
