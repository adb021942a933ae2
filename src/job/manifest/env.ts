/**
 * The variables of a container. The platform knows names with texts; everything that Kubernetes takes from elsewhere
 * becomes a reference: `cpln://secret/NAME.KEY`, `cpln://reference/FIELD`.
 *
 * Invariant: as in Kubernetes, a variable in `env` wins over the same name from `envFrom`, and a later source over an
 * earlier one. Two entries of one name in `env` are both sent, as the reference does.
 */
import {
  isReservedVariable,
  knownReferences,
  longestVariableName,
  longestVariableValue,
  variableName
} from "../limits.ts"
import { isRecord } from "../json.ts"
import {
  isUnset,
  kindOf,
  listIn,
  mappingIn,
  mappingsIn,
  member,
  type Node,
  pathOf,
  requiredTextIn,
  shown,
  textIn
} from "./read.ts"
import { checkName, secretInReference, secretReference } from "./secrets.ts"

/** Without a value as in the manifest; Kubernetes and the platform take the empty text. */
export interface Variable {
  readonly name: string
  readonly value?: string
}

/** What is known of the secrets that `envFrom` names. */
export interface RevealedSecrets {
  /** Key names of the dictionary secrets. */
  readonly keys: ReadonlyMap<string, ReadonlyArray<string>>
  /** Types of those that are no dictionaries. */
  readonly otherTypes: ReadonlyMap<string, string>
  /** What to do about those that may not be revealed. */
  readonly hidden: ReadonlyMap<string, string>
}

export interface Environment {
  /** Undefined when the container names no variable and no source; may be empty. */
  readonly env: ReadonlyArray<Variable> | undefined
  readonly secrets: ReadonlyArray<string>
}

export const convertEnvironment = (container: Node, revealed: RevealedSecrets): Environment => {
  const own = (mappingsIn(container, "env") ?? []).flatMap(variableOf)
  const sources = listIn(container, "envFrom") ?? []
  const fromSources = (mappingsIn(container, "envFrom") ?? []).flatMap((source) =>
    variablesOfSource(source, revealed)
  )
  warnOfDoubles(container, own)
  const named = new Set(own.map(({ name }) => name))
  const added = new Map(fromSources.filter(({ name }) => !named.has(name)).map((each) => [each.name, each]))
  const env = [...own, ...added.values()]
  return {
    env:
      env.length > 0 || sources.length > 0 ? env.map(({ name, value }) => variable(name, value)) : undefined,
    secrets: [...own, ...fromSources].flatMap(({ value }) => {
      const name = value === undefined ? undefined : secretInReference(value)
      return name === undefined ? [] : [name]
    })
  }
}

const variable = (name: string, value: string | undefined): Variable =>
  value === undefined ? { name } : { name, value }

const warnOfDoubles = (container: Node, own: ReadonlyArray<Variable>): void => {
  const names = own.map(({ name }) => name)
  for (const name of new Set(names.filter((each, index) => names.indexOf(each) !== index))) {
    container.report.warn(
      pathOf(container, "env"),
      `${name} stands there more than once. All are sent; in Kubernetes the last one counts.`
    )
  }
}

const variableOf = (entry: Node): ReadonlyArray<Variable> => {
  const name = requiredTextIn(entry, "name", "Give the variable a name.")
  if (name === undefined || !checkVariableName(entry, name)) return []
  const valueFrom = mappingIn(entry, "valueFrom")
  const given = member(entry.value, "value")
  if (valueFrom !== undefined) {
    if (!isUnset(given)) {
      entry.report.refuse(pathOf(entry, "valueFrom"), "stands beside a value.", "Keep one of the two.")
      return []
    }
    const value = referenceOf(valueFrom)
    return value === undefined ? [] : [{ name, value }]
  }
  const value = literal(entry, given)
  return [variable(name, value)]
}

const checkVariableName = (entry: Node, name: string): boolean => {
  const path = pathOf(entry, "name")
  if (isReservedVariable(name)) {
    entry.report.refuse(path, `${name} is set by the platform itself.`, "Use another name.")
    return false
  }
  if (!variableName.test(name) || name.length > longestVariableName) {
    entry.report.refuse(
      path,
      `${shown(name)} is no name for a variable: letters, digits, "-", "_" and ".", no digit first, at most ${longestVariableName} characters.`,
      "Rename it."
    )
    return false
  }
  return true
}

/** Numbers and booleans of YAML become texts. Undefined when there is no `value` at all. */
const literal = (entry: Node, given: unknown): string | undefined => {
  const path = pathOf(entry, "value")
  if (given === undefined) return undefined
  if (given === null) return ""
  if (typeof given === "number" || typeof given === "boolean") {
    entry.report.warn(path, `${kindOf(given)} is sent as a text.`)
    return String(given)
  }
  if (typeof given !== "string") {
    entry.report.refuse(path, `must be a text, not ${kindOf(given)}.`, "Put it in quotes.")
    return undefined
  }
  if (given.length > longestVariableValue) {
    entry.report.refuse(
      path,
      `has ${given.length} characters; the platform takes ${longestVariableValue}.`,
      "Put it into a secret and refer to that: cpln://secret/NAME.KEY."
    )
    return undefined
  }
  const secret = secretInReference(given)
  return secret === undefined || checkName(entry.report, path, secret) ? given : undefined
}

const referenceOf = (from: Node): string | undefined => {
  const kinds = Object.keys(from.value).filter((key) => !isUnset(from.value[key]))
  const [kind] = kinds
  if (kinds.length !== 1 || kind === undefined) {
    from.report.refuse(
      from.path,
      kinds.length === 0 ? "names no source." : "names more than one source.",
      "Give one of secretKeyRef, configMapKeyRef or fieldRef."
    )
    return undefined
  }
  const source = mappingIn(from, kind)
  if (source === undefined) return undefined
  if (kind === "secretKeyRef" || kind === "configMapKeyRef") return keyReference(source, kind)
  if (kind === "fieldRef") return fieldReference(source)
  from.report.refuse(source.path, "has no counterpart on the platform.", "Set the value itself.")
  return undefined
}

const keyReference = (source: Node, kind: string): string | undefined => {
  const name = requiredTextIn(source, "name", "Name the secret.")
  const key = requiredTextIn(source, "key", "Name the key inside the secret.")
  if (name === undefined || key === undefined || !checkName(source.report, pathOf(source, "name"), name)) {
    return undefined
  }
  noteOptional(source)
  if (kind === "configMapKeyRef") noteConfigMap(source, name)
  return secretReference(name, key)
}

const fieldReference = (source: Node): string | undefined => {
  const path = requiredTextIn(source, "fieldPath", "Name the field.")
  if (path === undefined) return undefined
  if (knownReferences.includes(path)) return `cpln://reference/${path}`
  source.report.refuse(
    pathOf(source, "fieldPath"),
    `the platform does not know ${shown(path)}.`,
    `It knows ${knownReferences.join(", ")}.`
  )
  return undefined
}

const noteOptional = (source: Node): void => {
  if (member(source.value, "optional") === true) {
    source.report.warn(
      pathOf(source, "optional"),
      "the platform has no optional secrets: without it the job does not start."
    )
  }
}

const noteConfigMap = (source: Node, name: string): void =>
  source.report.warn(
    source.path,
    `the platform has no config maps: the dictionary secret "${name}" is used instead.`
  )

/** The text that users of the reference know. */
const emptyName =
  "A Secret name cannot be empty in a job manifest. Either configMapRef or secretRef references an empty name in envFrom."

/** As the reference: a config map goes before a secret, and a source that names neither is skipped. */
const sourceKind = (source: unknown): "configMapRef" | "secretRef" | undefined =>
  (["configMapRef", "secretRef"] as const).find((kind) => !isUnset(member(source, kind)))

const variablesOfSource = (source: Node, revealed: RevealedSecrets): ReadonlyArray<Variable> => {
  const { report } = source
  const kind = sourceKind(source.value)
  if (kind === undefined) {
    report.warn(source.path, "names no secret and no config map; skipped.")
    return []
  }
  if (kind === "configMapRef" && !isUnset(member(source.value, "secretRef"))) {
    report.warn(pathOf(source, "secretRef"), "ignored beside configMapRef.")
  }
  const reference = mappingIn(source, kind)
  if (reference === undefined) return []
  const name = textIn(reference, "name") ?? ""
  const path = pathOf(reference, "name")
  if (name === "") {
    report.refuse(path, emptyName, "Name the dictionary secret.")
    return []
  }
  if (!checkName(report, path, name)) return []
  const keys = revealed.keys.get(name)
  if (keys === undefined) {
    refuseSecret(source, path, name, revealed)
    return []
  }
  noteOptional(reference)
  if (kind === "configMapRef") noteConfigMap(reference, name)
  const prefix = textIn(source, "prefix") ?? ""
  return keys.flatMap((key) => {
    const variable = `${prefix}${key}`
    const value = secretReference(name, key)
    if (
      variableName.test(variable) &&
      variable.length <= longestVariableName &&
      !isReservedVariable(variable) &&
      value.length <= longestVariableValue
    ) {
      return [{ name: variable, value }]
    }
    report.warn(
      source.path,
      `key ${shown(key)} of secret "${name}" makes no valid variable (${shown(variable)}); skipped.`
    )
    return []
  })
}

const refuseSecret = (
  source: Node,
  path: string,
  name: string,
  { hidden, otherTypes }: RevealedSecrets
): void => {
  const type = otherTypes.get(name)
  const remedy = hidden.get(name)
  if (remedy !== undefined) {
    source.report.refuse(path, `the agent may not reveal the key names of the secret "${name}".`, remedy)
  } else if (type === undefined) {
    source.report.refuse(
      path,
      `the secret "${name}" does not exist, or the agent may not reveal its key names.`,
      `Create a dictionary secret "${name}" in the org, or give the agent's service account the permission "reveal" on it.`
    )
  } else {
    source.report.refuse(
      path,
      `The secret with the name '${name}' that is being referenced in 'envFrom' must be of type 'dictionary', type found '${type}'.`,
      "Use a dictionary secret, or name single keys in env with valueFrom."
    )
  }
}

/** The secrets that `envFrom` of these containers names, once each: their key names have to be known to convert. */
export const envFromNames = (containers: ReadonlyArray<unknown>): ReadonlyArray<string> => {
  const sources = containers.flatMap((container) => {
    const list = member(container, "envFrom")
    return Array.isArray(list) ? (list as ReadonlyArray<unknown>) : []
  })
  const names = sources.flatMap((source) => {
    const kind = sourceKind(source)
    const name = kind === undefined ? undefined : member(member(source, kind), "name")
    return typeof name === "string" && name !== "" && isRecord(source) ? [name] : []
  })
  return [...new Set(names)]
}
