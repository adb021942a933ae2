/** Workloads as a kind: their rules where other objects are needed, and how they are read back. */
import { isReady, locationStates, readyReplicas } from "./readiness.ts"
import { at, type JsonObject, listOf, textOf } from "../json.ts"
import { collectionPath, expandLink } from "../links.ts"
import { gvcOf } from "../resources/gvc.ts"
import type { Draft, Kind } from "../resources/kind.ts"
import type { Resource, Store } from "../store.ts"
import { coercedWorkload } from "./coerce.ts"
import { withDefaults } from "./defaults.ts"
import { typeOf, workloadProblems } from "./rules.ts"

const identityProblems = (draft: Draft, store: Store["Service"]): ReadonlyArray<string> => {
  const link =
    draft.body["spec"] === undefined ? undefined : (draft.body["spec"] as JsonObject)["identityLink"]
  if (link === undefined || link === null || link === "") return []
  const path = textOf(link)
  const wanted = path === undefined ? undefined : expandLink(path, draft)
  const isHere = wanted?.startsWith(`/org/${draft.org}/gvc/${draft.gvc}/identity/`) === true
  return isHere && store.get(wanted!) !== undefined
    ? []
    : [`"spec.identityLink" ${JSON.stringify(link)} is not an identity of this GVC`]
}

const volumeSet = "cpln://volumeset/"

/** A set that is not shared belongs to one replica at a time, which only stateful workloads can promise. */
const volumeSetProblems = ({ org, gvc, body }: Draft, store: Store["Service"]): ReadonlyArray<string> => {
  if (typeOf(body) === "stateful") return []
  const uris = listOf(at(body, ["spec", "containers"])).flatMap((container) =>
    listOf(at(container, ["volumes"])).flatMap((volume) => textOf(at(volume, ["uri"])) ?? [])
  )
  return uris.flatMap((uri) => {
    if (!uri.startsWith(volumeSet)) return []
    const path = `${collectionPath({ org, gvc }, "volumeset")}/${uri.slice(volumeSet.length)}`
    const system = textOf(at(store.get(path)?.body, ["spec", "fileSystemType"]))
    return system === undefined || system === "shared"
      ? []
      : [`"spec.containers.volumes" ${uri} has the file system ${system}: only stateful workloads can use it`]
  })
}

/** Defaults never change for a version, and lists read them again and again. */
const readBack = new WeakMap<JsonObject, JsonObject>()

const read = ({ body }: Resource): JsonObject => {
  const found = readBack.get(body)
  if (found !== undefined) return found
  const made = withDefaults(body)
  readBack.set(body, made)
  return made
}

const healthOf = (resource: Resource, store: Store["Service"]): JsonObject => {
  const states = locationStates(resource, store)
  const ready = states.filter(isReady).length
  return {
    readiness: ready === states.length ? "ready" : "notReady",
    syncFailed: false,
    readyLocations: ready,
    totalLocations: states.length,
    readyReplicas: states.reduce((sum, state) => sum + readyReplicas(state), 0),
    totalReplicas: states.reduce((sum, { wanted }) => sum + wanted, 0)
  }
}

export const workloadKind: Kind = {
  name: "workload",
  scope: "gvc",
  allows: ["create", "change", "delete"],
  normal: coercedWorkload,
  problems: (draft, store, before) => {
    const unknown = Object.keys(draft.body).filter((key) => key !== "spec")
    const problems = unknown.map((key) => `"${key}" is not allowed`)
    const rules = workloadProblems(draft.body, draft.tags, before?.body)
    return [
      ...problems,
      ...rules,
      ...(rules.length > 0 ? [] : [...identityProblems(draft, store), ...volumeSetProblems(draft, store)])
    ]
  },
  read,
  links: ({ path }) => [
    { rel: "deployment", href: `${path}/deployment` },
    { rel: "command", href: `${path}/-command` },
    { rel: "eventlog", href: `${path}/-eventlog` }
  ],
  extra: (resource, store) => ({
    status: {
      parentId: gvcOf(resource, store)?.id ?? "",
      internalName: resource.name,
      currentReplicaCount: store.replicas(resource.path)?.length ?? 0
    },
    health: healthOf(resource, store)
  })
}
