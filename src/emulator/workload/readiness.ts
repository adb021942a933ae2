/**
 * Whether a workload's deployment is ready in each location.
 *
 * Invariant: as with the service, a deployment that waits for a secret says nothing: it is just not ready.
 */
import { at, type JsonObject, listOf, objectOf, textOf } from "../json.ts"
import { gvcOf, locationsOf } from "../resources/gvc.ts"
import { isService, replicasAsked, replicasHere } from "../services/scale.ts"
import type { Replica, Resource, Store } from "../store.ts"
import { missingSecrets } from "./secrets.ts"

export interface LocationState {
  readonly location: string
  readonly waitsForSecret: boolean
  /** How many replicas there should be. */
  readonly wanted: number
  /** Those that there are; undefined where replicas are not processes, and all that are wanted are as good as there. */
  readonly replicas: ReadonlyArray<Replica> | undefined
}

/** Values of variables and places of volumes: either may name a secret. */
const environments = (resource: Resource): ReadonlyArray<string> =>
  listOf(at(resource.body, ["spec", "containers"])).flatMap((container) =>
    [
      ...listOf(objectOf(container)["env"]).map((each) => objectOf(each)["value"]),
      ...listOf(objectOf(container)["volumes"]).map((each) => objectOf(each)["uri"])
    ].flatMap((each) => textOf(each) ?? [])
  )

/** One for each location of the GVC. */
export const locationStates = (resource: Resource, store: Store["Service"]): ReadonlyArray<LocationState> => {
  const values = environments(resource).filter((value) => value.startsWith("cpln://secret/"))
  const waitsForSecret = missingSecrets(values, resource, store).length > 0
  const locations = locationsOf(gvcOf(resource, store), store)
  const replicas = store.replicas(resource.path)
  const isJob = !isService(resource)
  return locations.map((location) => ({
    location,
    waitsForSecret,
    // A job's deployment is one that stands by.
    wanted: isJob
      ? 1
      : replicas === undefined
        ? replicasAsked(resource.body, location)
        : replicasHere(resource.body, location, locations),
    replicas: isJob ? undefined : replicas?.filter((each) => each.location === location)
  }))
}

/** Those that are of the present version and say that they are ready. */
export const readyReplicas = ({ waitsForSecret, wanted, replicas }: LocationState): number =>
  waitsForSecret
    ? 0
    : (replicas?.filter(
        ({ isCurrent, containers }) => isCurrent && Object.values(containers).every(({ ready }) => ready)
      ).length ?? wanted)

export const isReady = (state: LocationState): boolean =>
  !state.waitsForSecret && readyReplicas(state) >= state.wanted

export const isSuspended = (body: JsonObject): boolean =>
  at(body, ["spec", "defaultOptions", "suspend"]) === true
