/**
 * How many replicas a workload that serves should have, and when those that it has are no longer what is wanted. Pure.
 *
 * Invariant: the ports of a machine exist once, so a workload that listens has one replica over all locations here, where
 * the service would have one for each; one that only works has as many as it asks for.
 */
import { at, isObject, type Json, type JsonObject, listOf, numberOf, objectOf, textOf } from "../json.ts"
import { lastSegment } from "../links.ts"
import type { Resource } from "../store.ts"
import { typeOf } from "../workload/rules.ts"

export const isService = ({ kind, body }: Pick<Resource, "body" | "kind">): boolean =>
  kind === "workload" && typeOf(body) !== "cron"

const containersOf = (body: JsonObject): ReadonlyArray<JsonObject> =>
  listOf(at(body, ["spec", "containers"])).map(objectOf)

/** The ports of a container, in order. `port` is an older way to say it. */
export const portsOf = (container: JsonObject): ReadonlyArray<number> =>
  [
    ...listOf(container["ports"]).map((port) => numberOf(at(port, ["number"]))),
    numberOf(container["port"])
  ].flatMap((port) => port ?? [])

/** The first port that any of its containers listens on. */
export const firstPort = (body: JsonObject): number | undefined => containersOf(body).flatMap(portsOf)[0]

/** Options of the location over those of the workload. */
const optionsAt = (body: JsonObject, location: string): JsonObject => {
  const own = listOf(at(body, ["spec", "localOptions"])).find(
    (each) => lastSegment(textOf(at(each, ["location"])) ?? "") === location
  )
  return { ...objectOf(at(body, ["spec", "defaultOptions"])), ...objectOf(own) }
}

export const isSuspendedAt = (body: JsonObject, location: string): boolean =>
  optionsAt(body, location)["suspend"] === true

/** As the service would have it. */
export const replicasAsked = (body: JsonObject, location: string): number => {
  const options = optionsAt(body, location)
  if (options["suspend"] === true) return 0
  const least = numberOf(at(options["autoscaling"], ["minScale"])) ?? 1
  return Math.max(0, Math.min(mostReplicas, Math.trunc(least)))
}

/** As this machine can have it. `locations` are all of the workload. */
export const replicasHere = (
  body: JsonObject,
  location: string,
  locations: ReadonlyArray<string>
): number => {
  const asked = replicasAsked(body, location)
  if (firstPort(body) === undefined) return asked
  const first = locations.find((each) => replicasAsked(body, each) > 0)
  return location === first ? 1 : 0
}

/** So that a slip of the pen does not take the machine down. */
const mostReplicas = 32

const withoutScale = (spec: Json | undefined): Json =>
  isObject(spec)
    ? Object.fromEntries(
        Object.entries(spec).filter(([key]) => !["defaultOptions", "localOptions"].includes(key))
      )
    : {}

/** Replicas of another generation are replaced: their containers differ, or a new start was asked for. */
export const generationOf = ({ body, tags }: Resource): string =>
  JSON.stringify([withoutScale(body["spec"]), tags["cpln/deployTimestamp"] ?? ""])
