/**
 * Rows of long lists that are read every few seconds: a row that did not change since is given as it was decoded then.
 * Decoding a thousand runs anew in every cycle is most of what a quiet agent would do, and nearly all of its garbage.
 *
 * Invariant: a row is given again only when its id and its marks are those of before; what was not read for a minute or
 * two is forgotten.
 */
import { Clock, Effect, Schema } from "effect"

/** The id of a raw row, and all that tells whether it changed; undefined when it must be decoded in any case. */
export type Marks = (
  row: Readonly<Record<string, unknown>>
) => readonly [id: string, marks: string] | undefined

interface Kept<A> {
  readonly marks: string
  readonly value: A
}

/** Two of these after the last read a row is forgotten, in ms. */
const generation = 60_000

export const keptRows = <S extends Schema.Constraint>(schema: S, marksOf: Marks) => {
  const decode = Schema.decodeUnknownEffect(Schema.Array(schema))
  let young = new Map<string, Kept<S["Type"]>>()
  let old = young
  let since = 0

  /** Fails with the schema's error as soon as one changed row is not as it should be. */
  return Effect.fnUntraced(function* (rows: ReadonlyArray<unknown>) {
    const now = yield* Clock.currentTimeMillis
    if (now - since > generation) {
      old = young
      young = new Map()
      since = now
    }
    const marked = rows.map((row) =>
      typeof row === "object" && row !== null ? marksOf(row as Record<string, unknown>) : undefined
    )
    const known = marked.map((mark) => {
      const kept = mark === undefined ? undefined : (young.get(mark[0]) ?? old.get(mark[0]))
      return kept?.marks === mark?.[1] ? kept : undefined
    })
    const fresh = yield* decode(rows.filter((_, index) => known[index] === undefined))
    let next = 0
    return rows.map((_, index): S["Type"] => {
      const mark = marked[index]
      const kept = known[index] ?? { marks: mark?.[1] ?? "", value: fresh[next++] }
      if (mark !== undefined) young.set(mark[0], kept)
      return kept.value
    })
  })
}
