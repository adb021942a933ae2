/**
 * Gate of one service: so many requests per second, so many in flight, and the most urgent lane first.
 *
 * Invariant: a request that waits goes only when no request of a higher lane waits, and within its lane in order. A 429
 * halves the rate; while there is none it recovers over some seconds, never above what was set. A service that asks for a
 * pause gets it from all requests but stops, for ten seconds at most: a read that is told to wait is no reason to stand still.
 */
import { Clock, Deferred, type Duration, Effect, Option, type Scope } from "effect"
import { CurrentLane, type Lane, lanes } from "./lane.ts"

export interface LimiterSettings {
  /** 0 is off. The burst is twice that. */
  readonly ratePerSecond: number
  readonly concurrency: number
}

export interface Limiter {
  /** Waits for its turn, then runs; an interrupted wait leaves no trace. */
  readonly gate: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    patience?: Patience<A, E, R> | undefined
  ) => Effect.Effect<A, E, R>
  /**
   * To be called after a 429, with the time of that request in ms. Answers to requests that were under way when the rate
   * was halved say nothing of the new rate, and change nothing.
   */
  readonly slowDown: (sentAt: number) => Effect.Effect<void>
  /** Lets nothing but stops through for so long, in ms: what the service asked for with `Retry-After`. */
  readonly pause: (forMillis: number) => Effect.Effect<void>
  /** Requests per second that are let through now. */
  readonly currentRate: Effect.Effect<number>
}

/** What happens instead when the turn has not come after this long. */
export interface Patience<A, E, R> {
  readonly within: Duration.Duration
  readonly orElse: Effect.Effect<A, E, R>
}

/** The rate doubles back after this long without a 429, in ms. */
const recovery = 10_000
/** The longest pause of all requests, in ms: what the service asks for may be meant for the one that it answered. */
const longestPause = 10_000
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
  let tokens = burst(rate)
  let refilledAt = yield* Clock.currentTimeMillis
  let slowedAt = -Infinity
  let recoversFrom = -Infinity
  let pausedUntil = -Infinity
  let timed = false

  const refill = (now: number) => {
    // A clock that was set back must not hold the rate down until it has caught up.
    recoversFrom = Math.min(recoversFrom, now)
    pausedUntil = Math.min(pausedUntil, now + longestPause)
    while (rate < settings.ratePerSecond && now - recoversFrom >= recovery) {
      rate = Math.min(settings.ratePerSecond, rate * 2)
      recoversFrom += recovery
    }
    tokens = Math.min(burst(rate), tokens + (Math.max(0, now - refilledAt) / 1000) * rate)
    refilledAt = now
  }

  const take = (): Waiter | undefined => {
    for (const lane of lanes) {
      const next = waiting[lane].shift()
      if (next !== undefined) return next
    }
    return undefined
  }

  /** Lets through whoever may go; while nobody may it comes back when that is over. */
  const pump: Effect.Effect<void> = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    refill(now)
    const pause = () => (waiting.stop.length > 0 ? 0 : pausedUntil - now)
    const toWait = () => Math.max(pause(), limited && tokens < 1 ? ((1 - tokens) / rate) * 1000 : 0)
    const mayGo = () => inFlight < settings.concurrency && toWait() <= 0
    while (mayGo()) {
      const next = take()
      if (next === undefined) return
      inFlight++
      if (limited) tokens--
      yield* Deferred.succeed(next.turn, undefined)
    }
    if (timed || toWait() <= 0 || lanes.every((lane) => waiting[lane].length === 0)) return
    timed = true
    yield* Effect.sleep(Math.max(1, Math.ceil(toWait()))).pipe(
      Effect.andThen(Effect.suspend(() => ((timed = false), pump))),
      Effect.forkIn(scope)
    )
  })

  const release = Effect.suspend(() => {
    inFlight--
    return pump
  })

  /**
   * True when the turn came, false when it did not within the time. Only the wait itself can be interrupted, so that a
   * turn that was given is always given back.
   */
  const enter = Effect.fnUntraced(function* (
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
    within: Duration.Duration | undefined
  ) {
    const lane = yield* CurrentLane
    const waiter: Waiter = { turn: yield* Deferred.make<void>() }
    waiting[lane].push(waiter)
    /** False when the turn was given in this very moment. */
    const leave = () => {
      const place = waiting[lane].indexOf(waiter)
      if (place !== -1) waiting[lane].splice(place, 1)
      return place !== -1
    }
    yield* pump
    const turn = Deferred.await(waiter.turn)
    const came = yield* restore(
      within === undefined ? Effect.asSome(turn) : Effect.timeoutOption(turn, within)
    ).pipe(Effect.onInterrupt(() => (leave() ? Effect.void : release)))
    return Option.isSome(came) || !leave()
  })

  return {
    gate: (effect, patience) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(enter(restore, patience?.within), (came) =>
          came || patience === undefined
            ? Effect.ensuring(restore(effect), release)
            : restore(patience.orElse)
        )
      ),
    slowDown: Effect.fnUntraced(function* (sentAt) {
      const now = yield* Clock.currentTimeMillis
      slowedAt = Math.min(slowedAt, now)
      if (!limited || sentAt <= slowedAt) return
      refill(now)
      rate = Math.max(Math.min(slowest, settings.ratePerSecond), rate / 2)
      tokens = Math.min(tokens, rate)
      slowedAt = now
      recoversFrom = now
    }),
    pause: (forMillis) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        pausedUntil = Math.max(pausedUntil, now + Math.min(forMillis, longestPause))
      }),
    currentRate: Effect.map(Clock.currentTimeMillis, (now) => {
      refill(now)
      return rate
    })
  }
})

/** Requests that may go at once after a rest; at least one, else a rate below 0.5 would let nothing through. */
const burst = (rate: number): number => Math.max(1, 2 * rate)
