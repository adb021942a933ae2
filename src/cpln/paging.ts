/**
 * Lists and queries come in pages; the next one is a link, absolute or relative, always to be read with GET.
 *
 * Invariant: every page is followed, no object is given twice, and a link that was followed before ends the walk.
 */
import { Effect, Schema } from "effect"
import { HttpClientRequest } from "effect/http"
import { type Api, json } from "../http/api.ts"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import { Link } from "./schemas.ts"

const pageOf = <S extends Schema.Constraint>(item: S) =>
  Schema.Struct({
    items: Schema.optionalKey(Schema.NullOr(Schema.Array(item))),
    links: Schema.optionalKey(Schema.NullOr(Schema.Array(Link)))
  })

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
export const allPages = <S extends Schema.Constraint>(
  api: Api,
  first: HttpClientRequest.HttpClientRequest,
  item: S,
  keyOf: (value: S["Type"]) => string,
  /** Before every page but the first: long lists that nobody waits for are read slowly. */
  between: Effect.Effect<void> = Effect.void
): Effect.Effect<Seen<ReadonlyArray<S["Type"]>>, ApiError, S["DecodingServices"]> =>
  Effect.gen(function* () {
    const page = pageOf(item)
    const found = new Map<string, S["Type"]>()
    const walked = new Set<string>()
    let request = first
    let at: number | undefined
    for (;;) {
      const answer = yield* Effect.flatMap(api.repeatable(request), json(page))
      at ??= answer.at
      const body = answer.value as {
        items?: ReadonlyArray<S["Type"]> | null
        links?: ReadonlyArray<typeof Link.Type> | null
      }
      for (const value of body.items ?? []) found.set(keyOf(value), value)
      const next = body.links?.find((link) => link.rel === "next")?.href
      if (!next || walked.has(next)) return { value: [...found.values()], at }
      walked.add(next)
      yield* between
      request = HttpClientRequest.get(pathOf(next, request.url))
    }
  })

/** What the first page holds, and whether there are more. */
export const firstPage = <S extends Schema.Constraint>(
  api: Api,
  request: HttpClientRequest.HttpClientRequest,
  item: S
): Effect.Effect<
  Seen<{ readonly items: ReadonlyArray<S["Type"]>; readonly more: boolean }>,
  ApiError,
  S["DecodingServices"]
> =>
  Effect.gen(function* () {
    const { value, at } = yield* Effect.flatMap(api.repeatable(request), json(pageOf(item)))
    const body = value as {
      items?: ReadonlyArray<S["Type"]> | null
      links?: ReadonlyArray<typeof Link.Type> | null
    }
    return {
      value: {
        items: body.items ?? [],
        more: body.links?.some(({ href, rel }) => rel === "next" && href !== "") === true
      },
      at
    }
  })
