/**
 * Job variables: the pool's defaults, under the deployment's, under the run's, and who set which.
 *
 * Invariant: nothing that is given is changed, so that no run sees another run's values; and every value can be traced
 * to the one who set it.
 */
import { isRecord, type JsonRecord, recordOf, valueAt } from "./json.ts"
import type { Problem } from "./problem.ts"
import type { Semantics } from "./semantics.ts"

/** Who set a value. */
export type Origin = "pool" | "deployment" | "run"

export interface VariableSources {
  /** `variables` of the base job template: a JSON schema. */
  readonly schema: unknown
  readonly deployment: JsonRecord
  readonly run: JsonRecord
}

export interface Variables {
  /** Every variable with a value, the highest precedence won. */
  readonly values: JsonRecord
  /** The pool's defaults alone. */
  readonly defaults: JsonRecord
  /** Who set a variable, or the entry `env.NAME` of the environment. */
  readonly originOf: (name: string) => Origin | undefined
  /** Names as they were given that nothing of this server's version reads as nested keys. */
  readonly dotted: ReadonlyArray<string>
  readonly problems: ReadonlyArray<Problem>
}

/**
 * The deployment's and the run's variables replace each other whole, but for `env`, which is merged key by key where
 * the deployment's is an object. Semantics of dotted keys and of null defaults are those of the server's version.
 */
export const mergeVariables = (sources: VariableSources, semantics: Semantics): Variables => {
  const problems: Array<Problem> = []
  const { deployment, run } = sources
  const defaults = defaultsOf(sources.schema, semantics)
  const given = layered(deployment, run, problems)
  const names = Object.keys(given).filter((name) => name.includes("."))
  const expanded = semantics.dottedKeys && names.length > 0 ? expandDotted(given, problems) : given
  const setBy = (record: JsonRecord, name: string): boolean =>
    Object.hasOwn(record, name) ||
    (semantics.dottedKeys && Object.keys(record).some((key) => key === name || key.startsWith(`${name}.`)))
  const hasEntry = (record: JsonRecord, name: string): boolean =>
    name.startsWith("env.") && Object.hasOwn(recordOf(valueAt(record, "env")), name.slice("env.".length))
  return {
    values: { ...defaults, ...expanded },
    defaults,
    originOf: (name) =>
      setBy(run, name) || hasEntry(run, name)
        ? "run"
        : setBy(deployment, name) || hasEntry(deployment, name)
          ? "deployment"
          : Object.hasOwn(defaults, name) || hasEntry(defaults, name)
            ? "pool"
            : undefined,
    dotted: semantics.dottedKeys ? [] : names,
    problems
  }
}

const defaultsOf = (schema: unknown, { ignoresNullDefaults }: Semantics): JsonRecord =>
  Object.fromEntries(
    Object.entries(recordOf(recordOf(schema)["properties"])).flatMap(([name, property]) => {
      const attributes = recordOf(property)
      if (!Object.hasOwn(attributes, "default")) return []
      const value = attributes["default"]
      return value === null && ignoresNullDefaults ? [] : [[name, value] as const]
    })
  )

const layered = (deployment: JsonRecord, run: JsonRecord, problems: Array<Problem>): JsonRecord => {
  const below = valueAt(deployment, "env")
  if (!isRecord(below) || !Object.hasOwn(run, "env")) return { ...deployment, ...run }
  const above = run["env"]
  if (!isRecord(above)) problems.push(notAnObject("env"))
  return { ...deployment, ...run, env: { ...below, ...recordOf(above) } }
}

export const notAnObject = (path: string): Problem => ({
  path,
  rule: "value is not a valid dict: it must be an object of names and values",
  remedy: 'Give an object such as {"NAME": "value"}.'
})

/** Dotted keys first, then the others over them, deep where both are objects. */
const expandDotted = (given: JsonRecord, problems: Array<Problem>): JsonRecord => {
  let expanded: JsonRecord = {}
  for (const [name, value] of Object.entries(given)) {
    if (!name.includes(".")) continue
    const next = setIn(expanded, name.replaceAll("[", ".").replaceAll("]", "").split("."), value)
    if (next === undefined) {
      problems.push({
        path: name,
        rule: "a part of this dotted name is set to something that is no object",
        remedy: "Set the whole, or its parts, but not both."
      })
    } else expanded = next
  }
  for (const [name, value] of Object.entries(given)) {
    if (name.includes(".")) continue
    expanded = { ...expanded, ...deepMerge(pick(expanded, name), { [name]: value }) }
  }
  return expanded
}

const pick = (record: JsonRecord, name: string): JsonRecord =>
  Object.hasOwn(record, name) ? { [name]: record[name] } : {}

/** A copy with the value set, making objects on the way; undefined where something else is in the way. */
const setIn = (record: JsonRecord, keys: ReadonlyArray<string>, value: unknown): JsonRecord | undefined => {
  const [key = "", ...rest] = keys
  if (rest.length === 0) return { ...record, [key]: value }
  const below = Object.hasOwn(record, key) ? record[key] : {}
  if (!isRecord(below)) return undefined
  const set = setIn(below, rest, value)
  return set === undefined ? undefined : { ...record, [key]: set }
}

const deepMerge = (under: JsonRecord, over: JsonRecord): JsonRecord => ({
  ...under,
  ...Object.fromEntries(
    Object.entries(over).map(([key, value]) => {
      const below = valueAt(under, key)
      return [key, isRecord(below) && isRecord(value) ? deepMerge(below, value) : value]
    })
  )
})
