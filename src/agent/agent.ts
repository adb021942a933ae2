/**
 * The agent: start-up, then its loops, each a scoped fiber, until a signal comes; then a drain.
 *
 * Invariant: the order of the end is fixed: no new claims, what was claimed comes to its end, the worker's row goes. Jobs
 * run on; nothing of a drain ever stops one.
 */
import { Duration, Effect, Layer } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { readOnlyControlPlane } from "../cpln/read-only.ts"
import { credentialsIn, withCredentialReference } from "../job/environment.ts"
import { Relay } from "../logs/relay.ts"
import { Foresight, makeForeteller } from "../observe/foresight.ts"
import { Prefect } from "../prefect/prefect.ts"
import { plural } from "../observe/plural.ts"
import { readOnlyPrefect } from "../prefect/read-only.ts"
import { Board } from "../runs/look/board.ts"
import { Brake } from "../runs/act/brake.ts"
import { RunsConfig } from "../runs/config.ts"
import { CurrentPool } from "../runs/pool.ts"
import { Places } from "../runs/places.ts"
import { Preparation } from "../runs/prepare/prepare.ts"
import { OnlineWorkers } from "../runs/act/rendezvous.ts"
import { say } from "../observe/say.ts"
import { Sightings } from "../runs/look/sightings.ts"
import { Starts } from "../runs/launch/starts.ts"
import { LaunchWindow } from "../runs/launch/window.ts"
import { Terms } from "../runs/prepare/terms.ts"
import { RecentExecutions } from "../runs/workloads/executions.ts"
import { EnsuredWorkloads } from "../runs/workloads/workload.ts"
import type { Settings } from "../settings.ts"
import { watchCancelled } from "./cancel.ts"
import { makeCleanup } from "./cleanup.ts"
import { Endings } from "./endings.ts"
import { WorkerEvents } from "./events.ts"
import * as Foretelling from "./foretelling.ts"
import { heartbeat, heartbeatSeconds, signOff } from "./heartbeat.ts"
import { Launcher } from "./launcher.ts"
import { loop, makeRecovery } from "./loop.ts"
import { OurWorkloads } from "./ours.ts"
import { makePoll } from "./poll.ts"
import { CannotStart, type Checked, type StartUp, startUp } from "./start-up.ts"
import { makeSyncCplnToPrefect, makeSyncPrefectToCpln } from "./syncs.ts"
import { makeCycles } from "./watch.ts"

export interface AgentOptions extends StartUp {
  readonly settings: Settings
  readonly workerName: string
  readonly agentLink: string
  readonly prefectSettings: Readonly<Record<string, string>>
  readonly environment: Readonly<Record<string, string>>
}

/** Runs until it is interrupted; fails only with `CannotStart`. With `runOnce` it ends when what was due is launched. */
export const runAgent = Effect.fn("agent.run")(function* (
  options: AgentOptions
): Effect.fn.Return<void, CannotStart, Prefect | ControlPlane> {
  const program = Effect.gen(function* () {
    const checked = yield* startUp(options)
    yield* warnOfPlainCredentials(options)
    yield* Effect.provide(serve(options), layersOf(options, checked))
  })
  yield* options.settings.observe ? observing(program) : program
})

/** With services that only read, whatever is asked of them. */
const observing = <E>(program: Effect.Effect<void, E, Prefect | ControlPlane>) =>
  Effect.suspend(() => {
    const foreteller = makeForeteller()
    return program.pipe(
      Effect.provide(
        Layer.merge(
          Layer.effect(
            Prefect,
            Effect.flatMap(Prefect, (prefect) => readOnlyPrefect(prefect, foreteller))
          ),
          readOnlyControlPlane(foreteller)
        )
      ),
      Effect.provideService(Foresight, foreteller)
    )
  })

const layersOf = (options: AgentOptions, { pool, server }: Checked) => {
  const { settings } = options
  const seconds = (value: number) => value * 1000
  const config = Layer.succeed(RunsConfig, {
    workerName: options.workerName,
    agentLink: options.agentLink,
    adopted: new Set(settings.adopt),
    pool: pool.name,
    poolId: pool.id,
    server,
    injected: options.injected,
    identities: settings.identities,
    prefectSettings: jobSettings(options),
    environment: options.environment,
    maxDisruption: settings.maxDisruption,
    settle: seconds(settings.settle),
    cancelGrace: seconds(settings.cancelGrace),
    linger: seconds(settings.linger),
    mainLinger: seconds(settings.mainLinger),
    startTimeout: seconds(settings.startTimeout),
    launchDeadline: seconds(settings.launchDeadline),
    doubtHorizon: seconds(settings.doubtHorizon),
    monitorInterval: seconds(settings.interval),
    unreportedExit: settings.unreportedExit === "completed" ? ("COMPLETED" as const) : ("CRASHED" as const)
  })
  const launcher = settings.observe ? Foretelling.layer : Launcher.layer(settings.limit)
  // What jobs print is told by the agent that runs them.
  const jobLogs = settings.jobLogs ?? (settings.observe ? "off" : undefined)
  return launcher.pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        EnsuredWorkloads.layer,
        LaunchWindow.layer,
        Starts.layer,
        OnlineWorkers.layer,
        Preparation.layer,
        RecentExecutions.layer,
        Terms.layer,
        Relay.layer(jobLogs),
        Endings.layer.pipe(Layer.provideMerge(WorkerEvents.layer))
      )
    ),
    Layer.provideMerge(
      Layer.mergeAll(
        Board.layer,
        Brake.layer,
        Sightings.layer,
        CurrentPool.layer(pool),
        OurWorkloads.layer.pipe(Layer.provideMerge(Places.layer))
      )
    ),
    Layer.provideMerge(config)
  )
}

const jobSettings = ({ prefectSettings, settings }: AgentOptions) =>
  settings.jobApiKeySecret === undefined
    ? prefectSettings
    : withCredentialReference(prefectSettings, settings.jobApiKeySecret)

/** Every Prefect worker does it; once, it is to be known. */
const warnOfPlainCredentials = Effect.fnUntraced(function* ({ prefectSettings, settings }: AgentOptions) {
  const plain = credentialsIn(prefectSettings)
  if (plain.length === 0 || settings.jobApiKeySecret !== undefined) return
  yield* say(
    "warning",
    "Init",
    {},
    `${plain.join(" and ")} go${plain.length === 1 ? "es" : ""} to jobs as plain text, which everybody can read who sees their commands. With --job-api-key-secret NAME.key they get a reference to a secret of Control Plane instead.`
  )
})

const serve = Effect.fnUntraced(function* ({ queues, settings }: AgentOptions) {
  const config = yield* RunsConfig
  const launcher = yield* Launcher
  const events = yield* WorkerEvents
  const poll = yield* makePoll({
    queues,
    interval: Duration.seconds(settings.queryInterval),
    prefetch: Duration.seconds(settings.prefetch)
  })
  const watchEvery = Duration.seconds(settings.watchInterval)
  const cycles = yield* makeCycles(watchEvery)
  // Finalizers run in reverse: the drain comes first, then the worker's row goes.
  yield* Effect.addFinalizer(() => signOff())
  yield* Effect.addFinalizer(() => Effect.andThen(events.worker("stopped"), events.flush))
  yield* Effect.addFinalizer(() => launcher.drain)
  yield* events.worker("started")
  if (settings.runOnce) {
    // What lives already counts against the limit.
    yield* cycles.look(true).pipe(
      Effect.andThen(poll()),
      Effect.mapError((error) => new CannotStart({ reason: error.message, remedy: "Run it again later." }))
    )
    yield* launcher.idle
    return yield* say(
      "info",
      "Init",
      {},
      `${plural(launcher.started(), "job")} ${settings.observe ? "would be started" : "started"}.`
    )
  }
  yield* Effect.addFinalizer(() =>
    say("info", "Init", {}, settings.observe ? "Stopping." : "Stopping: no new claims; jobs run on.")
  )
  const recovery = yield* makeRecovery
  yield* loop("heartbeat", Duration.seconds(heartbeatSeconds), heartbeat(), recovery)
  yield* say(
    "info",
    "Init",
    {},
    `Agent "${config.workerName}" ${settings.observe ? "only observes" : "serves"} work pool "${config.pool}"${queues.length > 0 ? `, queues ${queues.join(", ")}` : ""}.`
  )
  const syncCplnToPrefect = yield* makeSyncCplnToPrefect(cycles.look)
  yield* loop("poll", Duration.seconds(settings.queryInterval), poll(), recovery)
  yield* loop("cancel watch", Duration.seconds(settings.cancelInterval), watchCancelled(), recovery)
  yield* loop("sync_cpln_to_prefect", Duration.seconds(settings.interval), syncCplnToPrefect(), recovery)
  yield* loop("watch", watchEvery, cycles.lookUnlessIdle, recovery)
  const cleanup = yield* makeCleanup({
    ttl: Duration.toMillis(Duration.hours(settings.cleanupTtl)),
    observe: settings.observe
  })
  yield* loop("clean-up", Duration.minutes(1), cleanup(), recovery)
  const syncPrefectToCpln = yield* makeSyncPrefectToCpln()
  yield* loop("sync_prefect_to_cpln", Duration.seconds(settings.interval), syncPrefectToCpln(), recovery)
  return yield* Effect.never
}, Effect.scoped)
