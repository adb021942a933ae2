/**
 * Paths of objects, and the short links that bodies may carry.
 *
 * Invariant: what is stored holds full links only; `//identity/x` means one of the same GVC.
 */
import { isObject, type Json, type JsonObject } from "./json.ts"

export interface Place {
  readonly org: string
  readonly gvc: string | undefined
}

/** Kinds that live in a GVC; all others live in the org. */
export const gvcKinds = ["workload", "identity", "volumeset", "dbcluster"]

export const orgPath = (org: string): string => `/org/${org}`
export const gvcPath = (org: string, gvc: string): string => `/org/${org}/gvc/${gvc}`

/** The collection that objects of a kind are in. */
export const collectionPath = ({ org, gvc }: Place, kind: string): string =>
  kind === "org"
    ? "/org"
    : gvc === undefined || !gvcKinds.includes(kind)
      ? `/org/${org}/${kind}`
      : `/org/${org}/gvc/${gvc}/${kind}`

export const lastSegment = (link: string): string => link.slice(link.lastIndexOf("/") + 1)

/** `//secret/x` → `/org/O/secret/x`, `//identity/x` → `/org/O/gvc/G/identity/x`; anything else as it is. */
export const expandLink = (link: string, place: Place): string => {
  if (!link.startsWith("//")) return link
  const rest = link.slice(2)
  const kind = rest.slice(0, Math.max(0, rest.indexOf("/")))
  return gvcKinds.includes(kind) && place.gvc !== undefined
    ? `${gvcPath(place.org, place.gvc)}/${rest}`
    : `${orgPath(place.org)}/${rest}`
}

const isLinkField = (key: string): boolean => /links?$/iu.test(key)

const expandedValue = (value: Json, place: Place, isLink: boolean): Json => {
  if (typeof value === "string") return isLink ? expandLink(value, place) : value
  if (Array.isArray(value)) return value.map((each: Json) => expandedValue(each, place, isLink))
  return isObject(value) ? expandLinks(value, place) : value
}

/** Expands the short links in all fields whose name ends with Link or Links. */
export const expandLinks = (body: JsonObject, place: Place): JsonObject =>
  Object.fromEntries(
    Object.entries(body).map(([key, value]) => [key, expandedValue(value, place, isLinkField(key))])
  )
