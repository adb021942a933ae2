/**
 * How many runs are claimed and started at the same time: few at first, more while that goes quickly and others wait,
 * fewer when a service gets slow or fails. So a thousand late runs do not all fall upon a server that has just come back.
 *
 * Invariant: between `least` and `most`, whatever happens; who waits for a turn has claimed nothing and can be interrupted.
 */
import { Context, Effect, type Exit, Fiber, Layer, Semaphore } from "effect"
import { steadyMillis } from "../steady.ts"

export const least = 4
const first = 8
/** As many requests as either client has under way at once. */
export const most = 32
/** A launch is slow when it takes longer than this, in ms, and so many times as long as quick ones take here. */
const slow = 4_000
const slowTimes = 4
/** What is taken for quick goes up by this with each launch, so that one lucky answer is forgotten in time. */
const drift = 1.02
/** A launch that takes longer, such as a start in doubt, goes on beside the others: one sick workload holds up no other. In ms. */
const longest = 20_000
/** After this long without a launch nothing is known of the services any more, in ms. */
const stale = 10_000

/** `started`: how long it took counts. `trouble`: a service did not do what was asked. */
export type Went = "started" | "trouble" | "neither"

export class LaunchWindow extends Context.Service<
  LaunchWindow,
  {
    /** Waits for a turn, and learns from how it went. */
    turn<A, E, R>(
      launch: Effect.Effect<A, E, R>,
      judge: (exit: Exit.Exit<A, E>) => Went
    ): Effect.Effect<A, E, R>
    /** How many may have a turn now, and how many wait for one. */
    readonly width: () => number
    readonly waiting: () => number
  }
>()("agent/runs/LaunchWindow") {
  static readonly layer = Layer.effect(
    LaunchWindow,
    Effect.gen(function* () {
      const places = yield* Semaphore.make(first)
      let width = first
      /** Beyond it the width grows slowly: there was trouble not far above. */
      let careful = most
      let quick: number | undefined
      let narrowed = 0
      let endedAt = 0
      let wanted = 0
      let under = 0

      const narrow = (since: number) => {
        // Trouble of what was under way together is trouble once.
        if (since !== narrowed) return
        width = Math.max(least, width / 2)
        careful = width
        narrowed++
      }
      const widen = () => {
        // Where nobody waits it is not the width that holds anything up.
        if (wanted > under) width = Math.min(most, width + (width < careful ? 1 : 1 / width))
      }
      const learn = (went: Went, took: number, since: number) => {
        if (went === "neither") return
        if (went === "started") quick = Math.min(took, (quick ?? took) * drift)
        if (went === "trouble" || took > Math.max(slow, slowTimes * (quick ?? took))) narrow(since)
        else widen()
      }

      const ask = Effect.gen(function* () {
        if (wanted++ > 0 || (yield* steadyMillis) - endedAt < stale) return
        width = first
        careful = most
        yield* places.resize(width)
      })
      const begin = Effect.map(steadyMillis, (at) => {
        under++
        return { at, since: narrowed }
      })
      const end = Effect.fnUntraced(function* (went: Went, begun: Effect.Success<typeof begin>) {
        endedAt = yield* steadyMillis
        learn(went, endedAt - begun.at, begun.since)
        under--
        wanted--
        yield* places.resize(Math.floor(width))
      })

      return LaunchWindow.of({
        turn: (launch, judge) =>
          Effect.uninterruptibleMask((restore) =>
            Effect.gen(function* () {
              yield* ask
              yield* restore(places.take(1)).pipe(Effect.onInterrupt(() => Effect.sync(() => wanted--)))
              const begun = yield* begin
              let holds = true
              const giveUp = (went: Went) =>
                Effect.suspend(() => {
                  if (!holds) return Effect.void
                  holds = false
                  return Effect.andThen(end(went, begun), places.release(1))
                })
              const patience = yield* Effect.forkChild(
                Effect.andThen(Effect.sleep(longest), giveUp("trouble"))
              )
              return yield* restore(launch).pipe(
                Effect.onExit((exit) => Effect.andThen(Fiber.interrupt(patience), giveUp(judge(exit))))
              )
            })
          ),
        width: () => Math.floor(width),
        waiting: () => wanted - under
      })
    })
  )
}
