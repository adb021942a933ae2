/**
 * Sees to it that the cron workload of a job exists, is ours, and is ready.
 *
 * Invariant: a workload is found by its name and used only with our pool's tag on it; one that merely has the name is
 * refused, never overwritten. The spec that is read back is never compared: the service fills in defaults.
 */
import { Cache, Clock, Context, Duration, Effect, Layer, Schema } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { Workloads } from "../cpln/workloads.ts"
import type { ApiError } from "../http/errors.ts"
import { poolTag } from "./normalise.ts"
import { at, type Place, placeKey } from "../cpln/place.ts"

/** What to make when it is missing. */
export interface Wanted {
  readonly place: Place
  readonly tags: Readonly<Record<string, string>>
  readonly spec: Readonly<Record<string, unknown>>
  /** Short location name. */
  readonly location: string
  /** `pod_watch_timeout_seconds`, in ms: how long readiness may take. */
  readonly readyWithin: number
}

/** The workload cannot be used for this run; `message` is what the user reads on the run. */
export class WorkloadUnusable extends Schema.TaggedError<WorkloadUnusable>()("WorkloadUnusable", {
  workload: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Workload ${this.workload} cannot run this job: ${this.reason}`
  }
}

export class EnsuredWorkloads extends Context.Service<
  EnsuredWorkloads,
  {
    /** Returns at once for a workload that was seen ready a short while ago. */
    ensure(wanted: Wanted): Effect.Effect<void, WorkloadUnusable | ApiError, ControlPlane>
    /** After a 404 on a command: the next `ensure` looks again. */
    invalidate(wanted: Wanted): Effect.Effect<void>
  }
>()("agent/runs/EnsuredWorkloads") {
  static readonly layer = (poolId: string) =>
    Layer.effect(
      EnsuredWorkloads,
      Effect.gen(function* () {
        /** Values are the seen-ready marks; a failure is not kept. */
        const ready = yield* Cache.make({
          capacity: 10_000,
          timeToLive: Duration.minutes(5),
          lookup: (_key: string) => Effect.succeed(true)
        })
        return EnsuredWorkloads.of({
          ensure: Effect.fn("runs.ensureWorkload")(function* (wanted) {
            const key = keyOf(wanted)
            if (yield* Cache.has(ready, key)) return
            yield* ensureExists(wanted, poolId)
            yield* untilReady(wanted)
            yield* Cache.set(ready, key, true)
          }),
          invalidate: (wanted) => Cache.invalidate(ready, keyOf(wanted))
        })
      })
    )
}

const keyOf = (wanted: Wanted): string => `${placeKey(wanted.place)} ${wanted.location}`

const ensureExists = Effect.fnUntraced(function* ({ place, tags, spec }: Wanted, poolId: string) {
  const { workload } = place
  const workloads = yield* Workloads.pipe(at(place.access))
  const found = yield* workloads.read(workload).pipe(
    Effect.catchTag("NotFound", () =>
      workloads.create(workload, { tags, spec }).pipe(
        // Another agent made it in between: then it must be ours like any other.
        Effect.catchTag("Conflict", () => Effect.void),
        Effect.andThen(workloads.read(workload))
      )
    )
  )
  if (String(found.tags?.[poolTag]) !== poolId) {
    return yield* new WorkloadUnusable({
      workload: workload.path,
      reason: `a workload of this name exists without the tag ${poolTag}=${poolId}, so it is not this pool's. Rename or delete it.`
    })
  }
})

const lookEvery = Duration.seconds(1)

const untilReady = Effect.fnUntraced(function* ({ place, location, readyWithin }: Wanted) {
  const workloads = yield* Workloads.pipe(at(place.access))
  const start = yield* Clock.currentTimeMillis
  for (;;) {
    const deployments = yield* workloads.deployments(place.workload)
    const here = deployments.value.find((each) => each.name === location)
    if (here?.status?.ready === true) return
    const waited = (yield* Clock.currentTimeMillis) - start
    if (waited >= readyWithin) {
      const names = deployments.value.map((each) => each.name).join(", ")
      return yield* new WorkloadUnusable({
        workload: place.workload.path,
        reason:
          here === undefined
            ? `it is not deployed in location "${location}" (it is in: ${names === "" ? "none" : names})`
            : `not ready in "${location}" after ${Math.round(waited / 1000)} s (pod_watch_timeout_seconds): ${here.status?.message || "the platform gave no reason; a missing secret or image pull secret waits silently"}`
      })
    }
    yield* Effect.sleep(lookEvery)
  }
})
