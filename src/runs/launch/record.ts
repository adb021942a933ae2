/**
 * Writes down on a run where its job is: infrastructure PID and tags in one PATCH, and the worker's labels on 3.x.
 *
 * Invariant: a claimant that was slow never overwrites what a newer attempt wrote: without a fresh proof the run is read
 * first, and the job of a claim that was taken away is stopped instead.
 */
import { Effect } from "effect"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import type { ApiError } from "../../http/errors.ts"
import { CurrentLane } from "../../http/lane.ts"
import { flowRunTags, infrastructurePid, type InfrastructurePid } from "../../job/infrastructure-pid.ts"
import { type About, say } from "../../observe/say.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { Claim } from "./claim.ts"
import { RunsConfig } from "../config.ts"
import { freshRun } from "../look/fresh.ts"
import { isOutrun, newestRound, readHistory } from "../look/history.ts"
import { type Moment, since } from "../moment.ts"
import { pidOf } from "../decide/normalise.ts"
import { retriesInProcess } from "../decide/phase.ts"
import { proofHolds } from "./start.ts"

/** Tags of an earlier attempt go; what people wrote stays. */
const tagsWith = (tags: ReadonlyArray<string>, pid: InfrastructurePid): ReadonlyArray<string> => [
  ...new Set([...tags.filter((tag) => !/^cpln:(org|gvc|workload|command):/u.test(tag)), ...flowRunTags(pid)])
]

/** Makes PID and tags name this job. */
export const writePid = Effect.fn("runs.writePid")(function* (run: FlowRun, pid: InfrastructurePid) {
  yield* Prefect.use((prefect) =>
    prefect.changeRun(run.id, {
      infrastructurePid: infrastructurePid(pid),
      tags: tagsWith(run.tags, pid)
    })
  )
})

/** False when the claim was taken away meanwhile: then nothing was written, and the job must not live. */
export const writeDown = Effect.fn("runs.writeDown")(function* (
  run: FlowRun,
  held: Claim,
  job: Parameters<typeof pidOf>[0],
  provenAt: Moment,
  about: About
): Effect.fn.Return<boolean, never, Prefect | RunsConfig | ControlPlane> {
  const tellLater = (why: string) =>
    say("warning", "Job", about, `PID not written yet (${why}); the watch will write it.`)
  const written = Effect.gen(function* () {
    const proven = (yield* since(provenAt)) <= proofHolds
    const standing = proven ? run : yield* standingNow(run.id, held, job.command.id)
    if (standing === "taken") return false
    if (standing === "shared") yield* tellLater("another claim was accepted at the same time")
    else yield* writePid(standing, pidOf(job))
    return true
  })
  return yield* written.pipe(
    Effect.catch((error: ApiError) => tellLater(error.message).pipe(Effect.as(true)))
  )
})

/** The run as it is to be written to, when it is still this claim's. "shared": which job counts, only all of them tell. */
const standingNow = Effect.fnUntraced(function* (
  runId: string,
  { transitionId }: Claim,
  commandId: string
): Effect.fn.Return<FlowRun | "taken" | "shared", ApiError, Prefect> {
  const run = (yield* freshRun(runId)).value
  const inState = run.state?.state_details?.transition_id
  if (inState === transitionId) return run
  if (run.state_type === "SCHEDULED" && !retriesInProcess(run)) return "taken"
  // RUNNING and end states carry the engine's own ids: whose claim was the last, only the history tells.
  const history = yield* readHistory(runId)
  const newest = newestRound(history)
  const landedOnNewest = history.isClaimed && isOutrun(history, inState)
  const isOfNewest = landedOnNewest || newest.some((claim) => claim.transitionId === inState)
  if (run.state_type === "PENDING" && !isOfNewest) return "taken"
  if (!newest.some((claim) => claim.transitionId === transitionId || claim.adopts === commandId))
    return "taken"
  return newest.length === 1 && newest[0]?.transitionId === transitionId ? run : "shared"
})

/** Worker labels of 3.x; nobody waits for them. */
export const label = Effect.fn("runs.label")(
  function* (runId: string) {
    const prefect = yield* Prefect
    const config = yield* RunsConfig
    yield* prefect
      .labelRun(runId, {
        "prefect.worker.name": config.workerName,
        "prefect.worker.type": "cpln",
        "prefect.work-pool.name": config.pool,
        "prefect.work-pool.id": config.poolId
      })
      .pipe(Effect.catch((error) => Effect.logDebug(`labels of run ${runId} not written: ${error.message}`)))
  },
  Effect.provideService(CurrentLane, "sweep")
)
