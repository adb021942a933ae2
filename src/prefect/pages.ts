/**
 * Lists of any length, read page by page.
 *
 * Invariant: every row is given once, and reading ends: at the first page that is not full, or that brings nothing new.
 * Rows may move between pages while we read, so absence from a list proves nothing.
 */
import { Effect } from "effect"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"

/** The most that a stock server gives at once (`PREFECT_API_DEFAULT_LIMIT`); more is a 422. */
export const pageSize = 200

export interface Page {
  readonly limit: number
  readonly offset: number
}

/** All rows, the later copy of a row that came twice; `at` is that of the first page, so that no row looks too old. */
export const everyPage = Effect.fnUntraced(function* <A>(
  read: (page: Page) => Effect.Effect<Seen<ReadonlyArray<A>>, ApiError>,
  keyOf: (row: A) => string
): Effect.fn.Return<Seen<ReadonlyArray<A>>, ApiError> {
  const rows = new Map<string, A>()
  let first: number | undefined
  for (let offset = 0; ; offset += pageSize) {
    const { value, at } = yield* read({ limit: pageSize, offset })
    first ??= at
    const before = rows.size
    for (const row of value) rows.set(keyOf(row), row)
    if (value.length < pageSize || rows.size === before)
      return { value: Array.from(rows.values()), at: first }
  }
})
