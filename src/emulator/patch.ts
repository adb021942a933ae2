/**
 * PATCH as the service does it: a deep merge, steered by keys such as `$append/args` on the parent of a field. Pure.
 *
 * Invariant: the document given is never changed, and an operator key never ends up in the result.
 */
import { isObject, type Json, type JsonObject, listOf } from "./json.ts"

const operator = /^\$(patch|append|drop|replace)\/(.+)$/u

const nameOf = (item: Json): Json => (isObject(item) && item["name"] !== undefined ? item["name"] : item)

const same = (a: Json, b: Json): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Items that share a name are merged; the others are added at the end. */
const patchItems = (into: ReadonlyArray<Json>, items: ReadonlyArray<Json>): ReadonlyArray<Json> => {
  const result = [...into]
  for (const item of items) {
    const index = result.findIndex((each) => same(nameOf(each), nameOf(item)))
    const found = result[index]
    if (found === undefined) result.push(item)
    else result[index] = isObject(found) && isObject(item) ? patched(found, item) : item
  }
  return result
}

const dropItems = (from: Json | undefined, items: Json): Json | undefined => {
  const wanted = Array.isArray(items) ? listOf(items) : [items]
  if (Array.isArray(from)) {
    return listOf(from).filter((each) => !wanted.some((item) => same(nameOf(each), nameOf(item))))
  }
  return isObject(from)
    ? Object.fromEntries(Object.entries(from).filter(([key]) => !wanted.includes(key)))
    : from
}

const applied = (name: string, current: Json | undefined, value: Json): Json | undefined => {
  switch (name) {
    case "patch":
      return patchItems(listOf(current), Array.isArray(value) ? listOf(value) : [value])
    case "append":
      return [...listOf(current), ...(Array.isArray(value) ? listOf(value) : [value])]
    case "drop":
      return dropItems(current, value)
    default:
      return value
  }
}

/** `null` removes a field; a list without an operator replaces the list. */
export const patched = (document: JsonObject, change: JsonObject): JsonObject => {
  const result = new Map<string, Json>(Object.entries(document))
  for (const [key, value] of Object.entries(change)) {
    const found = operator.exec(key)
    if (found !== null) {
      const field = found[2]!
      const next = applied(found[1]!, result.get(field), value)
      if (next === undefined || next === null) result.delete(field)
      else result.set(field, next)
      continue
    }
    const current = result.get(key)
    if (value === null) result.delete(key)
    else if (isObject(value)) result.set(key, patched(isObject(current) ? current : {}, value))
    else result.set(key, value)
  }
  return Object.fromEntries(result)
}
