/**
 * What is posted to a Prefect server to make a block type known: the type, and the schema of its documents.
 *
 * Invariant: keys and their nesting are those of the Python class's own registration, so that documents go both ways. A
 * nested block is referred to by the checksum of the very schema that is registered for it.
 */
import type { JsonRecord } from "../job/json.ts"
import { schemaChecksum } from "./checksum.ts"

/** The texts of a block type. `name` and `slug` can never be changed on a server, the others can. */
export interface BlockType {
  readonly name: string
  readonly slug: string
  readonly logo_url: string
  readonly documentation_url: string
  readonly description: string
  readonly code_example: string
}

export interface BlockSchema {
  readonly fields: SchemaFields
  readonly capabilities: ReadonlyArray<string>
  readonly version: string
}

export interface SchemaReference {
  readonly block_type_slug: string
  readonly block_schema_checksum: string
}

export interface SchemaFields extends JsonRecord {
  readonly title: string
  readonly block_type_slug: string
  /** Paths of the values that a server shows as `********`; `config.token` is `token` of the block in `config`. */
  readonly secret_fields: ReadonlyArray<string>
  readonly block_schema_references: Readonly<Record<string, SchemaReference>>
}

export interface BlockClass {
  readonly type: BlockType
  readonly schema: BlockSchema
  readonly checksum: string
}

interface Described {
  /** Of the Python class. */
  readonly className: string
  readonly type: BlockType
  readonly version: string
  readonly capabilities?: ReadonlyArray<string>
  /** A nested block's property holds `{"$ref": "#/definitions/CLASS"}`. */
  readonly properties: JsonRecord
  readonly required?: ReadonlyArray<string>
  readonly secrets?: ReadonlyArray<string>
  /** Property to the block that stands in it. */
  readonly nested?: Readonly<Record<string, BlockClass>>
}

export const blockClass = (described: Described): BlockClass => {
  const { capabilities = [], className, nested = {}, properties, required, secrets = [], type } = described
  const children = Object.entries(nested)
  const definitions = Object.assign({}, ...children.map(([, child]) => definitionsWith(child))) as JsonRecord
  const fields: SchemaFields = {
    title: className,
    description: type.description,
    type: "object",
    properties,
    ...(required === undefined ? {} : { required }),
    block_type_slug: type.slug,
    secret_fields: [
      ...secrets,
      ...children.flatMap(([property, { schema }]) =>
        schema.fields.secret_fields.map((secret) => `${property}.${secret}`)
      )
    ],
    block_schema_references: Object.fromEntries(
      children.map(([property, child]) => [
        property,
        { block_type_slug: child.type.slug, block_schema_checksum: child.checksum }
      ])
    ),
    ...(children.length === 0 ? {} : { definitions })
  }
  return {
    type,
    schema: { fields, capabilities, version: described.version },
    checksum: schemaChecksum(fields)
  }
}

/** The block's own fields and those of the blocks in it, all on one level. */
const definitionsWith = ({ schema }: BlockClass): JsonRecord => {
  const { definitions, ...own } = schema.fields
  return { ...(definitions as JsonRecord | undefined), [own.title]: own }
}
