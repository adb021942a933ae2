/**
 * The handling of single runs in a modelled world, without the loops of an agent: for tests that say themselves when a run
 * is offered and when it is looked at.
 */
import { Effect, Layer } from "effect"
import { Relay } from "../../../src/logs/relay.ts"
import { Prefect } from "../../../src/prefect/prefect.ts"
import { Board } from "../../../src/runs/look/board.ts"
import { Brake } from "../../../src/runs/act/brake.ts"
import { RunsConfig } from "../../../src/runs/config.ts"
import { type Drain, launch, type Offer } from "../../../src/runs/launch/launch.ts"
import { moment } from "../../../src/runs/moment.ts"
import { Places } from "../../../src/runs/places.ts"
import { CurrentPool } from "../../../src/runs/pool.ts"
import { Preparation } from "../../../src/runs/prepare/preparation.ts"
import { OnlineWorkers } from "../../../src/runs/act/rendezvous.ts"
import { reconcile } from "../../../src/runs/reconcile/reconcile.ts"
import { Sightings } from "../../../src/runs/look/sightings.ts"
import { Starts } from "../../../src/runs/launch/starts.ts"
import { LaunchWindow } from "../../../src/runs/launch/window.ts"
import { Terms } from "../../../src/runs/prepare/terms.ts"
import { RecentExecutions } from "../../../src/runs/workloads/executions.ts"
import { EnsuredWorkloads } from "../../../src/runs/workloads/workload.ts"
import { injected, settingsWith } from "./agents.ts"
import type { Line } from "./faults.ts"
import { controlPlaneFor } from "./platform-service.ts"
import { prefectFor } from "./prefect-service.ts"
import { gvc, poolId, poolName, type World } from "./world.ts"

/** Output of jobs is not what these tests are about. */
const silent = Layer.succeed(Relay, {
  follow: () => Effect.void,
  retain: () => Effect.void,
  lastLines: () => Effect.succeed([])
})

export interface BenchOptions {
  readonly gvc?: string | undefined
  readonly identities?: "manage" | "given"
}

const layersOf = (world: World, name: string, options: BenchOptions) => {
  const line: Line = { by: `agent ${name}`, gate: Effect.void }
  const settings = settingsWith()
  const stored = world.prefect.pools.get(poolName)
  if (stored === undefined) throw new Error("the world has no pool")
  const config = Layer.succeed(RunsConfig, {
    workerName: name,
    agentLink: name,
    adopted: new Set<string>(),
    pool: poolName,
    poolId,
    server: { line: world.prefect.line, text: world.prefect.version },
    injected: { ...injected, gvc: "gvc" in options ? options.gvc : gvc },
    identities: options.identities ?? settings.identities,
    prefectSettings: { PREFECT_API_URL: "http://prefect.test/api" },
    environment: {},
    maxDisruption: settings.maxDisruption,
    settle: settings.settle * 1000,
    cancelGrace: settings.cancelGrace * 1000,
    linger: settings.linger * 1000,
    mainLinger: settings.mainLinger * 1000,
    startTimeout: settings.startTimeout * 1000,
    launchDeadline: settings.launchDeadline * 1000,
    doubtHorizon: settings.doubtHorizon * 1000,
    monitorInterval: settings.interval * 1000,
    unreportedExit: "COMPLETED"
  })
  return Layer.mergeAll(
    EnsuredWorkloads.layer,
    OnlineWorkers.layer,
    Preparation.layer,
    RecentExecutions.layer,
    Terms.layer
  ).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        Board.layer,
        Brake.layer,
        Places.layer,
        Sightings.layer,
        LaunchWindow.layer,
        Starts.layer,
        CurrentPool.layer(stored.pool),
        silent
      )
    ),
    Layer.provideMerge(Layer.mergeAll(config, prefectFor(world, line), controlPlaneFor(world, line)))
  )
}

const neverDrained: Drain = { asked: () => false, over: Effect.never }

/** One claimant: its memory and caches are its own, the world is shared. */
export const makeBench = Effect.fnUntraced(function* (
  world: World,
  name: string,
  options: BenchOptions = {}
) {
  const context = yield* Layer.build(layersOf(world, name, options))
  const offerOf = (runId: string) =>
    Effect.gen(function* () {
      return { run: { ...world.run(runId), state: null }, seenAt: yield* moment } satisfies Offer
    })
  return {
    /** The run as the pool's poll would offer it right now. */
    offerOf,
    launch: (offer: Offer, drain: Drain = neverDrained) => Effect.provide(launch(offer, drain), context),
    launchNow: (runId: string, drain: Drain = neverDrained) =>
      Effect.provide(
        Effect.flatMap(offerOf(runId), (offer) => launch(offer, drain)),
        context
      ),
    /** One look at the run, as after a bulk query that saw no live job of it. */
    look: (runId: string) =>
      Prefect.use((prefect) => prefect.readRun(runId)).pipe(
        Effect.flatMap((seen) => reconcile(seen, [])),
        Effect.tap(() => Brake.use((brake) => brake.weigh(new Set(), true))),
        Effect.provide(context)
      )
  }
})
