/**
 * Text that a Prefect server can store: without NUL and without unpaired surrogates, both shown as U+FFFD.
 *
 * Invariant: every string that leaves this client has been through here. A NUL makes PostgreSQL answer 503 on every
 * repetition, for a whole batch; an unpaired surrogate makes every server answer 500.
 */
import { Predicate } from "effect"

const replacement = "\ufffd"

export const cleanText = (text: string): string => text.toWellFormed().replaceAll("\u0000", replacement)

/** The same JSON value with every string in it clean, keys included, at any depth. */
export const clean = (value: unknown): unknown => {
  if (typeof value === "string") return cleanText(value)
  if (Array.isArray(value)) return value.map(clean)
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [cleanText(key), clean(each)]))
}
