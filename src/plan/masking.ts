/**
 * Takes secrets out of what is shown.
 *
 * Invariant: pure. What the server or the platform calls a secret never shows, wherever it was put, nor does the value of a
 * variable that is named like one.
 */
import { isRecord, mapValues } from "../job/json.ts"

export const hidden = "********"

/** Names of variables whose values are taken for secrets. */
const secretVariable =
  /key|token|secret|passw|pwd|auth|credential|custom_headers|private|dsn|connection_(?:url|string)/iu

/** Fields of blocks whose values are taken for secrets, whatever their schema says. */
const secretField =
  /^(?:token|password|passwd|secret|api_?key|access_?key|private_?key|auth_?string|connection_?(?:url|string))$/iu

/** `user:password@` in an address. */
const userInfo = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@:]*:[^\s/@]+@/giu

/** A shorter one would take half of every text with it; it is hidden where it stands alone. */
const leastInside = 4

/** A function that hides these values in any JSON. References to secrets stay: they name them, and say no more. */
export const masking = (secrets: Iterable<string>): (<A>(value: A) => A) => {
  const all = [...new Set(secrets)].filter((each) => each !== "").sort((a, b) => b.length - a.length)
  const inText = (text: string): string => {
    if (all.includes(text)) return hidden
    const without = all
      .filter((each) => each.length >= leastInside)
      .reduce((left, each) => left.replaceAll(each, hidden), text)
    return without.replace(userInfo, `$1${hidden}@`)
  }
  const inAny = (value: unknown): unknown => {
    if (typeof value === "string") return inText(value)
    if (Array.isArray(value)) return value.map(inAny)
    if (!isRecord(value)) return value
    const { name, value: own } = value
    const isVariable = typeof name === "string" && typeof own === "string" && Object.keys(value).length === 2
    return isVariable && secretVariable.test(name) && !own.startsWith("cpln://") && own !== ""
      ? { name, value: hidden }
      : mapValues(value, inAny)
  }
  return (value) => inAny(value) as typeof value
}

/** The texts of `full` that stand as asterisks in `shown`, or in a field that is named like a secret. */
export const secretsIn = (full: unknown, shown: unknown, isSecret = false): ReadonlyArray<string> => {
  const here = isSecret || (typeof shown === "string" && /^\*+$/u.test(shown))
  if (typeof full === "string") return here ? [full] : []
  if (Array.isArray(full)) {
    return full.flatMap((each, index) => secretsIn(each, Array.isArray(shown) ? shown[index] : shown, here))
  }
  if (!isRecord(full)) return []
  return Object.entries(full).flatMap(([key, each]) =>
    secretsIn(each, isRecord(shown) ? shown[key] : shown, here || secretField.test(key))
  )
}
