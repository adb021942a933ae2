/**
 * What the service demands of a command. Pure: every problem at once, as texts for a 400.
 *
 * Invariant: a command that passes can be carried out on this workload; overrides may only change what may be overridden.
 */
import { at, isObject, type Json, type JsonObject, listOf, textOf } from "../json.ts"
import { tagProblems } from "../names.ts"
import { envProblems, programProblems, sizeProblems } from "./container-rules.ts"
import { integerProblems, typeOf } from "./rules.ts"

const overridable = ["name", "image", "command", "args", "env", "cpu", "memory"]

const overrideProblems = (
  override: Json,
  index: number,
  workload: JsonObject,
  relaxed: boolean
): ReadonlyArray<string> => {
  const where = `spec.containerOverrides[${index}]`
  if (!isObject(override)) return [`"${where}" must be an object`]
  const containers = listOf(at(workload, ["spec", "containers"]))
  const container = containers.find((each) => at(each, ["name"]) === override["name"])
  if (!isObject(container)) {
    return [`"${where}.name" ${JSON.stringify(override["name"] ?? null)} is not a container of this workload`]
  }
  return [
    ...Object.keys(override)
      .filter((key) => !overridable.includes(key))
      .map((key) => `"${where}.${key}" is not allowed`),
    ...programProblems(override, where),
    ...envProblems(override["env"], where),
    ...sizeProblems(
      override["cpu"] ?? container["cpu"],
      override["memory"] ?? container["memory"],
      where,
      relaxed
    )
  ]
}

const runProblems = (spec: JsonObject, workload: JsonObject, tags: JsonObject): ReadonlyArray<string> => {
  if (typeOf(workload) !== "cron")
    return [`runCronWorkload needs a cron workload; this one is ${typeOf(workload)}`]
  const known = ["location", "containerOverrides", "activeDeadlineSeconds", "scheduleName"]
  const overrides = spec["containerOverrides"]
  const relaxed = tags["cpln/relaxMemoryToCpuRatio"] !== undefined
  return [
    ...Object.keys(spec)
      .filter((key) => !known.includes(key))
      .map((key) => `"spec.${key}" is not allowed`),
    ...(overrides === undefined || overrides === null || Array.isArray(overrides)
      ? listOf(overrides).flatMap((each, index) => overrideProblems(each, index, workload, relaxed))
      : [`"spec.containerOverrides" must be an array`]),
    ...integerProblems(spec["activeDeadlineSeconds"], "spec.activeDeadlineSeconds", 1, 86400)
  ]
}

const stopProblems = (spec: JsonObject): ReadonlyArray<string> =>
  textOf(spec["replica"]) === undefined || spec["replica"] === "" ? [`"spec.replica" is required`] : []

/** `locations` are the short names of the places where this workload runs. */
export const commandProblems = (
  body: JsonObject,
  workload: { readonly body: JsonObject; readonly tags: JsonObject },
  locations: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const { type, spec, tags } = body
  if (type !== "runCronWorkload" && type !== "stopReplica") {
    return [`"type" must be one of [runCronWorkload, stopReplica]`]
  }
  if (!isObject(spec)) return [`"spec" is required`]
  const location = textOf(spec["location"])
  return [
    ...(location === undefined
      ? [`"spec.location" is required`]
      : locations.includes(location)
        ? []
        : [
            `"spec.location" ${location.slice(0, 80)} is not a location of this workload: use one of [${locations.join(", ")}]`
          ]),
    ...(tags === undefined || tags === null ? [] : tagProblems(tags)),
    ...(type === "runCronWorkload" ? runProblems(spec, workload.body, workload.tags) : stopProblems(spec))
  ]
}
