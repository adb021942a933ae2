/**
 * The two kinds of ids that proposals carry.
 *
 * Invariant: a claim's id is fresh chance, so that two agents never derive the same one; an end state's id is derived, so
 * that two replicas that write the same end are one write.
 */
import { createHash } from "node:crypto"
import { Effect, Random } from "effect"

const namespace = "6f6b8c52-2a0e-5d0f-9a34-7c1de5a0c9b1"

const dashed = (bytes: Uint8Array, version: number): string => {
  const own = Uint8Array.from(bytes.subarray(0, 16))
  own[6] = (own[6]! & 0x0f) | (version << 4)
  own[8] = (own[8]! & 0x3f) | 0x80
  const hex = Buffer.from(own).toString("hex")
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-")
}

/** A random UUID (version 4) from the `Random` service, so that tests own it. */
export const freshId: Effect.Effect<string> = Effect.gen(function* () {
  const bytes = new Uint8Array(16)
  for (let i = 0; i < bytes.length; i++) bytes[i] = yield* Random.nextIntBetween(0, 255)
  return dashed(bytes, 4)
})

/** UUID version 5 of the parts, such as (run, command, outcome). */
export const derivedId = (...parts: ReadonlyArray<string>): string =>
  dashed(
    createHash("sha1")
      .update(Buffer.from(namespace.replaceAll("-", ""), "hex"))
      .update(parts.join("|"))
      .digest(),
    5
  )
