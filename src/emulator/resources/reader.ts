/** What a query can ask of an object of any kind. Pure, and below the kinds themselves: some of them ask too. */
import { at, type Json } from "../json.ts"
import type { Reader } from "../query.ts"
import type { Resource } from "../store.ts"

export const iso = (milliseconds: number): string => new Date(milliseconds).toISOString()

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
