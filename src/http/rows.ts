/**
 * Rows of long lists that are read every few seconds: a row that did not change since is given as it was decoded then.
 * Decoding a thousand runs anew in every cycle is most of what a quiet agent would do, and nearly all of its garbage.
 *
 * Invariant: a row is given again only when its id is that of before and it is told to be unchanged; what was not read for
 * a minute or two is forgotten.
 */
import { Clock, Effect, Schema } from "effect"

/** Whether a raw row is still what was decoded of it; false also where that cannot be told. */
export type IsUnchanged<A> = (row: Readonly<Record<string, unknown>>, decoded: A) => boolean

/** Two of these after the last read a row is forgotten, in ms. */
const generation = 60_000

export const keptRows = <S extends Schema.Constraint & { readonly Type: { readonly id: string } }>(
  schema: S,
  isUnchanged: IsUnchanged<S["Type"]>
) => {
  const decode = Schema.decodeUnknownEffect(Schema.Array(schema))
  let young = new Map<string, S["Type"]>()
  let old = young
  let since = 0

  const keptOf = (row: unknown): S["Type"] | undefined => {
    if (typeof row !== "object" || row === null || !("id" in row) || typeof row.id !== "string")
      return undefined
    const kept = young.get(row.id) ?? old.get(row.id)
    return kept !== undefined && isUnchanged(row as Record<string, unknown>, kept) ? kept : undefined
  }

  /** Fails with the schema's error as soon as one changed row is not as it should be. */
  return Effect.fnUntraced(function* (rows: ReadonlyArray<unknown>) {
    const now = yield* Clock.currentTimeMillis
    if (now - since > generation) {
      old = young
      young = new Map()
      since = now
    }
    const known = rows.map(keptOf)
    const fresh = yield* decode(rows.filter((_, index) => known[index] === undefined))
    let next = 0
    return known.map((kept): S["Type"] => {
      const value = kept ?? fresh[next++]!
      young.set(value.id, value)
      return value
    })
  })
}
