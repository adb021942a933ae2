/**
 * Lists and queries come in pages; the next one is a link, absolute or relative, always to be read with GET.
 *
 * Invariant: every page is followed, no object is given twice, and a link that was followed before ends the walk.
 */
import { Effect, Schema } from "effect"
import { HttpClientRequest } from "effect/http"
import { type Api, jsonWith, RawRows } from "../http/api.ts"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import { Link } from "./schemas.ts"

const Page = Schema.Struct({
  items: Schema.optionalKey(Schema.NullOr(RawRows)),
  links: Schema.optionalKey(Schema.NullOr(Schema.Array(Link)))
})

/** From rows as they came to what they are; it may know some of them. */
export type Rows<A> = (rows: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<A>, Schema.SchemaError>

/** Decodes every row. */
export const rowsOf = <A>(item: Schema.Codec<A, unknown>): Rows<A> =>
  Schema.decodeUnknownEffect(Schema.Array(item))

const page = <A>(decode: Rows<A>) =>
  jsonWith(Page, ({ items, links }) =>
    Effect.map(decode(items ?? []), (rows) => ({
      items: rows,
      next: links?.find(({ rel }) => rel === "next")?.href
    }))
  )

/**
 * The path of a link found at `from`: hosts differ between inside and outside of the platform, so ours is kept. A link
 * that is only a query belongs to the same path; any other counts from the base, as the service's own clients take it.
 */
export const pathOf = (href: string, from: string): string => {
  const path = href.replace(/^https?:\/\/[^/?]+/u, "")
  if (path.startsWith("?")) return `${from.split("?", 1)[0]}${path}`
  return path.startsWith("/") ? path : `/${path}`
}

/** All items, each once by `keyOf`; `at` is the clock of the first page, when everything in it was true. */
export const allPages = <A>(
  api: Api,
  first: HttpClientRequest.HttpClientRequest,
  rows: Rows<A>,
  keyOf: (value: A) => string,
  /** Before every page but the first: long lists that nobody waits for are read slowly. */
  between: Effect.Effect<void> = Effect.void
): Effect.Effect<Seen<ReadonlyArray<A>>, ApiError> =>
  Effect.gen(function* () {
    const found = new Map<string, A>()
    const walked = new Set<string>()
    let request = first
    let at: number | undefined
    for (;;) {
      const answer = yield* Effect.flatMap(api.repeatable(request), page(rows))
      at ??= answer.at
      const { items, next } = answer.value
      for (const value of items) found.set(keyOf(value), value)
      if (!next || walked.has(next)) return { value: [...found.values()], at }
      walked.add(next)
      yield* between
      request = HttpClientRequest.get(pathOf(next, request.url))
    }
  })

/** What the first page holds, and whether there are more. */
export const firstPage = <A>(
  api: Api,
  request: HttpClientRequest.HttpClientRequest,
  rows: Rows<A>
): Effect.Effect<Seen<{ readonly items: ReadonlyArray<A>; readonly more: boolean }>, ApiError> =>
  Effect.map(Effect.flatMap(api.repeatable(request), page(rows)), ({ at, value: { items, next } }) => ({
    value: { items, more: Boolean(next) },
    at
  }))
