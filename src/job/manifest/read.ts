/**
 * Reads fields of a manifest that may be any JSON at all.
 *
 * Invariant: nothing throws; a value of the wrong type is one problem with its path and is then taken for missing. null
 * is taken for missing, as Kubernetes does.
 */
import { isRecord, type JsonRecord, valueAt } from "../json.ts"
import type { Report } from "./report.ts"

/** Own members only: a manifest may hold a key like "constructor". */
export const member = (of: unknown, key: string): unknown => (isRecord(of) ? valueAt(of, key) : undefined)

/** `a.b`, or `a["b/c"]` where the key is no plain word. */
export const below = (path: string, key: string): string => {
  if (!/^[A-Za-z_][\w-]*$/u.test(key)) return `${path}[${JSON.stringify(key.slice(0, 80))}]`
  return path === "" ? key : `${path}.${key}`
}

/** What a value is, without saying it: it may come from a block, and be a secret. */
export const kindOf = (value: unknown): string => {
  if (value === undefined || value === null) return "null"
  if (Array.isArray(value)) return "a list"
  return typeof value === "object" ? "a mapping" : typeof value === "string" ? "a text" : `a ${typeof value}`
}

/** A name, a path or a number, as short as a message wants it. Never for values of variables, arguments or labels. */
export const shown = (value: unknown): string => {
  if (typeof value === "number" || typeof value === "boolean") return String(value)
  return typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : kindOf(value)
}

/** A node of the manifest with its path, and the report that its problems go to. */
export interface Node {
  readonly value: JsonRecord
  readonly path: string
  readonly report: Report
}

export const pathOf = (node: Node, key: string): string => below(node.path, key)

const isMissing = (value: unknown): value is null | undefined => value === undefined || value === null

export const mappingIn = (node: Node, key: string): Node | undefined => {
  const value = member(node.value, key)
  if (isMissing(value)) return undefined
  const path = pathOf(node, key)
  if (isRecord(value)) return { value, path, report: node.report }
  node.report.refuse(path, `must be a mapping, not ${kindOf(value)}.`, "Write it as key: value pairs.")
  return undefined
}

/** The members that are mappings; any other is a problem. Undefined when the list itself is missing. */
export const mappingsIn = (node: Node, key: string): ReadonlyArray<Node> | undefined => {
  const list = listIn(node, key)
  return list?.flatMap((value, index) => {
    const path = `${pathOf(node, key)}[${index}]`
    if (isRecord(value)) return [{ value, path, report: node.report }]
    node.report.refuse(path, `must be a mapping, not ${kindOf(value)}.`, "Write it as key: value pairs.")
    return []
  })
}

export const listIn = (node: Node, key: string): ReadonlyArray<unknown> | undefined => {
  const value = member(node.value, key)
  if (isMissing(value)) return undefined
  if (Array.isArray(value)) return value
  node.report.refuse(
    pathOf(node, key),
    `must be a list, not ${kindOf(value)}.`,
    "Write one element per item."
  )
  return undefined
}

/** Undefined for a missing text; an empty one is returned as it is. */
export const textIn = (node: Node, key: string): string | undefined => {
  const value = member(node.value, key)
  if (isMissing(value)) return undefined
  if (typeof value === "string") return value
  node.report.refuse(pathOf(node, key), `must be a text, not ${kindOf(value)}.`, "Put it in quotes.")
  return undefined
}

/** A text that has to be there and not be empty; anything else is a problem. */
export const requiredTextIn = (node: Node, key: string, remedy: string): string | undefined => {
  const value = member(node.value, key)
  if (typeof value === "string" && value !== "") return value
  node.report.refuse(
    pathOf(node, key),
    isMissing(value) || value === ""
      ? "is missing."
      : `must be a text that is not empty, not ${kindOf(value)}.`,
    remedy
  )
  return undefined
}

/** Everything that says "not set" in Kubernetes' own types. */
export const isUnset = (value: unknown): boolean =>
  isMissing(value) ||
  value === "" ||
  value === false ||
  (Array.isArray(value) && value.length === 0) ||
  (isRecord(value) && Object.keys(value).length === 0)
