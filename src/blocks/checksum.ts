/**
 * The checksum by which Prefect tells one block schema from another.
 *
 * Invariant: the same text as Prefect makes of the same fields on both lines (`Block._calculate_schema_checksum`), but for
 * numbers that JavaScript cannot tell apart (`5.0` and `5`): no schema of ours holds a fraction.
 */
import { createHash } from "node:crypto"
import { isRecord, type JsonRecord, mapValues, recordOf, valueAt } from "../job/json.ts"
import { hashText } from "../job/spec-hash.ts"

/** `sha256:` and 64 hex digits. Which fields are secret does not count, and nested blocks count by their reference. */
export const schemaChecksum = (fields: JsonRecord): string => {
  // The text is that of Python's arguments: the positional ones, then the named ones.
  const text = hashText([[counted(recordOf(withoutSecrets(fields)))], {}])
  return `sha256:${createHash("sha256").update(text).digest("hex")}`
}

/** Objects are searched, lists are not. */
const withoutSecrets = (value: unknown): unknown =>
  isRecord(value)
    ? mapValues(
        Object.fromEntries(Object.entries(value).filter(([key]) => key !== "secret_fields")),
        withoutSecrets
      )
    : value

/** Of the definitions only those that are used and describe no block. */
const counted = (fields: JsonRecord): JsonRecord => {
  const { definitions, ...rest } = fields
  if (!isRecord(definitions) || Object.keys(definitions).length === 0) return fields
  const kept = plainDefinitions(fields, definitions, new Map())
  return kept.size === 0 ? rest : { ...rest, definitions: Object.fromEntries(kept) }
}

const plainDefinitions = (
  used: unknown,
  definitions: JsonRecord,
  found: Map<string, unknown>
): ReadonlyMap<string, unknown> => {
  for (const reference of referencesIn(used)) {
    const key = reference.replaceAll("#/definitions/", "")
    const definition = valueAt(definitions, key)
    if (found.has(key) || !isRecord(definition) || Object.keys(definition).length === 0) continue
    if ((definition["block_type_slug"] ?? null) !== null) continue
    found.set(key, definition)
    plainDefinitions(definition, definitions, found)
  }
  return found
}

const referencesIn = (value: unknown): ReadonlyArray<string> => {
  if (Array.isArray(value)) return value.flatMap(referencesIn)
  if (!isRecord(value)) return []
  const own = value["$ref"]
  return [...(typeof own === "string" ? [own] : []), ...Object.values(value).flatMap(referencesIn)]
}
