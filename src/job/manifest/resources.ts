/**
 * The cpu and memory of a container.
 *
 * Invariant: what comes out is a pair that the platform takes: at least 25m and 32Mi, and at most 8 MiB of memory per
 * millicore. Requests are not known to the platform; a container gets what its limits say.
 */
import {
  defaultCpu,
  defaultMemory,
  leastCpu,
  leastMemory,
  longestQuantity,
  mostMemoryPerCpu
} from "../limits.ts"
import { quantity } from "./quantity.ts"
import { isUnset, mappingIn, member, type Node, pathOf, shown } from "./read.ts"

export interface Resources {
  readonly cpu: string
  readonly memory: string
}

const noSuchResource = "the platform has no such resource"

export const convertResources = (container: Node): Resources => {
  const { report } = container
  const path = pathOf(container, "resources")
  // Kubernetes takes null for unset; the reference fails on it, and its users never had such a job run.
  if (member(container.value, "resources") === null) {
    report.refuse(path, "is null.", "Leave it out, or give limits.")
    return { cpu: defaultCpu, memory: defaultMemory }
  }
  const resources = mappingIn(container, "resources")
  const limits = resources === undefined ? undefined : mappingIn(resources, "limits")
  const limitsPath = `${path}.limits`
  const cpu = amount(limits, "cpu", defaultCpu, { unit: "millicores", least: leastCpu, leastText: "25m" })
  const memory = amount(limits, "memory", defaultMemory, {
    unit: "MiB",
    least: leastMemory,
    leastText: "32Mi"
  })
  if (resources !== undefined) ignoreOthers(resources, limits)
  if (cpu !== undefined && memory !== undefined && memory.size > cpu.size * mostMemoryPerCpu) {
    const needed = Math.ceil(memory.size / mostMemoryPerCpu)
    report.refuse(
      `${limitsPath}.memory`,
      `${memory.text} is more than ${mostMemoryPerCpu} MiB per millicore of cpu (${cpu.text}${cpu.given ? "" : ", the default"}).`,
      `Set ${limitsPath}.cpu to at least ${needed}m, or lower the memory.`
    )
  }
  return { cpu: cpu?.text ?? defaultCpu, memory: memory?.text ?? defaultMemory }
}

interface Amount {
  readonly text: string
  /** In millicores, or MiB. */
  readonly size: number
  readonly given: boolean
}

interface Measure {
  readonly unit: "millicores" | "MiB"
  readonly least: number
  readonly leastText: string
}

const perUnit = { millicores: 1e-3, MiB: 2 ** 20 }

const amount = (
  limits: Node | undefined,
  key: "cpu" | "memory",
  standard: string,
  { unit, least, leastText }: Measure
): Amount | undefined => {
  const value = limits === undefined ? undefined : member(limits.value, key)
  const given = !(value === undefined || value === null || value === "" || value === 0)
  const text = given ? written(value) : standard
  const read = text === undefined || text.length > longestQuantity ? undefined : quantity(text)
  if (text === undefined || read === undefined) {
    limits?.report.refuse(
      pathOf(limits, key),
      `${shown(value)} is no quantity of at most ${longestQuantity} characters.`,
      key === "cpu" ? 'Write it like "500m" or "0.5".' : 'Write it like "512Mi" or "2Gi".'
    )
    return undefined
  }
  const size = read / perUnit[unit]
  if (size < least) {
    limits?.report.refuse(
      pathOf(limits, key),
      `${text} is below the platform's minimum of ${leastText}.`,
      `Ask for at least ${leastText}.`
    )
    return undefined
  }
  return { text, size, given }
}

/** The API takes texts only; YAML makes numbers of `2` and `0.5`. */
const written = (value: unknown): string | undefined => {
  if (typeof value === "string") return value.trim()
  return typeof value === "number" && Number.isFinite(value) ? String(value) : undefined
}

const ignoreOthers = (resources: Node, limits: Node | undefined): void => {
  const { report } = resources
  for (const key of Object.keys(limits?.value ?? {})) {
    if (key !== "cpu" && key !== "memory" && limits !== undefined && !isUnset(limits.value[key])) {
      report.ignore(pathOf(limits, key), noSuchResource)
    }
  }
  for (const key of Object.keys(resources.value)) {
    if (key === "limits" || isUnset(resources.value[key])) continue
    report.ignore(
      pathOf(resources, key),
      key === "requests" ? "a container gets what its limits say, not its requests" : noSuchResource
    )
  }
}
