/**
 * Launches the runs that the pool offers, each in its own fiber: at most one per run, a bounded number at once, within
 * `--limit`, and with a pause per run after the server or a service held it back.
 *
 * Invariant: a drain lets nothing new begin, lets what was claimed come to its end within a bound, and never stops a job.
 */
import { Cause, Clock, Context, Duration, Effect, FiberMap, Latch, Layer, Semaphore } from "effect"
import { CurrentLane } from "../http/lane.ts"
import { Relay } from "../logs/relay.ts"
import { say } from "../observe/say.ts"
import type { OtherInfrastructure } from "../runs/prepare/definition.ts"
import { timeOf } from "../runs/decide/phase.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { type Drain, launch, type LaunchEnvironment, type Offer, warm } from "../runs/launch/launch.ts"
import type { Started } from "../runs/launch/start-claimed.ts"
import { tellRun } from "../runs/act/tell.ts"
import { defectText } from "./alone.ts"
import { Endings } from "./endings.ts"
import { WorkerEvents } from "./events.ts"
import { type Failure, makeHeldBack } from "./held-back.ts"
import { steadyMillis } from "../runs/steady.ts"

/** Launches under way at once; each makes a few requests, which have their own bounds. */
const atOnce = 64
/** How long a drain waits for claimed runs. */
const drainWithin = Duration.seconds(20)
/** Runs that are remembered as made ready, and words as said. */
const mostRemembered = 10_000

/** What became of the offer of a due run. */
export type Offered =
  | { readonly _tag: "Under way" | "No room" | "Not taken" }
  | { readonly _tag: "Held back"; readonly why: string }

export class Launcher extends Context.Service<
  Launcher,
  {
    /** Launches a due run, or makes one ready that is due soon; returns at once. Offers of a run under way are ignored. */
    offer(offer: Offer, due: boolean): Effect.Effect<Offered>
    readonly isLaunching: (runId: string) => boolean
    readonly launching: () => ReadonlyArray<string>
    /**
     * Live jobs of this agent as observed when `started()` was `mark`: what `--limit` is counted against. Before the first
     * such look nothing is launched within a limit.
     */
    setLive(count: number, mark: number): Effect.Effect<void>
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
        const endings = yield* Endings
        const draining = yield* Latch.make(false)
        const heldBack = yield* makeHeldBack
        const warmed = new Set<string>()
        const told = new Set<string>()
        let drained = false
        let live: number | undefined
        let countedUpTo = 0
        let started = 0

        const drain: Drain = {
          asked: () => drained,
          over: draining.await.pipe(Effect.andThen(Effect.sleep(drainWithin)))
        }

        const holdBack = Effect.fnUntraced(function* (run: FlowRun, failure: Failure, tell: boolean) {
          const pause = yield* heldBack.hold(run.id, failure)
          if (pause === undefined) return
          const words = `Not launched yet: ${failure.message}. Trying again in ${pause / 1000} s.`
          yield* say("warning", "Job", { runId: run.id }, words)
          if (tell) yield* tellRun(run.id, "warning", words)
        })

        /** Nothing of it shows on the server: another agent of the pool runs it. Said once for its deployment. */
        const leaveToOthers = Effect.fnUntraced(function* (run: FlowRun, other: OtherInfrastructure) {
          yield* heldBack.hold(run.id, other)
          if (told.has(other.message)) return
          bound(told)
          told.add(other.message)
          yield* say("info", "Job", {}, other.message)
        })

        const leave = (run: FlowRun, why: string) =>
          Effect.suspend(() => {
            heldBack.release(run.id)
            return say("debug", "Job", { runId: run.id }, why)
          })

        const launchDue = (offer: Offer) =>
          launch(offer, drain).pipe(
            Effect.tap((job) => {
              heldBack.release(offer.run.id)
              if (job === undefined) return Effect.void
              started++
              return follow(offer.run, job)
            }),
            Effect.asVoid,
            Effect.catchTag(["ClaimLost", "NotFound"], (lost) => leave(offer.run, lost.message)),
            Effect.catchTag("OtherInfrastructure", (other) => leaveToOthers(offer.run, other)),
            Effect.catchTag(
              ["Unauthorised", "Forbidden", "QuotaReached", "ClaimDeferred", "NotStarted"],
              (error) => holdBack(offer.run, error, true)
            ),
            Effect.catch((error) => holdBack(offer.run, error, false)),
            Effect.catchDefect((defect) => {
              const message = `a mistake of the agent itself, please report it: ${defectText(defect)}`
              return holdBack(offer.run, { _tag: "Defect", message }, true).pipe(
                Effect.andThen(Effect.logDebug(Cause.die(defect)))
              )
            })
          )

        const follow = Effect.fnUntraced(function* (run: FlowRun, job: Started) {
          yield* relay.follow({
            place: job.place,
            commandId: job.commandId,
            created: yield* Clock.currentTimeMillis,
            runId: run.id,
            flow: job.flowName,
            streamOutput: job.streamOutput
          })
          yield* endings.expect({ ...job, runId: run.id, flow: job.flowName })
          yield* events.submitted(run, job.flowName)
        })

        const warmUp = (run: FlowRun) =>
          warm(run).pipe(
            // The launch itself meets the same trouble again, and says so on the run.
            Effect.catch((error) => say("debug", "Job", { runId: run.id }, `not ready yet: ${error.message}`))
          )

        const launchingIds = () => [...fibers].map(([key]) => key).filter((key) => !key.startsWith("warm "))
        const hasRoom = () =>
          limit === undefined ||
          (live !== undefined && live + (started - countedUpTo) + launchingIds().length < limit)

        const makeReady = Effect.fnUntraced(function* (run: FlowRun) {
          const key = `${run.id} ${timeOf(run.next_scheduled_start_time) ?? 0}`
          if (warmed.has(key)) return
          bound(warmed)
          warmed.add(key)
          yield* FiberMap.run(fibers, `warm ${run.id}`, places.withPermit(warmUp(run)), {
            onlyIfMissing: true
          })
        })

        const offer = Effect.fnUntraced(function* (
          offered: Offer,
          due: boolean
        ): Effect.fn.Return<Offered, never, LaunchEnvironment> {
          const { run } = offered
          if (drained) return { _tag: "Not taken" }
          if (!due) return yield* Effect.as(makeReady(run), { _tag: "Not taken" as const })
          const held = heldBack.of(run.id, yield* steadyMillis)
          if (held !== undefined) {
            return held.ofOthers ? { _tag: "Not taken" } : { _tag: "Held back", why: held.why }
          }
          if (FiberMap.hasUnsafe(fibers, run.id)) return { _tag: "Under way" }
          if (!hasRoom()) return { _tag: "No room" }
          yield* FiberMap.run(fibers, run.id, places.withPermit(launchDue(offered)), { onlyIfMissing: true })
          return { _tag: "Under way" }
        })

        const inContext = <A>(effect: Effect.Effect<A, never, LaunchEnvironment>) =>
          effect.pipe(Effect.provideContext(context), Effect.provideService(CurrentLane, "launch"))

        return Launcher.of({
          offer: (offered, due) => inContext(offer(offered, due)),
          isLaunching: (runId) => FiberMap.hasUnsafe(fibers, runId),
          launching: launchingIds,
          setLive: (count, mark) =>
            Effect.sync(() => {
              live = count
              countedUpTo = mark
            }),
          started: () => started,
          idle: FiberMap.awaitEmpty(fibers),
          // Interrupting ends what has claimed nothing; what has is uninterruptible until the drain is over.
          drain: Effect.suspend(() => {
            drained = true
            draining.openUnsafe()
            return FiberMap.clear(fibers)
          })
        })
      })
    )
}

/** The oldest half goes when there are too many. */
const bound = (remembered: Set<string>): void => {
  if (remembered.size < mostRemembered) return
  for (const key of [...remembered].slice(0, mostRemembered / 2)) remembered.delete(key)
}
