/**
 * Whether a workload's deployment is ready in each location.
 *
 * Invariant: as with the service, a deployment that waits for a secret says nothing: it is just not ready.
 */
import { at, type JsonObject, listOf, objectOf, textOf } from "../json.ts"
import { gvcOf, locationsOf } from "../resources/gvc.ts"
import type { Resource, Store } from "../store.ts"
import { missingSecrets } from "./secrets.ts"

export interface LocationState {
  readonly location: string
  readonly waitsForSecret: boolean
}

const environments = (resource: Resource): ReadonlyArray<string> =>
  listOf(at(resource.body, ["spec", "containers"])).flatMap((container) =>
    listOf(objectOf(container)["env"]).flatMap((each) => textOf(objectOf(each)["value"]) ?? [])
  )

/** One for each location of the GVC. */
export const locationStates = (resource: Resource, store: Store["Service"]): ReadonlyArray<LocationState> => {
  const values = environments(resource).filter((value) => value.startsWith("cpln://secret/"))
  const waitsForSecret = missingSecrets(values, resource.org, store).length > 0
  return locationsOf(gvcOf(resource, store), store).map((location) => ({ location, waitsForSecret }))
}

export const isReady = ({ waitsForSecret }: LocationState): boolean => !waitsForSecret

export const isSuspended = (body: JsonObject): boolean =>
  at(body, ["spec", "defaultOptions", "suspend"]) === true
