/**
 * JSON values as they come from outside: what they are, and whether they are safe to walk.
 *
 * Invariant: nothing here throws, whatever the value.
 */

export type JsonRecord = Readonly<Record<string, unknown>>

export const isRecord = (value: unknown): value is JsonRecord =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const recordOf = (value: unknown): JsonRecord => (isRecord(value) ? value : {})

/** Own properties only: a template may name a variable "constructor". */
export const valueAt = (record: JsonRecord, key: string): unknown =>
  Object.hasOwn(record, key) ? record[key] : undefined

/** Deeper than any real template; recursion over more could overflow the stack. */
export const deepest = 200

export const isTooDeep = (value: unknown): boolean => {
  let level: ReadonlyArray<unknown> = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepest) return true
    level = level.flatMap((each) =>
      Array.isArray(each) ? (each as ReadonlyArray<unknown>) : isRecord(each) ? Object.values(each) : []
    )
  }
  return false
}

/** Like `Object.entries(...).map(...)` back to an object; a key "__proto__" stays a key. */
export const mapValues = (record: JsonRecord, change: (value: unknown, key: string) => unknown): JsonRecord =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]))
