/**
 * Numbers and booleans that were sent as text. The vendor's CLI sends all values of `--set` so, and the service takes them.
 *
 * Invariant: only fields that are numbers or booleans change, and text that is neither stays, for the rules to refuse.
 */
import { isObject, type Json, type JsonObject } from "../json.ts"

interface Shape {
  readonly [key: string]: "number" | "boolean" | Shape
}

const scaling: Shape = {
  minScale: "number",
  maxScale: "number",
  maxConcurrency: "number",
  scaleToZeroDelay: "number",
  target: "number"
}

const options: Shape = {
  capacityAI: "boolean",
  debug: "boolean",
  suspend: "boolean",
  timeoutSeconds: "number",
  autoscaling: scaling
}

/** Of the items of a list where the value is one. */
const workload: Shape = {
  spec: {
    job: { historyLimit: "number", activeDeadlineSeconds: "number" },
    defaultOptions: options,
    localOptions: options,
    rolloutOptions: { terminationGracePeriodSeconds: "number", minReadySeconds: "number" },
    securityOptions: { runAsUser: "number", filesystemGroupId: "number" },
    supportDynamicTags: "boolean",
    containers: { inheritEnv: "boolean", ports: { number: "number" } }
  }
}

const numeric = /^-?\d+(\.\d+)?$/u

const coercedValue = (value: Json, shape: Shape[string]): Json => {
  if (typeof shape === "object") {
    if (Array.isArray(value)) return value.map((each: Json) => coercedValue(each, shape))
    return isObject(value) ? coerced(value, shape) : value
  }
  if (typeof value !== "string") return value
  if (shape === "number") return numeric.test(value) ? Number(value) : value
  return value === "true" ? true : value === "false" ? false : value
}

const coerced = (document: JsonObject, shape: Shape): JsonObject => {
  const found = Object.keys(shape).filter((key) => Object.hasOwn(document, key))
  if (found.length === 0) return document
  return {
    ...document,
    ...Object.fromEntries(found.map((key) => [key, coercedValue(document[key]!, shape[key]!)]))
  }
}

export const coercedWorkload = (body: JsonObject): JsonObject => coerced(body, workload)
