/** Lists and queries over any collection: the first page by GET or `-query`, all later ones by GET with a cursor. */
import { Effect, Result } from "effect"
import type { Answer, Ask } from "../answer.ts"
import { type ApiError, badRequest } from "../errors.ts"
import type { Json } from "../json.ts"
import { cursorOf, everything, pageOf, type Query, queryOf, type Reader } from "../query.ts"
import { listAnswer } from "./view.ts"

interface Collection<A> {
  readonly itemKind: string
  /** Where the next page is got by GET. */
  readonly path: string
  /** In order of creation; the query tells what need not be looked at. */
  readonly all: (query: Query) => Iterable<A>
  readonly read: Reader<A>
  readonly view: (item: A) => Json
  readonly link: (item: A) => string
}

const answer = <A extends { readonly order: number }>(
  collection: Collection<A>,
  query: Query,
  isQuery: boolean,
  size: number,
  after?: { readonly key: string; readonly order: number }
): Answer => {
  const page = pageOf(collection.all(query), collection.read, query, size, after)
  const items = page.items.map((item) =>
    query.fetch === "links" ? collection.link(item) : collection.view(item)
  )
  const { itemKind, path } = collection
  return listAnswer({ itemKind, path, items, next: page.next, ...(isQuery ? { query } : {}) })
}

/** GET: everything, or what a cursor says. */
export const listed = <A extends { readonly order: number }>(
  { query: params }: Ask,
  size: number,
  collection: Collection<A>
): Effect.Effect<Answer, ApiError> =>
  Effect.suspend(() => {
    const next = params.get("next")
    if (next === null) return Effect.succeed(answer(collection, everything, false, size))
    const cursor = cursorOf(next)
    return cursor === undefined
      ? Effect.fail(badRequest(`"next" is no cursor of this service`))
      : Effect.succeed(
          answer(collection, cursor.query, Object.keys(cursor.query.source).length > 0, size, cursor.after)
        )
  })

/** POST `-query`. */
export const queried = <A extends { readonly order: number }>(
  { body }: Ask,
  size: number,
  collection: Collection<A>
): Effect.Effect<Answer, ApiError> =>
  Effect.suspend(() => {
    const query = queryOf(body ?? {})
    return Result.isFailure(query)
      ? Effect.fail(badRequest(query.failure))
      : Effect.succeed(answer(collection, query.success, true, size))
  })
