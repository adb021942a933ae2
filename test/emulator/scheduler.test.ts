/** Everything that happens later. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import { Scheduler } from "../../src/emulator/scheduler.ts"

describe("the scheduler", () => {
  it.effect("does things in order of their time, those of one time in the order they were planned", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler
      const done: Array<string> = []
      const plan = (at: number, name: string) =>
        scheduler.plan(
          at,
          Effect.sync(() => done.push(name))
        )
      plan(300, "c")
      plan(100, "a")
      plan(200, "b1")
      plan(200, "b2")
      plan(-5, "now")
      yield* TestClock.adjust("0 millis")
      expect(done).toEqual(["now"])
      yield* TestClock.adjust("250 millis")
      expect(done).toEqual(["now", "a", "b1", "b2"])
      plan(260, "between")
      yield* TestClock.adjust("1 second")
      expect(done).toEqual(["now", "a", "b1", "b2", "between", "c"])
    }).pipe(Effect.provide(Scheduler.layer))
  )

  it.effect("does nothing that was cancelled, and forgets it", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler
      let count = 0
      const plans = Array.from({ length: 5000 }, (_, index) =>
        scheduler.plan(
          1000 + index,
          Effect.sync(() => count++)
        )
      )
      plans.filter((_, index) => index % 10 !== 0).forEach((plan) => scheduler.cancel(plan))
      plans.slice(0, 2).forEach((plan) => scheduler.cancel(plan))
      expect(scheduler.size()).toBe(499)
      yield* TestClock.adjust("10 seconds")
      expect([count, scheduler.size()]).toEqual([499, 0])
      plans.forEach((plan) => scheduler.cancel(plan))
      expect(scheduler.size()).toBe(0)
    }).pipe(Effect.provide(Scheduler.layer))
  )

  it.effect("goes on after a step that failed", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler
      let after = false
      scheduler.plan(10, Effect.die("broken"))
      scheduler.plan(
        20,
        Effect.sync(() => (after = true))
      )
      yield* TestClock.adjust("1 second")
      expect(after).toBe(true)
    }).pipe(Effect.provide(Scheduler.layer))
  )
})
