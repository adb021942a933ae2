/**
 * What the service demands of a container, in a workload and in the overrides of a command. Pure.
 *
 * Invariant: each rule stands here once; the overrides of a run are held to the same ones as the workload itself.
 */
import { isObject, type Json, type JsonObject, listOf, textOf } from "../json.ts"
import { mebibytes, millicores } from "./quantity.ts"

const containerName = /^[a-z]([-a-z0-9]*[a-z0-9])?$/u
const longestContainerName = 63
const reservedContainers = [
  "istio-proxy",
  "queue-proxy",
  "istio-validation",
  "cpln-envoy-assassin",
  "cpln-writer-proxy",
  "cpln-reader-proxy",
  "cpln-dbaas-config"
]

const envName = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/u
const longestEnvName = 120
const longestEnvValue = 4096
const reservedEnv = ["K_SERVICE", "K_CONFIGURATION", "K_REVISION"]

const longestCommand = 256
const longestQuantity = 20
const leastCpu = 25
const leastMemory = 32
const ratio = 8
const relaxedRatio = 32

const mostVolumes = 15
const volumeUri = /^(s3|gs|azureblob|azurefs|cpln|scratch|k8s):\/\/.+/u
const reservedPaths = ["/dev", "/dev/log", "/tmp", "/var", "/var/log"]

export const defaultCpu = "50m"
export const defaultMemory = "128Mi"

export const containerNameProblems = (name: Json | undefined, where: string): ReadonlyArray<string> => {
  if (typeof name !== "string" || name === "") return [`"${where}.name" is required`]
  if (!containerName.test(name) || name.length > longestContainerName) {
    return [
      `"${where}.name" ${name} must be lower-case letters, digits and dashes, at most ${longestContainerName} characters`
    ]
  }
  return name.startsWith("cpln-") || name.startsWith("debugger-") || reservedContainers.includes(name)
    ? [`"${where}.name" ${name} is reserved for system use`]
    : []
}

export const envProblems = (env: Json | undefined, where: string): ReadonlyArray<string> => {
  if (env === undefined) return []
  if (!Array.isArray(env)) return [`"${where}.env" must be an array`]
  // A name may come twice: the last one counts, as in the pod.
  return listOf(env).flatMap((each, index) => {
    const here = `${where}.env[${index}]`
    if (!isObject(each)) return [`"${here}" must be an object`]
    const name = textOf(each["name"])
    if (name === undefined || name === "") return [`"${here}.name" is required`]
    const problems = Object.keys(each)
      .filter((key) => key !== "name" && key !== "value")
      .map((key) => `"${here}.${key}" is not allowed`)
    if (!envName.test(name) || name.length > longestEnvName) {
      problems.push(`"${here}.name" ${name.slice(0, 40)} is not a valid environment variable name`)
    }
    if (/^CPLN_/iu.test(name)) {
      problems.push(`Environment variable names starting with CPLN_ are reserved for system use: ${name}`)
    }
    if (reservedEnv.includes(name)) problems.push(`Environment variable ${name} is reserved for system use`)
    const { value } = each
    if (value !== undefined && value !== null && typeof value !== "string") {
      problems.push(`"${here}.value" must be a string`)
    } else if ((value ?? "").length > longestEnvValue) {
      problems.push(
        `"${here}.value" of ${name} length must be less than or equal to ${longestEnvValue} characters long`
      )
    }
    return problems
  })
}

const quantityProblems = (
  value: Json | undefined,
  where: string,
  read: (text: string) => number | undefined,
  least: number,
  unit: string
): ReadonlyArray<string> => {
  if (value === undefined) return []
  const amount = typeof value === "string" && value.length <= longestQuantity ? read(value) : undefined
  if (amount === undefined)
    return [`"${where}" ${JSON.stringify(value).slice(0, 40)} is not a valid quantity`]
  return amount < least ? [`"${where}" must be at least ${least}${unit}`] : []
}

/** Memory may not outgrow cpu: at most 8 MiB per millicore, 32 with the tag `cpln/relaxMemoryToCpuRatio`. */
export const sizeProblems = (
  cpu: Json | undefined,
  memory: Json | undefined,
  where: string,
  relaxed: boolean
): ReadonlyArray<string> => {
  const problems = [
    ...quantityProblems(cpu, `${where}.cpu`, millicores, leastCpu, "m"),
    ...quantityProblems(memory, `${where}.memory`, mebibytes, leastMemory, "Mi")
  ]
  if (problems.length > 0) return problems
  const cores = millicores(textOf(cpu) ?? defaultCpu) ?? 0
  const mib = mebibytes(textOf(memory) ?? defaultMemory) ?? 0
  const most = relaxed ? relaxedRatio : ratio
  return mib > cores * most
    ? [
        `"${where}.memory" ${mib}Mi needs at least ${Math.ceil(mib / most)}m cpu: the ratio of MiB to millicores may be at most ${most}`
      ]
    : []
}

export const programProblems = (container: JsonObject, where: string): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const { args, command, image } = container
  if (image !== undefined && (typeof image !== "string" || image === "")) {
    problems.push(`"${where}.image" must be a non-empty string`)
  }
  if (command !== undefined && command !== null) {
    if (typeof command !== "string") problems.push(`"${where}.command" must be a string`)
    else if (command.length > longestCommand) {
      problems.push(
        `"${where}.command" length must be less than or equal to ${longestCommand} characters long`
      )
    }
  }
  if (
    args !== undefined &&
    args !== null &&
    !(Array.isArray(args) && args.every((each) => typeof each === "string"))
  ) {
    problems.push(`"${where}.args" must be an array of strings`)
  }
  return problems
}

export const volumeProblems = (volumes: Json | undefined, where: string): ReadonlyArray<string> => {
  if (volumes === undefined) return []
  if (!Array.isArray(volumes)) return [`"${where}.volumes" must be an array`]
  const all = listOf(volumes)
  const problems =
    all.length > mostVolumes ? [`"${where}.volumes" may hold at most ${mostVolumes} items`] : []
  const paths: Array<string> = []
  all.forEach((each, index) => {
    const here = `${where}.volumes[${index}]`
    const uri = isObject(each) ? textOf(each["uri"]) : undefined
    const path = isObject(each) ? textOf(each["path"]) : undefined
    if (uri === undefined || !volumeUri.test(uri)) {
      problems.push(
        `"${here}.uri" must be one of s3, gs, azureblob, azurefs, cpln, scratch, k8s followed by ://…`
      )
    }
    if (path === undefined || !path.startsWith("/")) {
      problems.push(`"${here}.path" must be an absolute path`)
      return
    }
    if (reservedPaths.includes(path)) problems.push(`"${here}.path" ${path} is reserved`)
    const clash = paths.find(
      (other) => other === path || other.startsWith(`${path}/`) || path.startsWith(`${other}/`)
    )
    if (clash !== undefined) problems.push(`"${here}.path" ${path} is or is nested in ${clash}`)
    paths.push(path)
  })
  return problems
}
