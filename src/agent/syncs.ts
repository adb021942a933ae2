/**
 * The two syncs at the monitor interval: the floor under everything faster. `sync_cpln_to_prefect` looks at every open
 * run and its job; `sync_prefect_to_cpln` looks, in turn, into workloads of ours that no open run names.
 *
 * Invariant: each writes a line per cycle at debug, also when there is nothing to do, so that people can see it runs.
 */
import { Clock, Effect, Ref } from "effect"
import type { ApiError } from "../http/errors.ts"
import { CurrentLane } from "../http/lane.ts"
import { Workloads } from "../cpln/workloads.ts"
import { Access } from "../cpln/control-plane.ts"
import { WorkloadRef } from "../cpln/schemas.ts"
import { RunsConfig } from "../runs/config.ts"
import { poolTag } from "../runs/normalise.ts"
import { at, type Place } from "../cpln/place.ts"
import { Places } from "../runs/places.ts"
import { say } from "../observe/say.ts"
import type { Cycle, WatchEnvironment } from "./watch.ts"

/** Workloads looked into per cycle when no open run names them; the first cycle takes more. */
const inTurn = 5
const atStart = 50
/** All our workloads are listed anew at most this often, in ms: with ten thousand of them a list is two hundred pages. */
const listEvery = 3_600_000

export const syncCplnToPrefect = Effect.fn("agent.syncCplnToPrefect")(function* (
  look: (wide: true) => Effect.Effect<Cycle, ApiError, WatchEnvironment>
) {
  const seen = yield* look(true)
  yield* say(
    "debug",
    "Sync CPLN→Prefect",
    {},
    `${seen.runs} open runs, ${seen.jobs} with a live job, ${seen.unreachable} workloads did not answer.`
  )
})

/** Remembers places of ours, so that the next cycle asks them for live jobs: a job whose run is over is found that way. */
export const makeSyncPrefectToCpln = Effect.fn("agent.makeSyncPrefectToCpln")(function* () {
  const turn = yield* Ref.make(0)
  const listed = yield* Ref.make<{ readonly at: number; readonly all: ReadonlyArray<Place> } | undefined>(
    undefined
  )

  const ourWorkloads = Effect.fnUntraced(function* () {
    const places = yield* Places
    const { injected, poolId } = yield* RunsConfig
    const { endpoint, gvc, org, token } = injected
    const now = yield* Clock.currentTimeMillis
    const known = yield* Ref.get(listed)
    if (known !== undefined && now - known.at < listEvery) return known.all
    const corners = new Map(
      places
        .all()
        .map(({ access, workload }) => [`${access.org}/${workload.gvc}`, { access, gvc: workload.gvc }])
    )
    if (org !== undefined && gvc !== undefined && token !== undefined) {
      corners.set(`${org}/${gvc}`, { access: new Access({ endpoint, org, token }), gvc })
    }
    const found = yield* Effect.forEach(corners.values(), ({ access, gvc }) =>
      Workloads.use((workloads) => workloads.find(gvc, [{ op: "=", tag: poolTag, value: poolId }])).pipe(
        Effect.map((all) =>
          all.map(({ name }) => ({ access, workload: new WorkloadRef({ org: access.org, gvc, name }) }))
        ),
        Effect.catchTag("NotFound", () => Effect.succeed([])),
        at(access)
      )
    )
    const all = found.flat()
    // Nothing to list yet is looked at again in the next cycle.
    if (all.length > 0) yield* Ref.set(listed, { at: now, all })
    return all
  })

  return Effect.fn("agent.syncPrefectToCpln")(
    function* () {
      const places = yield* Places
      const all = yield* ourWorkloads()
      const start = yield* Ref.get(turn)
      const count = Math.min(all.length, start === 0 ? atStart : inTurn)
      for (let i = 0; i < count; i++) places.remember(all[(start + i) % all.length]!)
      yield* Ref.set(turn, start + count)
      yield* say(
        "debug",
        "Sync Prefect→CPLN",
        {},
        `${all.length} workloads of this pool, ${count} looked into for jobs whose run is over.`
      )
    },
    Effect.provideService(CurrentLane, "sweep")
  )
})
