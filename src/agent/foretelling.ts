/**
 * The launcher of observe mode: prepares what the pool offers, and tells what would be started.
 *
 * Invariant: nothing is claimed, made or started; of each run is told once for each time that it is scheduled for.
 */
import { Clock, Effect, FiberMap, Layer, Semaphore } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { CurrentLane } from "../http/lane.ts"
import { Foresight } from "../observe/foresight.ts"
import { say } from "../observe/say.ts"
import type { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import type { RunsConfig } from "../runs/config.ts"
import { foretell } from "../runs/launch/foretell.ts"
import { timeOf } from "../runs/decide/phase.ts"
import type { Places } from "../runs/places.ts"
import type { Preparation } from "../runs/prepare/prepare.ts"
import type { Sightings } from "../runs/look/sightings.ts"
import { Launcher, type Offered } from "./launcher.ts"

const atOnce = 16
/** After trouble with one run, in ms. */
const pause = 30_000
const mostRemembered = 20_000

export const layer: Layer.Layer<
  Launcher,
  never,
  Prefect | ControlPlane | RunsConfig | Places | Preparation | Sightings
> = Layer.effect(
  Launcher,
  Effect.gen(function* () {
    const fibers = yield* FiberMap.make<string, void, never>()
    const places = yield* Semaphore.make(atOnce)
    const context = yield* Effect.context<
      Prefect | ControlPlane | RunsConfig | Places | Preparation | Sightings
    >()
    const foresight = yield* Foresight
    /** When each may be looked at again, local ms; Infinity once it was told. */
    const notBefore = new Map<string, number>()
    let told = 0

    const remember = (key: string, time: number): void => {
      if (notBefore.size >= mostRemembered) notBefore.delete(notBefore.keys().next().value ?? "")
      notBefore.set(key, time)
    }

    const tell = Effect.fnUntraced(function* (run: FlowRun, key: string, due: boolean) {
      const { about, warnings, words } = yield* foretell(run)
      const when = due ? "" : ` At its time, ${run.next_scheduled_start_time}.`
      yield* foresight?.tell(`launch ${key}`, "Job", about, `${words}${when}`) ?? Effect.void
      for (const warning of warnings) {
        yield* (
          foresight?.tell(`launch ${key} ${warning}`, "Job", about, `Would be warned: ${warning}`) ??
            Effect.void
        )
      }
      remember(key, Number.POSITIVE_INFINITY)
      told++
    })

    return Launcher.of({
      offer: Effect.fnUntraced(function* ({ run }, due): Effect.fn.Return<Offered> {
        const key = `${run.id} ${timeOf(run.next_scheduled_start_time) ?? 0}`
        const now = yield* Clock.currentTimeMillis
        if (now < (notBefore.get(key) ?? 0)) return { _tag: "Not taken" }
        const telling = tell(run, key, due).pipe(
          Effect.catch((error) => {
            remember(key, now + pause)
            return say("debug", "Job", { runId: run.id }, error.message)
          }),
          Effect.provideContext(context),
          Effect.provideService(CurrentLane, "launch")
        )
        yield* FiberMap.run(fibers, key, places.withPermit(telling), { onlyIfMissing: true })
        return { _tag: "Not taken" }
      }),
      // Nothing is under way that a look at the run could disturb.
      isLaunching: () => false,
      launching: () => [],
      setLive: () => Effect.void,
      started: () => told,
      idle: FiberMap.awaitEmpty(fibers),
      drain: FiberMap.clear(fibers)
    })
  })
)
