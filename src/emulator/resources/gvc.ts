/** What a GVC decides for all that is in it: where it runs, and what it adds to environments. */
import { Result } from "effect"
import { at, isObject, type Json, type JsonObject, listOf, objectOf, textOf } from "../json.ts"
import { envProblems } from "../workload/container-rules.ts"
import { collectionPath, gvcPath, lastSegment, orgPath } from "../links.ts"
import { matches, queryOf } from "../query.ts"
import type { Resource, Store } from "../store.ts"
import type { Draft, Kind } from "./kind.ts"
import { resourceReader } from "./reader.ts"

/** 13 characters, a letter first. */
export const aliasOf = (gvc: Resource): string => `a${gvc.id.replaceAll("-", "").slice(0, 12)}`

const placementProblems = ({ org, body }: Draft, store: Store["Service"]): ReadonlyArray<string> => {
  const { spec } = body
  if (spec !== undefined && !isObject(spec)) return [`"spec" must be an object`]
  const links = at(spec, ["staticPlacement", "locationLinks"])
  if (links !== undefined && !Array.isArray(links))
    return [`"spec.staticPlacement.locationLinks" must be an array`]
  const missing = listOf(links).filter((link) => {
    const path = textOf(link)
    return (
      path === undefined || !path.startsWith(`${orgPath(org)}/location/`) || store.get(path) === undefined
    )
  })
  const asked = at(spec, ["staticPlacement", "locationQuery"])
  const query = asked === undefined ? undefined : queryOf(asked)
  return [
    ...(query !== undefined && Result.isFailure(query)
      ? [`"spec.staticPlacement.locationQuery": ${query.failure}`]
      : []),
    ...missing.map(
      (link) => `"spec.staticPlacement.locationLinks" ${JSON.stringify(link)} is not a location of ${org}`
    ),
    ...envProblems(at(spec, ["env"]), "spec")
  ]
}

export const gvcKind: Kind = {
  name: "gvc",
  scope: "org",
  allows: ["create", "change", "delete"],
  problems: placementProblems,
  links: ({ org, name }) =>
    ["workload", "identity", "volumeset"].map((kind) => ({
      rel: kind,
      href: `${gvcPath(org, name)}/${kind}`
    })),
  extra: (resource) => ({ alias: aliasOf(resource), status: {} })
}

/** Those that a query of the GVC finds, in order of creation. */
const queriedLocations = (org: string, asked: Json, store: Store["Service"]): ReadonlyArray<string> => {
  const query = queryOf(asked)
  return Result.isFailure(query)
    ? []
    : store
        .list(collectionPath({ org, gvc: undefined }, "location"))
        .filter((location) => matches(location, resourceReader, query.success))
        .map(({ name }) => name)
}

/** Short names of the locations that a GVC is placed in, by their links or by a query. */
export const locationsOf = (gvc: Resource | undefined, store: Store["Service"]): ReadonlyArray<string> => {
  if (gvc === undefined) return []
  const named = listOf(at(gvc.body, ["spec", "staticPlacement", "locationLinks"])).flatMap((link: Json) => {
    const path = textOf(link)
    return path === undefined ? [] : [lastSegment(path)]
  })
  const asked = at(gvc.body, ["spec", "staticPlacement", "locationQuery"])
  return asked === undefined ? named : [...new Set([...named, ...queriedLocations(gvc.org, asked, store)])]
}

/** The GVC that an object is in. */
export const gvcOf = (resource: Resource, store: Store["Service"]): Resource | undefined =>
  resource.gvc === undefined ? undefined : store.get(gvcPath(resource.org, resource.gvc))

/** What containers with `inheritEnv` get. */
export const envOf = (gvc: Resource | undefined): ReadonlyArray<JsonObject> =>
  listOf(at(gvc?.body, ["spec", "env"])).map(objectOf)
