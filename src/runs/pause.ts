/** The pause before a proposal is tried again: jittered, doubling, and never shorter than what the service asked for. */
import { Duration, Effect, Random } from "effect"
import type { ApiError } from "../http/errors.ts"

const first = 500
const longest = 8_000

export const pauseBefore = Effect.fnUntraced(function* (tried: number, error: ApiError) {
  const asked = "retryAfterMillis" in error ? (error.retryAfterMillis ?? 0) : 0
  const share = yield* Random.next
  yield* Effect.sleep(
    Duration.millis(Math.min(asked, longest) + share * Math.min(first * 2 ** tried, longest))
  )
})
