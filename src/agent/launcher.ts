/**
 * Launches the runs that the pool offers, each in its own fiber: at most one per run, a bounded number at once, within
 * `--limit`, and with a pause per run after the server or a service held it back.
 *
 * Invariant: a drain lets nothing new begin, lets what was claimed come to its end within a bound, and never stops a job.
 */
import { Clock, Context, Duration, Effect, FiberMap, Layer, Semaphore } from "effect"
import { CurrentLane } from "../http/lane.ts"
import { Relay } from "../logs/relay.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { WorkerEvents } from "./events.ts"
import { launch, type LaunchEnvironment, type Started, warm } from "../runs/launch.ts"
import { say } from "../observe/say.ts"
import { tellRun } from "../runs/tell.ts"

/** Launches under way at once; each makes a few requests, which have their own bounds. */
const atOnce = 64
/** Pauses after a run was held back, in ms: doubling from the first to the longest. */
const firstPause = 10_000
const longestPause = 300_000
/** How long a drain waits for claimed runs, in ms. */
const drainWithin = 20_000

interface HeldBack {
  readonly until: number
  readonly pause: number
  readonly why: string
}

export class Launcher extends Context.Service<
  Launcher,
  {
    /** Launches a due run, or makes one ready that is due soon; returns at once. Offers of a run under way are ignored. */
    offer(run: FlowRun, due: boolean): Effect.Effect<void>
    readonly isLaunching: (runId: string) => boolean
    readonly launching: () => ReadonlyArray<string>
    /** Live jobs of this agent as last observed: what `--limit` is counted against. */
    setLive(count: number): Effect.Effect<void>
    /** Jobs started by this process. */
    readonly started: () => number
    /** Waits until nothing is being launched. */
    readonly idle: Effect.Effect<void>
    /** Ends claiming and sees what was claimed to its end. */
    readonly drain: Effect.Effect<void>
  }
>()("agent/agent/Launcher") {
  static readonly layer = (limit: number | undefined) =>
    Layer.effect(
      Launcher,
      Effect.gen(function* () {
        const fibers = yield* FiberMap.make<string, void, never>()
        const places = yield* Semaphore.make(atOnce)
        const context = yield* Effect.context<LaunchEnvironment>()
        const relay = yield* Relay
        const events = yield* WorkerEvents
        const heldBack = new Map<string, HeldBack>()
        let drained = false
        let live = 0
        let startedSinceLook = 0
        let started = 0

        const holdBack = Effect.fnUntraced(function* (run: FlowRun, why: string, tell: boolean) {
          const now = yield* Clock.currentTimeMillis
          const before = heldBack.get(run.id)
          const pause = Math.min(before === undefined ? firstPause : before.pause * 2, longestPause)
          heldBack.set(run.id, { until: now + pause, pause, why })
          if (before?.why === why) return
          yield* say(
            "warning",
            "Job",
            { runId: run.id },
            `Not launched yet: ${why}. Trying again in ${pause / 1000} s.`
          )
          if (tell)
            yield* tellRun(run.id, "warning", `Not launched yet: ${why}. The agent tries again by itself.`)
        })

        const launchDue = (run: FlowRun) =>
          launch(run, () => drained).pipe(
            Effect.tap((job) => {
              heldBack.delete(run.id)
              if (job === undefined) return Effect.void
              started++
              startedSinceLook++
              return follow(run, job)
            }),
            Effect.asVoid,
            Effect.catchTag("ClaimLost", (lost) => say("debug", "Job", { runId: run.id }, lost.message)),
            Effect.catchTag("NotFound", (gone) => say("debug", "Job", { runId: run.id }, gone.message)),
            Effect.catchTag(["Unauthorised", "Forbidden", "QuotaReached"], (error) =>
              holdBack(run, error.message, true)
            ),
            Effect.catch((error) => holdBack(run, error.message, false))
          )

        const follow = Effect.fnUntraced(function* (run: FlowRun, { prepared, commandId }: Started) {
          yield* events.submitted(run, prepared.flowName)
          yield* relay.follow({
            place: prepared.wanted.place,
            commandId,
            created: yield* Clock.currentTimeMillis,
            runId: run.id,
            flow: prepared.flowName,
            streamOutput: prepared.streamOutput
          })
        })

        const warmUp = (run: FlowRun) =>
          warm(run).pipe(
            // The launch itself meets the same trouble again, and says so on the run.
            Effect.catch((error) => say("debug", "Job", { runId: run.id }, `not ready yet: ${error.message}`))
          )

        const hasRoom = () => limit === undefined || live + startedSinceLook + launchingCount() < limit
        const launchingIds = () => [...fibers].map(([key]) => key).filter((key) => !key.startsWith("warm "))
        const launchingCount = () => launchingIds().length

        const offer = Effect.fnUntraced(function* (run: FlowRun, due: boolean) {
          if (drained) return
          if (!due) {
            if (warmed.has(run.id)) return
            warmed.add(run.id)
            yield* FiberMap.run(fibers, `warm ${run.id}`, warmUp(run), { onlyIfMissing: true })
            return
          }
          warmed.delete(run.id)
          const now = yield* Clock.currentTimeMillis
          const held = heldBack.get(run.id)
          if (held !== undefined && now < held.until) return
          if (FiberMap.hasUnsafe(fibers, run.id) || !hasRoom()) return
          yield* FiberMap.run(fibers, run.id, places.withPermit(launchDue(run)), { onlyIfMissing: true })
        })
        const warmed = new Set<string>()

        const inContext = <A>(effect: Effect.Effect<A, never, LaunchEnvironment>) =>
          effect.pipe(Effect.provideContext(context), Effect.provideService(CurrentLane, "launch"))

        const idle = FiberMap.awaitEmpty(fibers)
        return Launcher.of({
          offer: (run, due) => inContext(offer(run, due)),
          isLaunching: (runId) => FiberMap.hasUnsafe(fibers, runId),
          launching: launchingIds,
          setLive: (count) =>
            Effect.sync(() => {
              live = count
              startedSinceLook = 0
            }),
          started: () => started,
          idle,
          // Interrupting ends what has claimed nothing; what has is uninterruptible, and sees `drained`.
          drain: Effect.suspend(() => {
            drained = true
            return FiberMap.clear(fibers).pipe(
              Effect.timeoutOption(Duration.millis(drainWithin)),
              Effect.asVoid
            )
          })
        })
      })
    )
}
