/**
 * The hash in the tag `cpln/specHash`, by which jobs of equal shape share one workload.
 *
 * Invariant: the same text and MD5 as the Python reference for the same spec, whatever the order of keys
 * (`test/contract/vectors/README.md`, "Spec hash"). It names a shape and protects nothing.
 */
import { createHash } from "node:crypto"

/** Code points, not UTF-16 units: the two differ beyond U+FFFF. */
const byCodePoint = (a: string, b: string): number => {
  const [left, right] = [[...a], [...b]]
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const difference = (left[index]?.codePointAt(0) ?? 0) - (right[index]?.codePointAt(0) ?? 0)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

/** JSON.stringify escapes quotes, backslashes and control characters as wanted; the rest of non-ASCII is left to do. */
const quoted = (text: string): string =>
  JSON.stringify(text).replaceAll(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

/** JSON with sorted keys, `", "` and `": "` as separators, and ASCII only. */
export const hashText = (value: unknown): string => {
  if (typeof value === "string") return quoted(value)
  if (Array.isArray(value)) return `[${value.map(hashText).join(", ")}]`
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => byCodePoint(a, b))
      .map(([key, member]) => `${quoted(key)}: ${hashText(member)}`)
    return `{${members.join(", ")}}`
  }
  return String(value)
}

/**
 * 32 lower-case hex digits. `identityLink` counts only where the job's owner chose it: the one that is made with the
 * workload is named after it, and would make every hash another.
 */
export const specHash = (
  spec: Readonly<Record<string, unknown>>,
  options: { readonly withIdentity: boolean }
): string => {
  const { identityLink, ...rest } = spec
  return createHash("md5")
    .update(hashText(options.withIdentity ? { ...rest, identityLink } : rest))
    .digest("hex")
}
