/**
 * JSON as it comes over the wire, read with suspicion.
 *
 * Invariant: a value that passed `parseJson` is at most `deepest` levels deep and holds no key that JavaScript treats
 * specially, so that every walk over it ends and none touches a prototype.
 */
import { Predicate } from "effect"

export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

const deepest = 64

const isWellBehaved = (value: Json, depth: number): boolean => {
  if (typeof value !== "object" || value === null) return true
  if (depth > deepest) return false
  if (Array.isArray(value)) return value.every((each: Json) => isWellBehaved(each, depth + 1))
  return Object.entries(value).every(([key, each]) => key !== "__proto__" && isWellBehaved(each, depth + 1))
}

/** The value, or undefined for text that is no JSON or not well-behaved. */
export const parseJson = (text: string): Json | undefined => {
  try {
    const value = JSON.parse(text) as Json
    return isWellBehaved(value, 0) ? value : undefined
  } catch {
    return undefined
  }
}

export const isObject = (value: unknown): value is JsonObject =>
  Predicate.isObject(value) && !Array.isArray(value)

export const objectOf = (value: unknown): JsonObject => (isObject(value) ? value : {})

export const listOf = (value: unknown): ReadonlyArray<Json> =>
  Array.isArray(value) ? (value as ReadonlyArray<Json>) : []

export const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

export const numberOf = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined

/** `spec.job.schedule` and the like; undefined where the way ends. */
export const at = (value: Json | undefined, path: ReadonlyArray<string>): Json | undefined => {
  let here: Json | undefined = value
  for (const key of path) {
    if (!isObject(here) || !Object.hasOwn(here, key)) return undefined
    here = here[key]
  }
  return here
}

/** Leaves out what is undefined, as JSON would. */
export const object = (fields: Readonly<Record<string, Json | undefined>>): JsonObject =>
  Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, Json] => entry[1] !== undefined)
  )
