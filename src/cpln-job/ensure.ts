/**
 * Sees to it that the workload of a job exists, is one of ours, and is ready; and removes it when it is not needed.
 *
 * Invariant: a workload is used, and removed, only with the tags that this program writes on workloads of jobs that are no
 * flow runs; none is overwritten, and none is removed in which another job lives.
 */
import { Clock, Duration, Effect, Schema } from "effect"
import { Commands } from "../cpln/commands.ts"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { at } from "../cpln/place.ts"
import type { Workload } from "../cpln/schemas.ts"
import { Workloads } from "../cpln/workloads.ts"
import type { ApiError } from "../http/errors.ts"
import type { ConvertedJob } from "../job/convert.ts"
import { differences } from "../job/spec-drift.ts"
import { ensureIdentity, type WantedIdentity } from "../runs/workloads/identity.ts"
import { isFinal, poolTag } from "../runs/decide/normalise.ts"
import type { DefinedJob } from "./define.ts"

/** The workload cannot be used for this job. */
export class WorkloadUnfit extends Schema.TaggedError<WorkloadUnfit>()("WorkloadUnfit", {
  workload: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Workload ${this.workload} cannot run this job: ${this.reason}`
  }
}

const lookEvery = Duration.seconds(1)
/** How long readiness may take, in ms; that of `pod_watch_timeout_seconds` unless told. */
const readyWithin = 60_000

/** Whether identities and policies may be made, or are only looked for. */
export type Identities = "manage" | "given"

/** Creates it when it is missing, identity and policy before it, and waits until it is ready. */
export const ensure = Effect.fn("cplnJob.ensure")(function* (
  job: DefinedJob,
  identities: Identities,
  tell: (text: string) => Effect.Effect<void>
): Effect.fn.Return<void, WorkloadUnfit | ApiError, ControlPlane> {
  const { workload } = job.place
  const { tags } = job.converted
  const unusable = (reason: string) => new WorkloadUnfit({ workload: workload.path, reason })
  const { linked, notes } = yield* ensureIdentity(wantedIdentity(job), identities).pipe(
    Effect.catchTag("IdentityUnusable", ({ message }) => Effect.fail(unusable(message)))
  )
  yield* Effect.forEach(notes, tell, { discard: true })
  const spec = linked ? job.converted.spec : withoutIdentity(job.converted.spec)
  const workloads = yield* Workloads.pipe(at(job.place.access))
  const found = yield* workloads.read(workload).pipe(
    Effect.catchTag("NotFound", () =>
      workloads.create(workload, { tags, spec }).pipe(
        // Somebody else made it in between: then it must be like ours.
        Effect.catchTag("Conflict", () => Effect.void),
        Effect.andThen(workloads.read(workload))
      )
    )
  )
  const reason = unfit(found, job)
  if (reason !== undefined) return yield* unusable(reason)
  const changes = differences(spec, found.spec, "spec")
  if (changes.length > 0) {
    yield* tell(
      `Workload ${workload.path} is not as it was sent (${changes.join(", ")}); it is used as it is. Delete it, and it is made anew.`
    )
  }
  yield* untilReady(job)
})

export const wantedIdentity = ({ converted, place }: DefinedJob): WantedIdentity => ({
  access: place.access,
  gvc: place.workload.gvc,
  identity: converted.identity,
  policy: converted.policy,
  serviceAccount: converted.identity === undefined ? String(converted.spec["identityLink"]) : undefined,
  secrets: converted.secrets
})

/** One that is not there must not be linked: the platform would refuse the workload. */
const withoutIdentity = ({ identityLink: _notThere, ...spec }: ConvertedJob["spec"]) => spec

/** Why a workload of the job's name is not the job's; undefined when it is. */
export const unfit = (found: Workload, { converted }: Pick<DefinedJob, "converted">): string | undefined => {
  const differs = ["cpln/createdByPrefect", "cpln/specHash"].find(
    (tag) => String(found.tags?.[tag]) !== converted.tags[tag]
  )
  if (differs !== undefined) {
    return `a workload of this name exists without the tag ${differs}=${converted.tags[differs]}, so it was not made for this job. Rename or delete it.`
  }
  return found.tags?.[poolTag] === undefined ? undefined : `it belongs to a work pool (tag ${poolTag}).`
}

const untilReady = Effect.fnUntraced(function* ({ converted, place }: DefinedJob) {
  const workloads = yield* Workloads.pipe(at(place.access))
  const start = yield* Clock.currentTimeMillis
  for (;;) {
    const deployments = yield* workloads.deployments(place.workload)
    const here = deployments.value.find((each) => each.name === converted.location)
    if (here?.status?.ready === true) return
    const waited = (yield* Clock.currentTimeMillis) - start
    if (waited >= readyWithin) {
      const names = deployments.value.map((each) => each.name).join(", ")
      return yield* new WorkloadUnfit({
        workload: place.workload.path,
        reason:
          here === undefined
            ? `it is not deployed in location "${converted.location}" (it is in: ${names === "" ? "none" : names}).`
            : `not ready in "${converted.location}" after ${Math.round(waited / 1000)} s: ${here.status?.message || "the platform gave no reason; a missing secret or image pull secret waits silently"}`
      })
    }
    yield* Effect.sleep(lookEvery)
  }
})

/** Removes the workload of a job that is over. Returns how many other jobs live in it, for which it stays. */
export const removeIdle = Effect.fn("cplnJob.removeIdle")(function* (
  job: DefinedJob
): Effect.fn.Return<number, ApiError, ControlPlane> {
  const { place } = job
  const others = Commands.use((commands) =>
    commands.find(place.workload, [{ op: "=", property: "type", value: "runCronWorkload" }])
  ).pipe(
    Effect.map(({ value }) => value.filter((command) => !isFinal(command)).length),
    Effect.catchTag("NotFound", () => Effect.succeed(0))
  )
  return yield* Effect.gen(function* () {
    const workloads = yield* Workloads
    const living = yield* others
    if (living > 0) return living
    // Right before the removal, because the name may have been given to something else by now.
    const found = yield* workloads.read(place.workload).pipe(
      Effect.map((read) => unfit(read, job) === undefined),
      Effect.catchTag("NotFound", () => Effect.succeed(false))
    )
    if (found) yield* workloads.remove(place.workload)
    return 0
  }).pipe(at(place.access))
})
