/**
 * Something that can be ended and started anew in the middle of a test: a server, an agent.
 *
 * Invariant: whatever runs last ends with the scope that it was first started in.
 */
import { Effect, Exit, Scope } from "effect"

export interface Restarting<A> {
  readonly current: () => A
  /** Ends it as its scope does, waits, and starts it again. */
  readonly restart: (downFor?: number) => Effect.Effect<void>
  /** Lets go of one that ended by itself, and starts another. */
  readonly replace: Effect.Effect<void>
}

/** `make` is told how often it was made before. */
export const restarting = Effect.fnUntraced(function* <A, E>(
  make: (times: number) => Effect.Effect<A, E, Scope.Scope>
) {
  let times = 0
  const begin = Effect.gen(function* () {
    const scope = yield* Scope.make()
    const value = yield* make(times++).pipe(
      Scope.provide(scope),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    return { scope, value }
  })
  let now = yield* begin
  yield* Effect.addFinalizer(() => Scope.close(now.scope, Exit.void))
  const again = (downFor: number) =>
    Effect.gen(function* () {
      yield* Scope.close(now.scope, Exit.void)
      yield* Effect.sleep(downFor)
      now = yield* Effect.orDie(begin)
    }).pipe(Effect.uninterruptible)
  const handle: Restarting<A> = {
    current: () => now.value,
    restart: (downFor = 0) => again(downFor),
    replace: again(0)
  }
  return handle
})
