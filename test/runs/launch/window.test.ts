import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { LaunchWindow, least, most, type Went } from "../../../src/runs/launch/window.ts"

type Window = LaunchWindow["Service"]

/** Launches that go on until they are told to end; each turn says how it went. */
const launches = (window: Window) => {
  const under: Array<Deferred.Deferred<Went>> = []
  const one = Effect.gen(function* () {
    const end = yield* Deferred.make<Went>()
    under.push(end)
    return yield* Deferred.await(end)
  })
  return {
    under,
    begin: (count: number) =>
      Effect.forEach(Array.from({ length: count }), () =>
        Effect.forkChild(
          window.turn(one, (exit) => (exit._tag === "Success" ? exit.value : "neither")),
          { startImmediately: true }
        )
      ),
    /** Ends all that are under way after so many ms. */
    end: (after: number, went: Went = "started") =>
      Effect.gen(function* () {
        const now = under.splice(0)
        yield* TestClock.adjust(after)
        for (const each of now) yield* Deferred.succeed(each, went)
        yield* TestClock.adjust(0)
        return now.length
      })
  }
}

const test = (name: string, body: (window: Window) => Effect.Effect<void, unknown>) =>
  it.effect(name, () => Effect.flatMap(LaunchWindow, body).pipe(Effect.provide(LaunchWindow.layer)))

describe("the launches of many late runs", () => {
  test("are few at first, and more each time while they go quickly", (window) =>
    Effect.gen(function* () {
      const { begin, end } = launches(window)
      yield* begin(1_000)
      const counts: Array<number> = []
      for (let i = 0; i < 4; i++) counts.push(yield* end(200))
      expect(counts).toEqual([8, 16, 32, most])
    }))

  test("become fewer, down to a few, while a service refuses, and more when it does not", (window) =>
    Effect.gen(function* () {
      const { begin, end } = launches(window)
      yield* begin(1_000)
      for (let i = 0; i < 3; i++) yield* end(200)
      const counts: Array<number> = []
      for (let i = 0; i < 6; i++) counts.push(yield* end(1_000, "trouble"))
      expect(counts).toEqual([32, 16, 8, least, least, least])
      for (let i = 0; i < 4; i++) counts.push(yield* end(200))
      expect(counts.at(-1)).toBeGreaterThan(least)
      expect(counts.at(-1)).toBeLessThan(8)
    }))

  test("go on beside those that hang", (window) =>
    Effect.gen(function* () {
      const { begin, under } = launches(window)
      yield* begin(least * 40)
      yield* TestClock.adjust("1 minute")
      expect(under.length).toBeGreaterThanOrEqual(8 + 3 * least)
      expect(window.width()).toBe(least)
      expect(window.waiting()).toBe(least * 40 - under.length)
    }))

  test("become fewer when they get slow, by what is usual here", (window) =>
    Effect.gen(function* () {
      const { begin, end } = launches(window)
      yield* begin(1_000)
      for (let i = 0; i < 3; i++) yield* end(2_000)
      // A service that is always slow is served as well as it can be.
      expect(window.width()).toBe(most)
      yield* end(18_000)
      expect(window.width()).toBe(most / 2)
    }))

  test("do not learn from one that was lost to another agent, or had nothing to start", (window) =>
    Effect.gen(function* () {
      const { begin, end } = launches(window)
      yield* begin(1_000)
      for (let i = 0; i < 5; i++) expect(yield* end(15_000, "neither")).toBe(8)
    }))
})

describe("the width", () => {
  test("does not grow while nobody waits", (window) =>
    Effect.gen(function* () {
      const { begin, end } = launches(window)
      for (let i = 0; i < 50; i++) {
        yield* begin(1)
        yield* end(200)
      }
      expect(window.width()).toBe(8)
    }))

  test("begins anew after a rest", (window) =>
    Effect.gen(function* () {
      const { begin, end } = launches(window)
      yield* begin(32)
      for (let i = 0; i < 3; i++) yield* end(200)
      expect(window.width()).toBeGreaterThan(8)
      yield* TestClock.adjust("1 minute")
      yield* begin(100)
      expect(yield* end(200)).toBe(8)
    }))

  test("forgets those that were interrupted, while they waited and while they had their turn", (window) =>
    Effect.gen(function* () {
      const { begin, under } = launches(window)
      const fibers = yield* begin(20)
      expect(window.waiting()).toBe(12)
      yield* Fiber.interruptAll(fibers)
      expect(window.waiting()).toBe(0)
      under.length = 0
      yield* begin(20)
      expect(under.length).toBe(8)
    }))
})
