/** States that the modelled server accepts at once and writes late. */
import { Clock, Duration, Effect, Fiber } from "effect"
import type { Orchestration } from "../../../src/prefect/schemas.ts"
import type { Proposed } from "./prefect-model.ts"

/** The answer, once what it says has been written: that happens whatever becomes of who waits for it. */
export const answered = Effect.fnUntraced(function* ({
  answer,
  landing
}: Proposed): Effect.fn.Return<Orchestration> {
  if (landing === undefined) return answer
  const { after, land } = landing
  const landed = yield* Effect.sleep(Duration.millis(after)).pipe(
    Effect.andThen(Effect.map(Clock.currentTimeMillis, land)),
    Effect.forkDetach
  )
  yield* Fiber.await(landed)
  return answer
})
