/**
 * The placeholder language of Prefect's base job templates: `{{ name }}`, `{{ a.b[0] }}`, `{{ $NAME }}`,
 * `{{ prefect.blocks.… }}`, `{{ prefect.variables.… }}`.
 *
 * Invariant: values that are put in are never searched for placeholders in the same pass, so that a value cannot name
 * another one.
 */
import { isRecord, type JsonRecord, mapValues } from "./json.ts"
import { pythonStr } from "./python-text.ts"

export interface Placeholder {
  /** As it stands, braces and all. */
  readonly text: string
  readonly name: string
  readonly kind: "standard" | "block" | "variable" | "environment"
}

export const blockPrefix = "prefect.blocks."
export const variablePrefix = "prefect.variables."

/** Word characters and white space are Python's, which are Unicode's. */
const pattern = /\{\{\s*([\p{L}\p{N}_.\-[\]$]+)\s*\}\}/gu

const kindOf = (name: string): Placeholder["kind"] =>
  name.startsWith(blockPrefix)
    ? "block"
    : name.startsWith(variablePrefix)
      ? "variable"
      : name.startsWith("$")
        ? "environment"
        : "standard"

export const placeholdersIn = (text: string): ReadonlyArray<Placeholder> =>
  [...text.matchAll(pattern)].map(([whole, name = ""]) => ({ text: whole, name, kind: kindOf(name) }))

/** The placeholder that is the whole text, if one is. */
export const wholePlaceholder = (text: string): Placeholder | undefined =>
  placeholdersIn(text).find((each) => each.text === text)

/** Each placeholder gives way to what `replacement` says; undefined leaves it. */
export const replacePlaceholders = (
  text: string,
  replacement: (placeholder: Placeholder) => string | undefined
): string =>
  text.replaceAll(
    pattern,
    (whole, name: string) => replacement({ text: whole, name, kind: kindOf(name) }) ?? whole
  )

/** The value that does not exist; null does. */
export const missing = Symbol("missing")

/**
 * The value at a path such as `a.b[0]`. A segment that reads as a whole number is an index and never a key; a negative
 * one counts from the end; the characters of a text have indices too. All as in Python.
 */
export const lookUp = (root: unknown, path: string): unknown => {
  let value: unknown = root
  for (const segment of path.replaceAll("[", ".").replaceAll("]", "").split(".")) {
    value = child(value, segment)
    if (value === missing) return missing
  }
  return value
}

const child = (value: unknown, segment: string): unknown => {
  const index = /^[+-]?\d+(?:_\d+)*$/u.test(segment) ? Number(segment.replaceAll("_", "")) : undefined
  if (index === undefined) return isRecord(value) && Object.hasOwn(value, segment) ? value[segment] : missing
  const items = Array.isArray(value)
    ? (value as ReadonlyArray<unknown>)
    : typeof value === "string"
      ? [...value]
      : []
  const at = index < 0 ? items.length + index : index
  return at >= 0 && at < items.length ? items[at] : missing
}

export interface Values {
  readonly variables: JsonRecord
  /** The agent's own environment, for `{{ $NAME }}`. */
  readonly environment: Readonly<Record<string, string>>
}

/**
 * Standard and environment placeholders of a template. A text that is one standard placeholder becomes the value as it
 * is, and where that is missing the key or list item goes; inside text values become Python's text, missing ones
 * nothing. Keys are left alone.
 */
export const fillIn = (template: unknown, values: Values): unknown => {
  if (typeof template === "string") return fillText(template, values)
  if (Array.isArray(template)) {
    return template.map((each) => fillIn(each, values)).filter((each) => each !== missing)
  }
  if (!isRecord(template)) return template
  const filled = mapValues(template, (each) => fillIn(each, values))
  return Object.fromEntries(Object.entries(filled).filter(([, each]) => each !== missing))
}

const fillText = (text: string, { variables, environment }: Values): unknown => {
  if (!text.includes("{{")) return text
  const whole = wholePlaceholder(text)
  if (whole?.kind === "standard") return lookUp(variables, whole.name)
  return replacePlaceholders(text, ({ kind, name }) => {
    if (kind === "environment") {
      const variable = name.replace(/^\$+/u, "")
      return Object.hasOwn(environment, variable) ? environment[variable] : ""
    }
    if (kind !== "standard") return undefined
    const value = lookUp(variables, name)
    return value === missing ? "" : pythonStr(value)
  })
}

/** The variables that a template asks for: of `{{ a.b[0] }}` it is `a`. */
export const variablesIn = (template: unknown): ReadonlySet<string> => {
  const names = new Set<string>()
  const search = (value: unknown): void => {
    if (typeof value === "string") {
      for (const { kind, name } of placeholdersIn(value)) {
        if (kind === "standard") names.add(name.split(/[.[]/u, 1)[0] ?? name)
      }
    } else if (Array.isArray(value)) value.forEach(search)
    else if (isRecord(value)) Object.values(value).forEach(search)
  }
  search(template)
  return names
}
