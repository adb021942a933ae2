/**
 * Adapter for `block-types.json`: what `agent blocks register` posts, held against what the reference posts, and our schema
 * checksums against those that servers gave.
 *
 * Invariant: one outcome for each block type of the file. What follows from a corrected block that stands in another
 * (its definition, its checksum, the paths of its secrets) is held against our own class of that block, the rest against
 * the file.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { BlockClass } from "../../../src/blocks/block-class.ts"
import { blockClassOf } from "../../../src/blocks/catalogue.ts"
import { schemaChecksum } from "../../../src/blocks/checksum.ts"
import { at, differences, judge } from "./compare.ts"
import {
  type Adapter,
  isObject,
  type Json,
  type JsonObject,
  listOf,
  objectOf,
  textOf,
  type VectorCase
} from "./vector.ts"

export const run: Adapter = ({ content }) => {
  const entries = listOf(content["blockTypes"]).map(objectOf)
  return entries.map((entry) => ({
    id: String(entry["id"]),
    title: String(entry["className"]),
    failures: failuresOf(entry, [...entries, ...ownEntries()])
  }))
}

/** The project's copy knows every release of a block; a file of a few more cases may hold an early one alone. */
const ownEntries = (): ReadonlyArray<JsonObject> => {
  const text = readFileSync(join(import.meta.dirname, "..", "vectors", "block-types.json"), "utf8")
  return listOf(objectOf(JSON.parse(text) as Json)["blockTypes"]).map(objectOf)
}

const failuresOf = (entry: JsonObject, all: ReadonlyArray<JsonObject>): ReadonlyArray<string> => {
  const inconsistent = dataFailures(entry)
  if (inconsistent.length > 0) return inconsistent
  const slug = textOf(at(entry, "/posted/blockType/slug")) ?? ""
  const ours = blockClassOf(slug)
  if (ours === undefined) return [`/posted/blockType/slug: ${slug} is never registered`]
  return [
    ...checksumFailures(entry),
    ...expectationFailures(entry, ours),
    ...bindingFailures(entry, ours, all),
    ...nestedFailures(ours)
  ]
}

/** What a server serves is what was posted. */
const dataFailures = (entry: JsonObject): ReadonlyArray<string> => {
  const [posted, served] = [at(entry, "/posted/blockType"), at(entry, "/served/blockType")]
  const [postedSchema, servedSchema] = [at(entry, "/posted/blockSchema"), at(entry, "/served/blockSchema")]
  if (![posted, served, postedSchema, servedSchema].every(isObject))
    return ["/: expected posted and served parts"]
  const { is_protected: _protected, ...type } = objectOf(served)
  const { checksum: _checksum, ...schema } = objectOf(servedSchema)
  return [
    ...differences(posted ?? null, type),
    ...differences(postedSchema ?? null, schema),
    ...differences(at(posted, "/slug") ?? null, at(postedSchema, "/fields/block_type_slug"))
  ]
}

const checksumFailures = (entry: JsonObject): ReadonlyArray<string> =>
  ["posted", "served"].flatMap((side) =>
    differences(
      at(entry, "/served/blockSchema/checksum") ?? null,
      schemaChecksum(objectOf(at(entry, `/${side}/blockSchema/fields`)))
    ).map((difference) => `checksum of /${side}/blockSchema/fields ${difference}`)
  )

const asPosted = ({ schema, type }: BlockClass): JsonObject =>
  JSON.parse(JSON.stringify({ blockType: type, blockSchema: schema })) as JsonObject

/** A defect is judged by its `expected` alone. */
const expectationFailures = (entry: JsonObject, ours: BlockClass): ReadonlyArray<string> =>
  entry["defect"] === undefined
    ? []
    : judge({ ...entry, output: {} } as unknown as VectorCase, { output: { posted: asPosted(ours) } })

/** Type, version, capabilities and fields, apart from what a correction changes. */
const bindingFailures = (
  entry: JsonObject,
  ours: BlockClass,
  all: ReadonlyArray<JsonObject>
): ReadonlyArray<string> => {
  const posted = objectOf(entry["posted"])
  const got = asPosted(ours)
  const wanted = objectOf(at(posted, "/blockSchema/fields/properties"))
  const known = all
    .filter((each) => at(each, "/posted/blockType/slug") === ours.type.slug)
    .flatMap((each) => Object.keys(objectOf(at(each, "/posted/blockSchema/fields/properties"))))
  const properties = Object.entries(objectOf(at(got, "/blockSchema/fields/properties")))
  const secrets = new Set(ours.schema.fields.secret_fields)
  const unmasked = (name: string, property: Json): Json => {
    if (!secrets.has(name)) return property
    const { format: _format, writeOnly: _writeOnly, ...rest } = objectOf(property)
    return rest as JsonObject
  }
  const own = (half: JsonObject, properties: JsonObject): JsonObject => {
    const { fields, ...schema } = objectOf(half["blockSchema"])
    const { definitions, block_schema_references, secret_fields: _secret, ...rest } = objectOf(fields)
    return {
      blockType: half["blockType"] ?? null,
      blockSchema: {
        ...schema,
        fields: {
          ...rest,
          properties,
          block_schema_references: Object.fromEntries(
            Object.entries(objectOf(block_schema_references)).map(([field, reference]) => [
              field,
              at(reference, "/block_type_slug") ?? null
            ])
          ),
          definitions: Object.entries(objectOf(definitions)).flatMap(([name, definition]) =>
            at(definition, "/block_type_slug") === undefined ? [name] : []
          )
        }
      }
    }
  }
  return [
    ...differences(
      own(posted, wanted),
      own(
        got,
        Object.fromEntries(
          properties
            // Fields of a later release may stand beside those of an earlier one; invented ones may not.
            .filter(([name]) => Object.hasOwn(wanted, name) || !known.includes(name))
            .map(([name, property]) => [name, unmasked(name, property)])
        )
      )
    ),
    ...listOf(at(posted, "/blockSchema/fields/secret_fields"))
      .filter((secret) => !secrets.has(String(secret)))
      .map((secret) => `/blockSchema/fields/secret_fields: ${String(secret)} is not secret`)
  ]
}

/** Every block inside is there as it is registered, by its checksum, and its secrets are secret here too. */
const nestedFailures = (ours: BlockClass): ReadonlyArray<string> => {
  const { schema, type } = ours
  return Object.entries(schema.fields.block_schema_references).flatMap(([field, reference]) => {
    const child = blockClassOf(reference.block_type_slug)
    if (child === undefined)
      return [`${type.slug}.${field}: ${reference.block_type_slug} is never registered`]
    const { definitions: _definitions, ...fields } = objectOf(at(asPosted(child), "/blockSchema/fields"))
    return [
      ...differences(schemaChecksum(child.schema.fields), reference.block_schema_checksum),
      ...differences(
        fields as JsonObject,
        at(asPosted(ours), `/blockSchema/fields/definitions/${fields["title"]}`)
      ),
      ...child.schema.fields.secret_fields
        .map((secret) => `${field}.${secret}`)
        .filter((secret) => !schema.fields.secret_fields.includes(secret))
        .map((secret) => `${type.slug}: ${secret} is not secret`)
    ]
  })
}
