/**
 * How the answer of the project's code is held against a case: matchers, JSON Pointers, the reference's workload name,
 * and which parts bind ("What is binding" in `test/contract/vectors/README.md`).
 *
 * Invariant: a case with a defect is judged by its `expected` alone, any other by its `output` alone.
 */
import { isObject, type Json, type JsonObject, listOf, objectOf, textOf, type VectorCase } from "./vector.ts"

/** What the project's code made of a case: an output in the shape of the reference's, or the text of its refusal. */
export type Actual = { readonly output: JsonObject } | { readonly refused: string }

export interface Judging {
  /** Cuts an output down to what binds; applied to the reference's output and to ours. Default: everything binds. */
  readonly binding?: (output: JsonObject) => Json
  /** The reference's workload name and ours: where the first occurs as a name, the second is accepted. */
  readonly workloadName?: { readonly reference: string; readonly ours: string } | undefined
  /** False where the texts of errors are the Python runtime's own. Default: true. */
  readonly messages?: boolean
}

/** Failures of one case, each `<pointer>: expected …, got …`. */
export const judge = (each: VectorCase, actual: Actual, judging: Judging = {}): ReadonlyArray<string> => {
  if (each.defect !== undefined) return judgeDefect(each, actual, judging)
  const error = each.output["error"]
  if (isObject(error)) return judgeRefusal(error, actual, judging.messages ?? true)
  if ("refused" in actual) return [`/: expected an output, got the refusal ${show(actual.refused)}`]
  const binding = judging.binding ?? ((output: JsonObject): Json => output)
  return differences(binding(each.output), binding(actual.output), renaming(judging.workloadName))
}

const judgeDefect = (each: VectorCase, actual: Actual, judging: Judging): ReadonlyArray<string> => {
  const entries = each.expectedAnyOf ?? (each.expected === undefined ? [] : [each.expected])
  if (entries.length === 0) return ["/: the case is a defect without an expectation"]
  const tried = entries.map((entry) => judgeEntry(entry, actual, judging))
  return tried.some((failures) => failures.length === 0) ? [] : tried.flat()
}

const judgeEntry = (entry: JsonObject, actual: Actual, judging: Judging): ReadonlyArray<string> =>
  Object.entries(entry).flatMap(([pointer, expected]) => {
    if (pointer === "error") {
      const refused = "refused" in actual
      return refused === (expected === true)
        ? []
        : [`/: expected ${expected === true ? "a refusal" : "none"}`]
    }
    if ("refused" in actual)
      return [`${pointer}: expected ${show(expected)}, got a refusal: ${show(actual.refused)}`]
    const got = at(actual.output, pointer)
    return holds(expected, got, renaming(judging.workloadName))
      ? []
      : [`${pointer}: expected ${show(expected)}, got ${show(got)}`]
  })

/** Users know the texts of `ValueError` and of validation; of any other error only that it happens binds. */
const judgeRefusal = (error: JsonObject, actual: Actual, messages: boolean): ReadonlyArray<string> => {
  if (!("refused" in actual)) return [`/error: expected a refusal (${show(error)}), got an output`]
  if (!messages) return []
  const known = error["kind"] === "ValueError" || error["kind"] === "ValidationError"
  const single =
    listOf(error["errors"]).length > 0 ? listOf(error["errors"]) : [{ msg: error["message"] ?? "" }]
  return single
    .map((part) => textOf(objectOf(part)["msg"]) ?? "")
    .filter((message) => known && !actual.refused.includes(message))
    .map((message) => `/error/message: expected ${show(message)} in the text, got ${show(actual.refused)}`)
}

/** RFC 6901. Undefined for what does not exist. */
export const at = (document: Json | undefined, pointer: string): Json | undefined =>
  pointer
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce<Json | undefined>(
      (value, token) =>
        Array.isArray(value)
          ? /^\d+$/u.test(token)
            ? value[Number(token)]
            : undefined
          : isObject(value) && Object.hasOwn(value, token)
            ? value[token]
            : undefined,
      document
    )

type SameText = (expected: string, got: string) => boolean

const exactly: SameText = (expected, got) => expected === got

/** The name counts where it stands alone in a link, a PID or in front of the endings of identity and policy. */
const renaming = (names: Judging["workloadName"]): SameText => {
  if (names === undefined || names.reference === "") return exactly
  const escaped = names.reference.replaceAll(/[.*+?^${}()|[\]\\]/gu, "\\$&")
  const alone = new RegExp(`(^|[/:])${escaped}(?=$|[/:]|-identity$|-reveal-policy$|-identity[/:])`, "gu")
  return (expected, got) =>
    expected === got || expected.replaceAll(alone, (_, before: string) => `${before}${names.ours}`) === got
}

const isEqual = (expected: Json, got: Json | undefined, same: SameText): boolean =>
  differences(expected, got, same).length === 0

/** Written for Python or for JavaScript: flags may stand in front, and more may be escaped than has to be. */
const expression = (source: string): RegExp => {
  const [, flags = "", body = ""] = /^(?:\(\?([ims]+)\))?([^]*)$/u.exec(source) ?? []
  const plain = body.replaceAll("(?P<", "(?<")
  try {
    return new RegExp(plain, `u${flags}`)
  } catch {
    return new RegExp(plain, flags)
  }
}

/** A matcher of the README, or a plain value. */
export const holds = (expected: Json, got: Json | undefined, same: SameText = exactly): boolean => {
  if (isObject(expected) && Object.keys(expected).length === 1) {
    const [name = "", wanted = null] = Object.entries(expected)[0] ?? []
    switch (name) {
      case "$matches": {
        const pattern = expression(String(wanted))
        return [got, ...listOf(got)].some((text) => typeof text === "string" && pattern.test(text))
      }
      case "$not":
        return got === undefined || !isEqual(wanted, got, exactly)
      case "$oneOf":
        return listOf(wanted).some((one) => isEqual(one, got ?? null, same))
      case "$contains":
        return listOf(wanted).every((one) => listOf(got).some((item) => isEqual(one, item, same)))
      case "$absent":
        return (got === undefined) === (wanted === true)
    }
  }
  return isEqual(expected, got, same)
}

/** Every place where two documents differ. */
export const differences = (
  expected: Json,
  got: Json | undefined,
  same: SameText = exactly,
  pointer = ""
): ReadonlyArray<string> => {
  if (Array.isArray(expected) && Array.isArray(got)) {
    const [wanted, found] = [listOf(expected), listOf(got)]
    const length = Math.max(wanted.length, found.length)
    return Array.from({ length }, (_, index) => index).flatMap((index) =>
      memberDifferences(wanted[index], found[index], same, `${pointer}/${index}`)
    )
  }
  if (isObject(expected) && isObject(got)) {
    const keys = new Set([...Object.keys(expected), ...Object.keys(got)])
    return [...keys].flatMap((key) =>
      memberDifferences(
        Object.hasOwn(expected, key) ? expected[key] : undefined,
        Object.hasOwn(got, key) ? got[key] : undefined,
        same,
        `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`
      )
    )
  }
  const equal =
    typeof expected === "string" && typeof got === "string" ? same(expected, got) : Object.is(expected, got)
  return equal ? [] : [`${pointer === "" ? "/" : pointer}: expected ${show(expected)}, got ${show(got)}`]
}

const memberDifferences = (
  expected: Json | undefined,
  got: Json | undefined,
  same: SameText,
  pointer: string
): ReadonlyArray<string> =>
  expected === undefined
    ? [`${pointer}: expected nothing, got ${show(got)}`]
    : differences(expected, got, same, pointer)

const show = (value: Json | undefined): string => {
  const text = value === undefined ? "nothing" : JSON.stringify(value)
  return text.length > 600 ? `${text.slice(0, 600)}…` : text
}

const ignoredTags = new Set(["prefect.io/work-pool-id", "prefect.io/attempt", "cpln/prefectAgent"])

/**
 * Tags without those that an implementation may add, and without the agent's own. The platform takes numbers and truth
 * values too, and compares all as text.
 */
export const bindingTags = (tags: Json | undefined): JsonObject =>
  Object.fromEntries(
    Object.entries(objectOf(tags))
      .filter(([key]) => !ignoredTags.has(key))
      .map(([key, value]) => [key, value === null ? "" : typeof value === "object" ? value : String(value)])
  )

/** A policy without secrets counts as none; its tags and description do not bind, and its links are a set. */
export const bindingPolicy = (policy: Json | undefined): Json => {
  const links = new Set(listOf(objectOf(policy)["targetLinks"]).map(String))
  if (!isObject(policy) || links.size === 0) return null
  const { tags: _tags, description: _description, ...rest } = policy
  return { ...rest, targetLinks: [...links].sort() } as JsonObject
}

export const bindingIdentity = (identity: Json | undefined): Json =>
  isObject(identity) ? { kind: identity["kind"] ?? null, name: identity["name"] ?? null } : null

export const bindingWorkload = (workload: Json | undefined): Json =>
  isObject(workload) ? { ...workload, tags: bindingTags(workload["tags"]) } : null

/**
 * The reference joins a command list by spaces; first element as entrypoint and the rest in front of the arguments is
 * as good (notes of the family `command`), so both are read as one list of words.
 */
export const bindingCommand = (command: Json | undefined): Json => {
  if (!isObject(command)) return null
  const spec = objectOf(command["spec"])
  return {
    ...command,
    tags: bindingTags(command["tags"]),
    spec: {
      ...spec,
      containerOverrides: listOf(spec["containerOverrides"]).map((override) => {
        if (!isObject(override) || typeof override["command"] !== "string") return override
        const { command: entrypoint, args, ...rest } = override
        return {
          ...rest,
          "command and args": [...String(entrypoint).split(" "), ...listOf(args)]
        } as JsonObject
      })
    }
  }
}
