/**
 * A loop of the agent: the same work at an interval, for as long as its scope is open.
 *
 * Invariant: a loop outlives every failure, defect and interruption of its work, and no other fiber ever learns of one;
 * only its own interruption ends it. Trouble stretches its pace, up to a minute, and shows in its `LoopHealth`; what goes on
 * is said ever more seldom, but every five minutes.
 */
import { Cause, Clock, Duration, Effect, Exit, Latch, Random, Ref, type Scope } from "effect"
import { plural } from "../observe/plural.ts"

/** What the health endpoint and the page show of a loop. `lastSuccess` is in milliseconds since 1970. */
export interface LoopHealth {
  readonly name: string
  readonly failuresInARow: number
  readonly lastSuccess: number | undefined
}

/** What the loops of one agent share: that one of them works again, so that the others need not wait to find out. */
export interface Recovery {
  readonly awaited: Effect.Effect<void>
  readonly tell: Effect.Effect<void>
}

export const makeRecovery: Effect.Effect<Recovery> = Effect.map(Latch.make(false), (latch) => ({
  awaited: latch.await,
  tell: Effect.asVoid(latch.release)
}))

const longestPause = Duration.minutes(1)
/** The same trouble is said again after this long at the latest, in ms. */
const saidEvery = 300_000

/** Full jitter: anything between nothing and the doubled pause, so that replicas do not march in step. */
const pauseAfter = (failures: number) =>
  Effect.map(Random.next, (share) =>
    Duration.times(Duration.min(Duration.seconds(2 ** failures), longestPause), share)
  )

/**
 * Starts the loop in the current scope and returns where to read its health. Work that returns a duration sets the
 * pause that follows it; else the interval does.
 */
export const loop = Effect.fnUntraced(function* <E extends { readonly message: string }, R>(
  name: string,
  interval: Duration.Duration,
  work: Effect.Effect<Duration.Duration | void, E, R>,
  recovery: Recovery
): Effect.fn.Return<Ref.Ref<LoopHealth>, never, R | Scope.Scope> {
  const health = yield* Ref.make<LoopHealth>({ name, failuresInARow: 0, lastSuccess: undefined })

  let saidAt = 0
  const isToSay = (failures: number, cause: Cause.Cause<E>, now: number): boolean =>
    isPowerOfTwo(failures) || now - saidAt >= saidEvery || Cause.hasDies(cause)

  const turn = Effect.fn(`loop.${name}`)(function* () {
    const exit = yield* Effect.exit(work)
    if (Exit.isSuccess(exit)) {
      const { failuresInARow } = yield* Ref.get(health)
      yield* Ref.set(health, { name, failuresInARow: 0, lastSuccess: yield* Clock.currentTimeMillis })
      if (failuresInARow > 0) {
        yield* Effect.logInfo(`${name} works again after ${plural(failuresInARow, "failure")}`)
        yield* recovery.tell
      }
      return yield* Effect.sleep(exit.value ?? interval)
    }
    const { failuresInARow } = yield* Ref.updateAndGet(health, (now) => ({
      ...now,
      failuresInARow: now.failuresInARow + 1
    }))
    const pause = yield* pauseAfter(failuresInARow)
    const now = yield* Clock.currentTimeMillis
    const words = `${name} failed${failuresInARow === 1 ? "" : ` ${failuresInARow} times in a row`}; next try in ${(Duration.toMillis(pause) / 1000).toFixed(1)} s: ${reasonOf(exit.cause)}`
    if (isToSay(failuresInARow, exit.cause, now)) {
      saidAt = now
      yield* Effect.logWarning(words)
    } else yield* Effect.logDebug(words)
    yield* Effect.logDebug(exit.cause)
    yield* Effect.raceFirst(Effect.sleep(pause), recovery.awaited)
  })

  yield* turn().pipe(Effect.forever, Effect.forkScoped)
  return health
})

const isPowerOfTwo = (n: number): boolean => (n & (n - 1)) === 0

/** One line for a person; the whole cause is there at debug. */
const reasonOf = (cause: Cause.Cause<{ readonly message: string }>): string => {
  const first = Cause.squash(cause)
  return first instanceof Error ? first.message : String(first)
}
