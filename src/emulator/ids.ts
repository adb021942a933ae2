/** Ids, by Effect's Random, so that a seed repeats them. Never for secrets: tokens come from SecureRandom. */
import { Effect, Random } from "effect"

const word = Random.nextIntBetween(0, 0xffff_ffff)

const hex = (value: number, digits: number): string => value.toString(16).padStart(8, "0").slice(-digits)

/** A UUID of version 4. */
export const uuid: Effect.Effect<string> = Effect.gen(function* () {
  const [a, b, c, d] = [yield* word, yield* word, yield* word, yield* word]
  const variant = ((b >>> 4) & 0x3fff) | 0x8000
  return `${hex(a, 8)}-${hex(b >>> 16, 4)}-4${hex(c, 3)}-${hex(variant, 4)}-${hex(c >>> 16, 4)}${hex(d, 8)}`
})

const letters = "bcdfghjklmnpqrstvwxz2456789"

/** As the platform ends the names of pods. */
export const suffix = (length: number): Effect.Effect<string> =>
  Effect.map(Effect.replicateEffect(Random.nextIntBetween(0, letters.length - 1), length), (indexes) =>
    indexes.map((index) => letters[index]).join("")
  )
