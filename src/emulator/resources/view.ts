/** Objects as they are read: the envelope around what was stored, and lists with their next page. */
import { type Answer, ok } from "../answer.ts"
import { type Json, type JsonObject, object } from "../json.ts"
import { gvcPath, orgPath } from "../links.ts"
import type { Query } from "../query.ts"
import type { Resource, Store } from "../store.ts"
import { kindOf } from "./kinds.ts"
import { iso } from "./reader.ts"

export const resourceView = (resource: Resource, store: Store["Service"]): JsonObject => {
  const kind = kindOf(resource.kind)
  const { org, gvc, path } = resource
  return {
    kind: resource.kind,
    id: resource.id,
    name: resource.name,
    description: resource.description ?? resource.name,
    version: resource.version,
    tags: resource.tags,
    created: iso(resource.created),
    lastModified: iso(resource.lastModified),
    links: [
      { rel: "self", href: path },
      { rel: "org", href: orgPath(org) },
      ...(gvc === undefined ? [] : [{ rel: "gvc", href: gvcPath(org, gvc) }]),
      ...(kind?.links?.(resource) ?? [])
    ],
    ...(gvc === undefined ? {} : { gvc }),
    ...(kind?.read?.(resource, store) ?? resource.body),
    ...kind?.extra?.(resource, store)
  }
}

interface Listed {
  readonly itemKind: string
  readonly path: string
  readonly items: ReadonlyArray<Json>
  /** The cursor of the next page. */
  readonly next: string | undefined
  /** The query, when this answers one. */
  readonly query?: Query
}

/** Both lists and the results of queries; the next page of either is a GET. */
export const listAnswer = ({ itemKind, path, items, next, query }: Listed): Answer =>
  ok(
    object({
      kind: query === undefined ? "list" : "queryresult",
      itemKind,
      items,
      links: [
        { rel: "self", href: path },
        ...(next === undefined ? [] : [{ rel: "next", href: `${path}?next=${next}` }])
      ],
      query: query === undefined ? undefined : query.source
    })
  )
