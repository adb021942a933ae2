/** What a GVC decides for all that is in it: where it runs, and what it adds to environments. */
import { at, isObject, type Json, type JsonObject, listOf, objectOf, textOf } from "../json.ts"
import { envProblems } from "../workload/container-rules.ts"
import { gvcPath, lastSegment, orgPath } from "../links.ts"
import type { Resource, Store } from "../store.ts"
import type { Draft, Kind } from "./kind.ts"

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
  return [
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

/** Short names of the locations that a GVC is placed in. */
export const locationsOf = (gvc: Resource | undefined): ReadonlyArray<string> =>
  listOf(at(gvc?.body, ["spec", "staticPlacement", "locationLinks"])).flatMap((link: Json) => {
    const path = textOf(link)
    return path === undefined ? [] : [lastSegment(path)]
  })

/** The GVC that an object is in. */
export const gvcOf = (resource: Resource, store: Store["Service"]): Resource | undefined =>
  resource.gvc === undefined ? undefined : store.get(gvcPath(resource.org, resource.gvc))

/** What containers with `inheritEnv` get. */
export const envOf = (gvc: Resource | undefined): ReadonlyArray<JsonObject> =>
  listOf(at(gvc?.body, ["spec", "env"])).map(objectOf)
