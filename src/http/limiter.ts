/**
 * Gate of one service: so many requests per second, so many in flight, and the most urgent lane first.
 *
 * Invariant: a request that waits goes only when no request of a higher lane waits, and within its lane in order. A 429
 * halves the rate; while there is none it recovers over some seconds, never above what was set.
 */
import { Clock, Deferred, Effect, type Scope } from "effect"
import { CurrentLane, type Lane, lanes } from "./lane.ts"

export interface LimiterSettings {
  /** 0 is off. The burst is twice that. */
  readonly ratePerSecond: number
  readonly concurrency: number
}

export interface Limiter {
  /** Waits for its turn, then runs; an interrupted wait leaves no trace. */
  readonly gate: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** To be called after a 429. */
  readonly slowDown: Effect.Effect<void>
  /** Requests per second that are let through now. */
  readonly currentRate: Effect.Effect<number>
}

/** The rate doubles back after this long without a 429, in ms. */
const recovery = 10_000
/** The rate never falls below this many requests per second. */
const slowest = 1

interface Waiter {
  readonly turn: Deferred.Deferred<void>
}

export const makeLimiter = Effect.fnUntraced(function* (
  settings: LimiterSettings
): Effect.fn.Return<Limiter, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const waiting: Record<Lane, Array<Waiter>> = { stop: [], observe: [], launch: [], logs: [], sweep: [] }
  const limited = settings.ratePerSecond > 0
  let inFlight = 0
  let rate = settings.ratePerSecond
  let tokens = 2 * rate
  let refilledAt = yield* Clock.currentTimeMillis
  let slowedAt = 0
  let timed = false

  const refill = (now: number) => {
    while (rate < settings.ratePerSecond && now - slowedAt >= recovery) {
      rate = Math.min(settings.ratePerSecond, rate * 2)
      slowedAt += recovery
    }
    tokens = Math.min(2 * rate, tokens + (Math.max(0, now - refilledAt) / 1000) * rate)
    refilledAt = now
  }

  const take = (): Waiter | undefined => {
    for (const lane of lanes) {
      const next = waiting[lane].shift()
      if (next !== undefined) return next
    }
    return undefined
  }

  /** Lets through whoever may go; without tokens it comes back when there is one. */
  const pump: Effect.Effect<void> = Effect.gen(function* () {
    refill(yield* Clock.currentTimeMillis)
    while (inFlight < settings.concurrency && (!limited || tokens >= 1)) {
      const next = take()
      if (next === undefined) return
      inFlight++
      if (limited) tokens--
      yield* Deferred.succeed(next.turn, undefined)
    }
    if (timed || !limited || tokens >= 1 || lanes.every((lane) => waiting[lane].length === 0)) return
    timed = true
    const wait = Math.max(1, Math.ceil(((1 - tokens) / rate) * 1000))
    yield* Effect.sleep(wait).pipe(
      Effect.andThen(Effect.suspend(() => ((timed = false), pump))),
      Effect.forkIn(scope)
    )
  })

  const release = Effect.suspend(() => {
    inFlight--
    return pump
  })

  /** Only the wait itself can be interrupted, so that a turn that was given is always given back. */
  const enter = (restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const lane = yield* CurrentLane
      const waiter: Waiter = { turn: yield* Deferred.make<void>() }
      waiting[lane].push(waiter)
      yield* pump
      yield* restore(Deferred.await(waiter.turn)).pipe(
        Effect.onInterrupt(() => {
          const place = waiting[lane].indexOf(waiter)
          if (place === -1) return release
          waiting[lane].splice(place, 1)
          return Effect.void
        })
      )
    })

  return {
    gate: (effect) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.andThen(enter(restore), Effect.ensuring(restore(effect), release))
      ),
    slowDown: Effect.gen(function* () {
      refill(yield* Clock.currentTimeMillis)
      rate = Math.max(Math.min(slowest, settings.ratePerSecond), rate / 2)
      tokens = Math.min(tokens, rate)
      slowedAt = yield* Clock.currentTimeMillis
    }),
    currentRate: Effect.sync(() => rate)
  }
})
