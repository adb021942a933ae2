/** One test in a world of its own: the name is the seed, so that each test always tells the same story. */
import { it } from "@effect/vitest"
import { type Duration, Effect, Fiber, Random, type Result, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { makeWorld, type World, type WorldOptions } from "./world.ts"

export const scenario = (
  name: string,
  body: (world: World) => Effect.Effect<void, unknown, Scope.Scope>,
  options: WorldOptions = {}
): void =>
  it.effect(name, () => makeWorld(options).pipe(Effect.flatMap(body), Effect.scoped, Random.withSeed(name)))

/** Lets time pass, in steps small enough that nothing is skipped. */
export const pass = (time: Duration.Input): Effect.Effect<void> => TestClock.adjust(time)

/** What comes of the effect, which has this much time. */
export const within = <A, E, R>(
  time: Duration.Input,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Result.Result<A, E>, never, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.result(effect))
    yield* pass(time)
    return yield* Fiber.join(fiber)
  })
