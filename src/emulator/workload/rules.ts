/**
 * What the service demands of a workload. Pure: every problem at once, as texts for a 400.
 *
 * Invariant: what passes here can be run; what is looked up elsewhere (identity, locations) is checked where it is known.
 */
import { Cron, Result } from "effect"
import { at, isObject, type Json, type JsonObject, listOf, numberOf, objectOf, textOf } from "../json.ts"
import {
  containerNameProblems,
  envProblems,
  programProblems,
  sizeProblems,
  volumeProblems
} from "./container-rules.ts"

export const workloadTypes = ["serverless", "standard", "stateful", "cron", "vm"]
const defaultType = "serverless"
const mostContainers = 8
const longestGrace = 900
const relaxedGrace = 3600

const specKeys = [
  "type",
  "identityLink",
  "containers",
  "firewallConfig",
  "defaultOptions",
  "localOptions",
  "job",
  "sidecar",
  "supportDynamicTags",
  "rolloutOptions",
  "securityOptions",
  "loadBalancer",
  "extras",
  "requestRetryPolicy",
  "vm"
]
const containerKeys = [
  "name",
  "image",
  "workingDir",
  "metrics",
  "port",
  "ports",
  "memory",
  "minMemory",
  "cpu",
  "minCpu",
  "env",
  "inheritEnv",
  "command",
  "args",
  "lifecycle",
  "readinessProbe",
  "livenessProbe",
  "volumes",
  "gpu"
]
const optionKeys = ["autoscaling", "timeoutSeconds", "capacityAI", "spot", "debug", "suspend", "multiZone"]

export const typeOf = (body: JsonObject): string => textOf(at(body, ["spec", "type"])) ?? defaultType

/** The service refuses what it does not know, so that a slip of the pen is told. */
const unknownKeys = (
  value: Json | undefined,
  where: string,
  known: ReadonlyArray<string>
): ReadonlyArray<string> =>
  Object.keys(objectOf(value))
    .filter((key) => !known.includes(key))
    .map((key) => `"${where}.${key}" is not allowed`)

const oneOf = (
  value: Json | undefined,
  where: string,
  allowed: ReadonlyArray<string>
): ReadonlyArray<string> =>
  value === undefined || (typeof value === "string" && allowed.includes(value))
    ? []
    : [`"${where}" must be one of [${allowed.join(", ")}]`]

export const integerProblems = (
  value: Json | undefined,
  where: string,
  least: number,
  most: number
): ReadonlyArray<string> => {
  if (value === undefined) return []
  const number = numberOf(value)
  return number !== undefined && Number.isInteger(number) && number >= least && number <= most
    ? []
    : [`"${where}" must be an integer between ${least} and ${most}`]
}

const containerProblems = (
  container: Json,
  index: number,
  type: string,
  relaxed: boolean
): ReadonlyArray<string> => {
  const where = `spec.containers[${index}]`
  if (!isObject(container)) return [`"${where}" must be an object`]
  const workingDir = container["workingDir"]
  const ports = listOf(container["ports"])
  return [
    ...unknownKeys(container, where, containerKeys),
    ...containerNameProblems(container["name"], where),
    ...(container["image"] === undefined ? [`"${where}.image" is required`] : []),
    ...programProblems(container, where),
    ...sizeProblems(container["cpu"], container["memory"], where, relaxed),
    ...envProblems(container["env"], where),
    ...volumeProblems(container["volumes"], where),
    ...(workingDir === undefined || textOf(workingDir)?.startsWith("/") === true
      ? []
      : [`"${where}.workingDir" must be an absolute path`]),
    ...(container["inheritEnv"] === undefined || typeof container["inheritEnv"] === "boolean"
      ? []
      : [`"${where}.inheritEnv" must be a boolean`]),
    ...(type === "cron" && (ports.length > 0 || container["port"] !== undefined)
      ? [`"${where}.ports" is not allowed: cron workloads cannot expose ports`]
      : []),
    ...ports.flatMap((port, each) =>
      integerProblems(at(port, ["number"]), `${where}.ports[${each}].number`, 80, 65535)
    )
  ]
}

const isSchedule = (text: string): boolean =>
  text.trim().split(/\s+/u).length === 5 && Result.isSuccess(Cron.parse(text.trim(), "UTC"))

const jobProblems = (job: Json | undefined): ReadonlyArray<string> => {
  if (!isObject(job)) return [`"spec.job" is required for cron workloads`]
  const known = ["schedule", "concurrencyPolicy", "historyLimit", "restartPolicy", "activeDeadlineSeconds"]
  const schedule = textOf(job["schedule"])
  return [
    ...unknownKeys(job, "spec.job", known),
    ...(schedule === undefined
      ? [`"spec.job.schedule" is required`]
      : isSchedule(schedule)
        ? []
        : [`"spec.job.schedule" ${schedule.slice(0, 60)} is not a valid cron schedule`]),
    ...oneOf(job["concurrencyPolicy"], "spec.job.concurrencyPolicy", ["Forbid", "Replace", "Allow"]),
    ...integerProblems(job["historyLimit"], "spec.job.historyLimit", 1, 10),
    ...oneOf(job["restartPolicy"], "spec.job.restartPolicy", ["Never", "OnFailure"]),
    ...integerProblems(job["activeDeadlineSeconds"], "spec.job.activeDeadlineSeconds", 1, 86400)
  ]
}

const scaleProblems = (spec: JsonObject, type: string): ReadonlyArray<string> => {
  const scaling = at(spec, ["defaultOptions", "autoscaling"])
  const { minScale, maxScale } = objectOf(scaling)
  if (type !== "cron") {
    const [min, max] = [numberOf(minScale) ?? 1, numberOf(maxScale) ?? Number.POSITIVE_INFINITY]
    return min > max ? [`"spec.defaultOptions.autoscaling.minScale" may not be greater than maxScale`] : []
  }
  return [minScale, maxScale].some((scale) => scale !== undefined && scale !== 1)
    ? [`"spec.defaultOptions.autoscaling" must have minScale and maxScale 1 for cron workloads`]
    : []
}

const sections = [
  "defaultOptions",
  "firewallConfig",
  "rolloutOptions",
  "securityOptions",
  "sidecar",
  "loadBalancer"
]

const sectionProblems = (spec: JsonObject): ReadonlyArray<string> =>
  sections
    .filter((name) => spec[name] !== undefined && spec[name] !== null && !isObject(spec[name]))
    .map((name) => `"spec.${name}" must be an object`)

const flags = ["capacityAI", "debug", "suspend"]

const switchProblems = (spec: JsonObject): ReadonlyArray<string> =>
  flags.flatMap((flag) => {
    const value = at(spec, ["defaultOptions", flag])
    return value === undefined || typeof value === "boolean"
      ? []
      : [`"spec.defaultOptions.${flag}" must be a boolean`]
  })

const optionProblems = (spec: JsonObject, tags: JsonObject): ReadonlyArray<string> => {
  const most = tags["cpln/relaxGracePeriodMax"] === undefined ? longestGrace : relaxedGrace
  const where = "spec.rolloutOptions.terminationGracePeriodSeconds"
  const inbound = ["none", "same-gvc", "same-org", "workload-list"]
  const user = at(spec, ["securityOptions", "runAsUser"])
  const group = at(spec, ["securityOptions", "filesystemGroupId"])
  return [
    ...integerProblems(at(spec, ["rolloutOptions", "terminationGracePeriodSeconds"]), where, 0, most),
    ...oneOf(
      at(spec, ["firewallConfig", "internal", "inboundAllowType"]),
      "spec.firewallConfig.internal.inboundAllowType",
      inbound
    ),
    ...integerProblems(user, "spec.securityOptions.runAsUser", 1, 65534),
    ...integerProblems(group, "spec.securityOptions.filesystemGroupId", 1, 65534),
    ...(user === 1337 || group === 1337 ? [`"spec.securityOptions" 1337 is reserved for system use`] : [])
  ]
}

/** `before` is the stored workload when this is a change: its type may not change. */
export const workloadProblems = (
  body: JsonObject,
  tags: JsonObject,
  before: JsonObject | undefined
): ReadonlyArray<string> => {
  const { spec } = body
  if (!isObject(spec)) return [`"spec" is required`]
  const type = typeOf(body)
  if (spec["type"] !== undefined && !workloadTypes.includes(type)) {
    return [`"spec.type" must be one of [${workloadTypes.join(", ")}]`]
  }
  if (before !== undefined && typeOf(before) !== type) return ["Workload type may not be changed"]
  const containers = listOf(spec["containers"])
  const names = containers.map((each) => at(each, ["name"]))
  const relaxed = tags["cpln/relaxMemoryToCpuRatio"] !== undefined
  return [
    ...unknownKeys(spec, "spec", specKeys),
    ...unknownKeys(spec["defaultOptions"], "spec.defaultOptions", optionKeys),
    ...(containers.length === 0 || containers.length > mostContainers
      ? [`"spec.containers" must contain between 1 and ${mostContainers} items`]
      : []),
    ...containers.flatMap((each, index) => containerProblems(each, index, type, relaxed)),
    ...names
      .filter((name, index) => typeof name === "string" && names.indexOf(name) !== index)
      .map((name) => `"spec.containers" contains a duplicate name: ${String(name)}`),
    ...(type === "cron"
      ? jobProblems(spec["job"])
      : spec["job"] === undefined
        ? []
        : [`"spec.job" is not allowed for ${type} workloads`]),
    ...scaleProblems(spec, type),
    ...sectionProblems(spec),
    ...switchProblems(spec),
    ...optionProblems(spec, tags)
  ]
}
