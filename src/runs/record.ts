/**
 * Writes down on a run where its job is: infrastructure PID and tags in one PATCH, and the worker's labels on 3.x.
 *
 * Invariant: a claimant that was slow never overwrites what a newer attempt wrote: without a fresh proof the run is read
 * first, and the job of a claim that was taken away is stopped instead.
 */
import { Clock, Effect } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import type { ApiError } from "../http/errors.ts"
import { CurrentLane } from "../http/lane.ts"
import { flowRunTags, infrastructurePid, type InfrastructurePid } from "../job/infrastructure-pid.ts"
import { type About, say } from "../observe/say.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import type { Claim } from "./claim.ts"
import { RunsConfig } from "./config.ts"
import type { Located } from "./normalise.ts"
import { proofHolds } from "./start.ts"

export const pidOf = ({
  command,
  place: { workload }
}: Pick<Located, "place"> & { readonly command: { readonly id: string } }): InfrastructurePid => ({
  org: workload.org,
  gvc: workload.gvc,
  workload: workload.name,
  commandId: command.id
})

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
  provenAt: number,
  about: About
): Effect.fn.Return<boolean, never, Prefect | RunsConfig | ControlPlane> {
  const proven = yield* fresh(run, held, provenAt)
  if (proven === "taken") return false
  yield* writePid(proven, pidOf(job)).pipe(
    Effect.catch((error: ApiError) =>
      say("warning", "Job", about, `PID not written yet (${error.message}); the watch will write it.`)
    )
  )
  return true
})

/** The run as it is to be written to. Without an answer the claim still stands: the watch repairs what is missing. */
const fresh = Effect.fnUntraced(function* (run: FlowRun, held: Claim, provenAt: number) {
  const now = yield* Clock.currentTimeMillis
  if (now >= provenAt && now - provenAt <= proofHolds) return run
  const read = yield* Effect.option(Prefect.use((prefect) => prefect.readRun(run.id)))
  if (read._tag === "None") return run
  const { value } = read.value
  const other =
    value.state_type === "PENDING" && value.state?.state_details?.transition_id !== held.transitionId
  // RUNNING and end states carry the engine's own ids, and prove nothing against us.
  return other || value.state_type === "SCHEDULED" ? ("taken" as const) : value
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
