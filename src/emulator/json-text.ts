/**
 * JSON as text, where the texts of parts that are asked for again and again are kept: a command is read some hundred times
 * before it changes.
 *
 * Invariant: a part whose text is kept is never changed afterwards; whoever makes such a part makes a new one for every
 * change. Texts go with their parts.
 */
import type { Json, JsonObject } from "./json.ts"

const texts = new WeakMap<object, string>()
/** Marked, and not yet written once. */
const unwritten = ""

/** Says that this part does not change any more, and that its text is worth keeping. */
export const kept = <A extends JsonObject | ReadonlyArray<Json>>(part: A): A => {
  texts.set(part, unwritten)
  return part
}

/** Deeper than the parts of any answer whose texts are kept. */
const deepest = 6

const textAt = (value: Json, depth: number): string => {
  if (typeof value !== "object" || value === null || depth > deepest) return JSON.stringify(value)
  const known = texts.get(value)
  if (known !== undefined) {
    if (known !== unwritten) return known
    const text = contentAt(value, depth)
    texts.set(value, text)
    return text
  }
  return contentAt(value, depth)
}

const contentAt = (value: JsonObject | ReadonlyArray<Json>, depth: number): string => {
  if (Array.isArray(value)) {
    // The parts of a list are alike: when the first is nothing to look into, none is.
    if (typeof value[0] !== "object") return JSON.stringify(value)
    return `[${value.map((each: Json) => textAt(each, depth + 1)).join(",")}]`
  }
  const members = Object.entries(value).map(
    ([key, each]) => `${JSON.stringify(key)}:${textAt(each, depth + 1)}`
  )
  return `{${members.join(",")}}`
}

/** What `JSON.stringify` gives, sooner. */
export const jsonText = (value: Json): string => textAt(value, 0)
