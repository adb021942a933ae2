/** Where two objects differ, with both values. Pure. */
import { isRecord } from "../job/json.ts"

export interface Change {
  readonly path: string
  /** Null where it is missing. */
  readonly there: unknown
  readonly planned: unknown
}

/** Both as the platform stores them, so that whatever differs differs. Items with names are told by them. */
export const changes = (there: unknown, planned: unknown, path: string): ReadonlyArray<Change> => {
  if (isRecord(there) && isRecord(planned)) {
    return keysOf(there, planned).flatMap((key) => changes(there[key], planned[key], `${path}.${key}`))
  }
  if (Array.isArray(there) && Array.isArray(planned) && isNamed(there) && isNamed(planned)) {
    const [left, right] = [byName(there), byName(planned)]
    return keysOf(left, right).flatMap((name) => changes(left[name], right[name], `${path}[${name}]`))
  }
  return JSON.stringify(there ?? null) === JSON.stringify(planned ?? null)
    ? []
    : [{ path, there: there ?? null, planned: planned ?? null }]
}

const keysOf = (...records: ReadonlyArray<Readonly<Record<string, unknown>>>): ReadonlyArray<string> => [
  ...new Set(records.flatMap((each) => Object.keys(each)))
]

const isNamed = (list: ReadonlyArray<unknown>): boolean =>
  list.length > 0 && list.every((each) => isRecord(each) && typeof each["name"] === "string")

const byName = (list: ReadonlyArray<unknown>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(list.map((each) => [String((each as Record<string, unknown>)["name"]), each]))
