/**
 * The two syncs at the monitor interval: the floor under everything faster. `sync_cpln_to_prefect` looks at every open
 * run and its job; `sync_prefect_to_cpln` looks, in turn, into workloads of ours that no open run names.
 *
 * Invariant: each writes a line per cycle at debug, also when there is nothing to do, so that people can see it runs.
 */
import { Effect, Ref } from "effect"
import type { ApiError } from "../http/errors.ts"
import { CurrentLane } from "../http/lane.ts"
import { plural } from "../observe/plural.ts"
import { say } from "../observe/say.ts"
import { RunsConfig } from "../runs/config.ts"
import { Places } from "../runs/places.ts"
import { OurWorkloads } from "./ours.ts"
import { recall } from "./recall.ts"
import type { Cycle, WatchEnvironment } from "./watch.ts"

/** Workloads looked into per cycle when no open run names them; the first cycle takes more. */
const inTurn = 5
const atStart = 50

export const makeSyncCplnToPrefect = Effect.fn("agent.makeSyncCplnToPrefect")(function* (
  look: (wide: true) => Effect.Effect<Cycle, ApiError, WatchEnvironment>
) {
  const { adopted } = yield* RunsConfig
  let told = false
  return Effect.fn("agent.syncCplnToPrefect")(function* () {
    const seen = yield* look(true)
    yield* say(
      "debug",
      "Sync CPLN→Prefect",
      {},
      `${plural(seen.runs, "open run")}, ${seen.jobs} with a live job, ${plural(seen.unreachable.size, "workload")} did not answer.`
    )
    if (told || seen.unreachable.size > 0) return
    told = true
    yield* Effect.forEach(adopted, (agent) => tellAdopted(agent, seen.byAgent.get(agent) ?? 0))
  })
})

/** Once, after the first whole look: an id with a slip in it adopts nothing, and would say nothing. */
const tellAdopted = (agent: string, jobs: number) =>
  jobs > 0
    ? say(
        "info",
        "Init",
        {},
        `--adopt-agent ${agent}: ${plural(jobs, "live job")} of it followed as our own.`
      )
    : say(
        "warning",
        "Init",
        {},
        `--adopt-agent ${agent}: no open run of this pool has a live job with this text in its tag cpln/prefectAgent, so that there is nothing to take over. If there should be, compare it with that tag of the job's command at Control Plane.`
      )

/** Remembers places of ours, so that the next cycle asks them for live jobs: a job whose run is over is found that way. */
export const makeSyncPrefectToCpln = Effect.fn("agent.makeSyncPrefectToCpln")(function* () {
  const turn = yield* Ref.make(0)
  let recalled = false
  return Effect.fn("agent.syncPrefectToCpln")(
    function* () {
      const places = yield* Places
      const start = yield* Ref.get(turn)
      recalled ||= yield* recall
      const all = yield* (yield* OurWorkloads).known
      const count = Math.min(all.length, start === 0 ? atStart : inTurn)
      for (let i = 0; i < count; i++) places.remember(all[(start + i) % all.length]!)
      yield* Ref.set(turn, start + count)
      yield* say(
        "debug",
        "Sync Prefect→CPLN",
        {},
        `${plural(all.length, "workload")} of this pool, ${count} looked into for jobs whose run is over.`
      )
    },
    Effect.provideService(CurrentLane, "sweep")
  )
})
