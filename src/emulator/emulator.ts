/** The emulator, put together: one layer from its settings to a server that answers. */
import { Context, Effect, Layer } from "effect"
import { Access } from "./access/access.ts"
import { Auth } from "./auth.ts"
import { controlRoutes } from "./control.ts"
import { discoveryRoutes } from "./discovery.ts"
import { ok } from "./answer.ts"
import { Faults } from "./faults/faults.ts"
import * as LineFaults from "./faults/lines.ts"
import * as RequestFaults from "./faults/requests.ts"
import { faultRoutes } from "./faults/routes.ts"
import { RunFaults } from "./faults/runs.ts"
import * as Stale from "./faults/stale.ts"
import { notFound } from "./errors.ts"
import type { Json } from "./json.ts"
import { Driver } from "./jobs/driver.ts"
import { commandRoutes } from "./jobs/routes.ts"
import { Jobs } from "./jobs/jobs.ts"
import { processDriver } from "./jobs/processes/process-driver.ts"
import * as Virtual from "./jobs/virtual.ts"
import { Listener } from "./listener.ts"
import { LogStore } from "./logs/log-store.ts"
import { queryRange } from "./logs/routes.ts"
import { pageRoutes } from "./page/routes.ts"
import { PageSession } from "./page/session.ts"
import { resourceRoutes } from "./resources/routes.ts"
import { route } from "./router.ts"
import { Scheduler } from "./scheduler.ts"
import * as Server from "./server.ts"
import * as Schedules from "./services/schedules.ts"
import { Services } from "./services/services.ts"
import { Volumes } from "./services/volumes.ts"
import { type EmulatorSettings, Settings } from "./settings.ts"
import { keptLogs, keptStore, restored } from "./state/kept.ts"
import { StateFolder } from "./state/state-folder.ts"
import { Store } from "./store.ts"
import { workloadRoutes } from "./workload/routes.ts"
import * as World from "./world.ts"

const logRoutes = Effect.gen(function* () {
  const logs = yield* Effect.context<LogStore>()
  const { orgs } = yield* Store
  return [
    route("/logs/org/:org/loki/api/v1/query_range", {
      GET: ({ params, query }) => {
        const org = params["org"]!
        return orgs.includes(org)
          ? queryRange(org, query).pipe(
              Effect.map((streams) => ok(streams as Json)),
              Effect.provideContext(logs)
            )
          : Effect.fail(notFound(`org ${org} does not exist`))
      }
    })
  ]
})

const routes = Layer.effect(
  Server.Routes,
  Effect.map(
    Effect.all([
      discoveryRoutes,
      controlRoutes,
      faultRoutes,
      logRoutes,
      commandRoutes,
      workloadRoutes,
      resourceRoutes,
      pageRoutes
    ]),
    (all) => all.flat()
  )
)

/**
 * The driver of processes, made at the first run. It needs a place for files, which a read-only machine does not have; all
 * but the jobs works there too.
 */
const processes = Layer.effect(
  Driver,
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const context = yield* Effect.context<LogStore>()
    const made = yield* Layer.buildWithScope(processDriver, scope).pipe(
      Effect.map(Context.get(Driver)),
      Effect.provideContext(context),
      Effect.uninterruptible,
      Effect.cached
    )
    return Driver.of({
      run: (pod, emit) => Effect.flatMap(made, (driver) => driver.run(pod, emit)),
      signal: (replica, signal) => Effect.flatMap(made, (driver) => driver.signal(replica, signal)),
      exec: (ask) => Effect.flatMap(made, (driver) => driver.exec(ask))
    })
  })
)

/** Everything from the settings on; `Listener` tells where it answers. */
export const layer = (settings: EmulatorSettings) => {
  const driver: Layer.Layer<Driver | Virtual.VirtualJobs, never, LogStore | Scheduler | Settings> =
    settings.mode === "virtual" ? Virtual.layer : Layer.merge(processes, Virtual.VirtualJobs.none)
  const store = Stale.layer.pipe(
    Layer.provide(keptStore),
    Layer.provide(Store.layer({ orgs: settings.orgs, keepCommands: settings.keepCommands }))
  )
  /** What everything else reads and writes, each with the faults that it may have. */
  const state = LineFaults.layer.pipe(
    Layer.provide(keptLogs),
    Layer.provide(LogStore.layer),
    Layer.provideMerge(Layer.mergeAll(store, Scheduler.layer)),
    Layer.provideMerge(Layer.merge(Faults.layer, StateFolder.layer))
  )
  return Server.layer.pipe(
    Layer.provide(World.layer),
    Layer.provide(restored),
    Layer.provide(routes),
    Layer.provide(PageSession.layer),
    Layer.provide(Layer.effect(RequestFaults.RequestFaults, RequestFaults.make)),
    Layer.provide(Schedules.layer),
    Layer.provide(Jobs.layer),
    Layer.provide(settings.mode === "virtual" ? Services.none : Services.layer),
    Layer.provide(Volumes.layer),
    Layer.provide(RunFaults.layer),
    Layer.provide(driver),
    Layer.provide(Layer.merge(Auth.layer, Access.layer)),
    Layer.provideMerge(state),
    Layer.provideMerge(Listener.layer),
    Layer.provide(Layer.succeed(Settings, settings))
  )
}
