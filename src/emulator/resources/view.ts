/** Objects as they are read: the envelope around what was stored, and lists with their next page. */
import { type Answer, ok } from "../answer.ts"
import { at, type Json, type JsonObject, object } from "../json.ts"
import { gvcPath, orgPath } from "../links.ts"
import type { Query, Reader } from "../query.ts"
import type { Resource, Store } from "../store.ts"

import { kindOf } from "./kinds.ts"

export const iso = (milliseconds: number): string => new Date(milliseconds).toISOString()

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

/** Fields are looked up where a client sees them: in the envelope, in the body by their path, `type` also in `spec`. */
const property = (resource: Resource, path: string): Json | undefined => {
  switch (path) {
    case "name":
    case "id":
    case "kind":
    case "version":
      return resource[path]
    case "description":
      return resource.description ?? resource.name
    case "created":
    case "lastModified":
      return iso(resource[path])
    default: {
      const parts = path.split(".")
      return at(resource.body, parts) ?? at(resource.body, ["spec", ...parts])
    }
  }
}

export const resourceReader: Reader<Resource> = {
  property,
  tag: ({ tags }, name) => (Object.hasOwn(tags, name) ? tags[name] : undefined),
  rel: ({ gvc, org }, name) => (name === "gvc" ? gvc : name === "org" ? org : undefined)
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
