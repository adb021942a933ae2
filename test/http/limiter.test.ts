import { describe, expect, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Scheduler, Scope } from "effect"
import { TestClock } from "effect/testing"
import { CurrentLane, type Lane } from "../../src/http/lane.ts"
import { type Limiter, makeLimiter } from "../../src/http/limiter.ts"

/** Requests that take no time: how many went, and when on the test's clock. */
const sending = Effect.fnUntraced(function* (limiter: Limiter, howMany: number) {
  const times: Array<number> = []
  for (let i = 0; i < howMany; i++) {
    yield* Effect.forkChild(
      limiter.gate(Effect.map(Clock.currentTimeMillis, (now) => void times.push(now))),
      { startImmediately: true }
    )
  }
  return times
})

/** A request that goes on until it is told to end. */
const holding = Effect.fnUntraced(function* (limiter: Limiter, log: Array<string>, name: string, lane: Lane) {
  const end = yield* Deferred.make<void>()
  const fiber = yield* limiter
    .gate(
      Effect.andThen(
        Effect.sync(() => log.push(name)),
        Deferred.await(end)
      )
    )
    .pipe(Effect.provideService(CurrentLane, lane), Effect.forkChild({ startImmediately: true }))
  return { fiber, end: Effect.andThen(Deferred.succeed(end, undefined), Fiber.await(fiber)) }
})

describe("the rate", () => {
  it.effect("lets twice the rate go at once, and then so many per second", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 10, concurrency: 1_000 })
      const times = yield* sending(limiter, 100)
      yield* TestClock.adjust(0)
      expect(times.length).toBe(20)
      yield* TestClock.adjust("1 second")
      expect(times.length).toBe(30)
      yield* TestClock.adjust("7 seconds")
      expect(times.length).toBe(100)
      // Spread over the second, not in one lump at its end.
      expect(times.slice(20, 23)).toEqual([100, 200, 300])
    })
  )

  it.effect("saves up no more than the burst while nothing is asked", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 10, concurrency: 1_000 })
      yield* TestClock.adjust("1 hour")
      const times = yield* sending(limiter, 100)
      yield* TestClock.adjust(0)
      expect(times.length).toBe(20)
    })
  )

  it.effect("of 0 lets everything go at once", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 0, concurrency: 1_000 })
      const times = yield* sending(limiter, 500)
      yield* TestClock.adjust(0)
      expect(times.length).toBe(500)
      yield* limiter.slowDown(1)
      const more = yield* sending(limiter, 500)
      yield* TestClock.adjust(0)
      expect(more.length).toBe(500)
    })
  )

  it.effect("below one request per second still lets requests through", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 0.25, concurrency: 10 })
      const times = yield* sending(limiter, 3)
      yield* TestClock.adjust("8 seconds")
      expect(times).toEqual([0, 4_000, 8_000])
    })
  )
})

describe("a 429", () => {
  it.effect("halves the rate, which doubles back every ten seconds, never above what was set", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 40, concurrency: 1_000 })
      yield* TestClock.adjust(1)
      yield* limiter.slowDown(1)
      expect(yield* limiter.currentRate).toBe(20)
      const times = yield* sending(limiter, 200)
      yield* TestClock.adjust("2 seconds")
      // The burst is gone as well: one second's worth at once, then 20 a second.
      expect(times.length).toBe(60)

      yield* limiter.slowDown(2_001)
      expect(yield* limiter.currentRate).toBe(10)
      yield* TestClock.adjust("9999 millis")
      expect(yield* limiter.currentRate).toBe(10)
      yield* TestClock.adjust(1)
      expect(yield* limiter.currentRate).toBe(20)
      yield* TestClock.adjust("10 seconds")
      expect(yield* limiter.currentRate).toBe(40)
      yield* TestClock.adjust("1 hour")
      expect(yield* limiter.currentRate).toBe(40)
    })
  )

  it.effect("halves once for all requests that were under way together", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 64, concurrency: 1_000 })
      yield* TestClock.adjust(1_000)
      for (let i = 0; i < 32; i++) yield* limiter.slowDown(900 + i)
      expect(yield* limiter.currentRate).toBe(32)
      // Sent after the halving, and still too fast.
      yield* TestClock.adjust(100)
      yield* limiter.slowDown(1_050)
      expect(yield* limiter.currentRate).toBe(16)
    })
  )

  it.effect("never brings the rate below one request per second", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 50, concurrency: 1_000 })
      for (let i = 1; i <= 20; i++) {
        yield* TestClock.adjust(1)
        yield* limiter.slowDown(i)
      }
      expect(yield* limiter.currentRate).toBe(1)
      const times = yield* sending(limiter, 5)
      yield* TestClock.adjust("3 seconds")
      expect(times.length).toBeGreaterThanOrEqual(3)
    })
  )

  it.effect("is forgotten in time also when the clock is set back by an hour", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 40, concurrency: 1_000 })
      yield* TestClock.setTime(3_600_000)
      yield* limiter.slowDown(3_600_000)
      yield* TestClock.setTime(0)
      expect(yield* limiter.currentRate).toBe(20)
      yield* TestClock.adjust("10 seconds")
      expect(yield* limiter.currentRate).toBe(40)
    })
  )
})

describe("a pause that the service asked for", () => {
  it.effect("is one of all requests, also where no rate is set", () =>
    Effect.gen(function* () {
      for (const ratePerSecond of [0, 10]) {
        const limiter = yield* makeLimiter({ ratePerSecond, concurrency: 1_000 })
        yield* limiter.pause(7_000)
        const from = yield* Clock.currentTimeMillis
        const times = yield* sending(limiter, 3)
        yield* TestClock.adjust("6999 millis")
        expect(times).toEqual([])
        yield* TestClock.adjust("1 second")
        expect(times.map((time) => time - from)).toEqual([7_000, 7_000, 7_000])
      }
    })
  )

  it.effect("is the longest of those that were asked for together, and ten seconds at most", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 10, concurrency: 1_000 })
      yield* limiter.pause(9_000)
      yield* limiter.pause(2_000)
      const times = yield* sending(limiter, 1)
      yield* TestClock.adjust("10 seconds")
      expect(times).toEqual([9_000])
      yield* limiter.pause(3_600_000)
      const later = yield* sending(limiter, 1)
      yield* TestClock.adjust("1 hour")
      expect(later).toEqual([20_000])
    })
  )

  it.effect("holds up no stop", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 10, concurrency: 1_000 })
      yield* limiter.pause(9_000)
      const others = yield* sending(limiter, 1)
      const stops = yield* sending(limiter, 2).pipe(Effect.provideService(CurrentLane, "stop"))
      yield* TestClock.adjust("10 seconds")
      expect(stops).toEqual([0, 0])
      expect(others).toEqual([9_000])
    })
  )

  it.effect("is over in time also when the clock is set back by an hour", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 0, concurrency: 1_000 })
      yield* TestClock.setTime(3_600_000)
      yield* limiter.pause(5_000)
      yield* TestClock.setTime(0)
      const times = yield* sending(limiter, 1)
      yield* TestClock.adjust("11 seconds")
      expect(times.length).toBe(1)
    })
  )
})

describe("requests in flight", () => {
  it.effect("are never more than allowed, and the next one goes when one ends, however it ends", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 0, concurrency: 2 })
      const log: Array<string> = []
      const a = yield* holding(limiter, log, "a", "observe")
      const b = yield* holding(limiter, log, "b", "observe")
      const c = yield* holding(limiter, log, "c", "observe")
      const failing = yield* limiter
        .gate(
          Effect.andThen(
            Effect.sync(() => log.push("fails")),
            Effect.fail("boom")
          )
        )
        .pipe(Effect.forkChild({ startImmediately: true }))
      const e = yield* holding(limiter, log, "e", "observe")
      expect(log).toEqual(["a", "b"])
      yield* a.end
      expect(log).toEqual(["a", "b", "c"])
      yield* Fiber.interrupt(b.fiber)
      // The one that fails gives its place on as well.
      yield* Fiber.await(failing)
      yield* TestClock.adjust(0)
      expect(log).toEqual(["a", "b", "c", "fails", "e"])
      yield* c.end
      yield* e.end
    })
  )
})

describe("lanes", () => {
  it.effect("go in the order stop, observe, launch, logs, sweep, and within one in order of arrival", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 0, concurrency: 1 })
      const log: Array<string> = []
      const first = yield* holding(limiter, log, "first", "sweep")
      const arrivals: ReadonlyArray<Lane> = ["sweep", "logs", "launch", "launch", "observe", "stop", "stop"]
      const waiting = yield* Effect.forEach(arrivals, (lane, nth) =>
        Effect.map(holding(limiter, log, `${lane} ${nth}`, lane), (held) => held)
      )
      yield* first.end
      for (let i = 0; i < waiting.length; i++) {
        // Whoever is in flight ends; the next in line follows.
        const running = log.at(-1)!
        yield* waiting[Number(running.split(" ")[1])]!.end
      }
      expect(log).toEqual([
        "first",
        "stop 5",
        "stop 6",
        "observe 4",
        "launch 2",
        "launch 3",
        "logs 1",
        "sweep 0"
      ])
    })
  )

  it.effect("let a stop pass a storm of launches that waits for the rate", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 10, concurrency: 1_000 })
      yield* sending(limiter, 3_000).pipe(Effect.provideService(CurrentLane, "launch"))
      yield* TestClock.adjust("1 second")
      const stop = yield* limiter
        .gate(Clock.currentTimeMillis)
        .pipe(Effect.provideService(CurrentLane, "stop"), Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(stop)).toBe(1_100)
    })
  )
})

describe("an interrupted wait", () => {
  it.effect("leaves no trace: its place and its turn go to the next", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 0, concurrency: 1 })
      const log: Array<string> = []
      const a = yield* holding(limiter, log, "a", "observe")
      const gone = yield* holding(limiter, log, "gone", "observe")
      const next = yield* holding(limiter, log, "next", "observe")
      yield* Fiber.interrupt(gone.fiber)
      yield* a.end
      expect(log).toEqual(["a", "next"])
      yield* next.end
      const last = yield* holding(limiter, log, "last", "observe")
      expect(log).toEqual(["a", "next", "last"])
      yield* last.end
    })
  )

  it.effect("gives back a turn that came in the very moment of the interruption", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 0, concurrency: 1 })
      const log: Array<string> = []
      const wait = limiter.gate(Effect.sync(() => log.push("went")))
      // Each fiber rests after so many steps, so that the interruption meets every point between turn and request.
      for (let steps = 2; steps <= 40; steps++) {
        const waiting = yield* limiter.gate(
          wait.pipe(
            Effect.provideService(Scheduler.MaxOpsBeforeYield, steps),
            Effect.forkChild({ startImmediately: true }),
            Effect.tap(() => TestClock.adjust(0))
          )
        )
        waiting.interruptUnsafe()
        yield* Fiber.await(waiting)
        log.length = 0
        const next = yield* Effect.forkChild(wait)
        yield* TestClock.adjust(0)
        expect(log, `after ${steps} steps`).toEqual(["went"])
        yield* Fiber.await(next)
      }
    })
  )

  it.effect("costs no token", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 1, concurrency: 10 })
      yield* sending(limiter, 2)
      const waiting = yield* limiter.gate(Effect.void).pipe(Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust(500)
      yield* Fiber.interrupt(waiting)
      const times = yield* sending(limiter, 1)
      yield* TestClock.adjust("1 second")
      expect(times).toEqual([1_000])
    })
  )
})

describe("patience", () => {
  const impatient = { within: Duration.seconds(5), orElse: Effect.succeed("not sent") }

  it.effect("ends a wait for the turn, never a request that is under way", () =>
    Effect.gen(function* () {
      const limiter = yield* makeLimiter({ ratePerSecond: 0, concurrency: 1 })
      const running = yield* limiter
        .gate(Effect.as(Effect.sleep("1 minute"), "sent"), impatient)
        .pipe(Effect.forkChild({ startImmediately: true }))
      const waiting = yield* limiter
        .gate(Effect.succeed("sent"), impatient)
        .pipe(Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("5 seconds")
      expect(yield* Fiber.join(waiting)).toBe("not sent")
      const patient = yield* limiter
        .gate(Effect.succeed("sent"))
        .pipe(Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("1 minute")
      expect(yield* Fiber.join(running)).toBe("sent")
      expect(yield* Fiber.join(patient)).toBe("sent")
    })
  )
})

it.effect("even no patience at all is enough where nothing stands in the way", () =>
  Effect.gen(function* () {
    const limiter = yield* makeLimiter({ ratePerSecond: 1, concurrency: 1 })
    const none = { within: Duration.zero, orElse: Effect.succeed("not sent") }
    expect(yield* limiter.gate(Effect.succeed("sent"), none)).toBe("sent")
    expect(yield* limiter.gate(Effect.succeed("sent"), none)).toBe("sent")
    const third = yield* Effect.forkChild(limiter.gate(Effect.succeed("sent"), none))
    yield* TestClock.adjust(0)
    expect(yield* Fiber.join(third)).toBe("not sent")
  })
)

it.effect("the limiter's own timer ends with its scope, also while requests wait", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const limiter = yield* Scope.provide(makeLimiter({ ratePerSecond: 1, concurrency: 10 }), scope)
    yield* sending(limiter, 10)
    yield* Scope.close(scope, Exit.void)
    expect(yield* limiter.currentRate).toBe(1)
  })
)
