/**
 * Block types, schemas and documents of a Prefect server, as they are made and looked up; the agent's own reading of a
 * run's blocks is in `sources.ts`. Paths and bodies are the same on 2.20 and 3.x.
 *
 * Invariant: no document is read with its secrets here, so that nothing that follows can print one.
 */
import { Context, Effect, Layer, Option, Redacted, Schema } from "effect"
import type { HttpClient } from "effect/http"
import { type Api, json } from "../http/api.ts"
import type { ApiError } from "../http/errors.ts"
import type { Access } from "./access.ts"
import { connect } from "./connection.ts"
import { everyPage } from "./pages.ts"
import type { Limits, ServerVersion } from "./prefect.ts"
import { done, get, patch, path, post } from "./requests.ts"

const maybe = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const AnyRecord = Schema.Record(Schema.String, Schema.Unknown)

export const BlockTypeRow = Schema.Struct({
  id: Schema.String,
  slug: Schema.String,
  logo_url: maybe(Schema.String),
  documentation_url: maybe(Schema.String),
  description: maybe(Schema.String),
  code_example: maybe(Schema.String)
})
export type BlockTypeRow = typeof BlockTypeRow.Type

export const BlockSchemaRow = Schema.Struct({ id: Schema.String, block_type_id: Schema.String })
export type BlockSchemaRow = typeof BlockSchemaRow.Type

const Reference = Schema.Struct({
  block_document: Schema.Struct({
    id: Schema.String,
    name: maybe(Schema.String),
    block_type: Schema.Struct({ slug: Schema.String })
  })
})

/** `data` holds what the document's own schema does not call secret; the rest of it is `********`. */
export const DocumentRow = Schema.Struct({
  id: Schema.String,
  name: maybe(Schema.String),
  is_anonymous: Schema.optionalKey(Schema.Boolean),
  data: AnyRecord,
  block_type: Schema.Struct({ slug: Schema.String }),
  block_schema: Schema.Struct({
    checksum: Schema.String,
    fields: Schema.Struct({ secret_fields: Schema.optionalKey(Schema.Array(Schema.String)) })
  }),
  /** Saved blocks that stand in this one, by field. */
  block_document_references: Schema.Record(Schema.String, Reference)
})
export type DocumentRow = typeof DocumentRow.Type

export interface TypeTexts {
  readonly logo_url: string
  readonly documentation_url: string
  readonly description: string
  readonly code_example: string
}

export interface NewSchema {
  readonly fields: Readonly<Record<string, unknown>>
  readonly capabilities: ReadonlyArray<string>
  readonly version: string
}

export interface NewDocument {
  readonly name: string
  readonly typeId: string
  readonly schemaId: string
  /** A saved block inside is `{"$ref": {"block_document_id": "…"}}`. May hold secrets, hence redacted. */
  readonly data: Redacted.Redacted<Readonly<Record<string, unknown>>>
}

export class Blocks extends Context.Service<
  Blocks,
  {
    /** Base URL as the user gave it, without credentials: for messages. */
    readonly url: string
    readonly version: Effect.Effect<ServerVersion, ApiError>

    findType(slug: string): Effect.Effect<Option.Option<BlockTypeRow>, ApiError>
    /** `Conflict` when somebody else was faster. */
    createType(
      type: TypeTexts & { readonly name: string; readonly slug: string }
    ): Effect.Effect<BlockTypeRow, ApiError>
    updateType(id: string, texts: Partial<TypeTexts>): Effect.Effect<void, ApiError>
    findSchema(checksum: string, version: string): Effect.Effect<Option.Option<BlockSchemaRow>, ApiError>
    /** Gives the row that is there when the server has one of this checksum and version. */
    createSchema(typeId: string, schema: NewSchema): Effect.Effect<BlockSchemaRow, ApiError>

    findDocument(typeSlug: string, name: string): Effect.Effect<Option.Option<DocumentRow>, ApiError>
    /** Named and anonymous ones, every page. */
    documents(typeSlugs: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<DocumentRow>, ApiError>
    /** `Conflict` when there is one of this type and name. */
    createDocument(document: NewDocument): Effect.Effect<void, ApiError>
    /**
     * `data` is laid over what the document holds, or stands alone with `whole`. Saved blocks inside that `data` does not
     * name are gone in either case.
     */
    updateDocument(
      id: string,
      change: Pick<NewDocument, "schemaId" | "data"> & { readonly whole: boolean }
    ): Effect.Effect<void, ApiError>
  }
>()("agent/prefect/Blocks") {
  /** With a connection of its own; sends nothing until it is used. */
  static readonly layer = (
    access: Access,
    limits: Partial<Limits> = {}
  ): Layer.Layer<Blocks, never, HttpClient.HttpClient> =>
    Layer.effect(
      Blocks,
      Effect.map(connect(access, { ratePerSecond: 50, concurrency: 4, ...limits }), ({ api, version }) => ({
        url: access.url,
        version,
        ...types(api),
        ...documents(api)
      }))
    )
}

type Types = Pick<Blocks["Service"], "findType" | "createType" | "updateType" | "findSchema" | "createSchema">
type Documents = Pick<Blocks["Service"], "findDocument" | "documents" | "createDocument" | "updateDocument">

const value = <A>(seen: { readonly value: A }): A => seen.value

const orNone = <A, R>(found: Effect.Effect<A, ApiError, R>) =>
  found.pipe(
    Effect.map(Option.some),
    Effect.catchTag("NotFound", () => Effect.succeed(Option.none<A>()))
  )

/** Everything is repeated like a read: what got through unnoticed is found there, as another's would be. */
const types = ({ repeatable }: Api): Types => ({
  findType: Effect.fn("Blocks.findType")(function* (slug) {
    return yield* repeatable(get(path`/block_types/slug/${slug}`)).pipe(
      Effect.flatMap(json(BlockTypeRow)),
      Effect.map(value),
      orNone
    )
  }),

  createType: Effect.fn("Blocks.createType")(function* (type) {
    return yield* repeatable(post("/block_types/", type)).pipe(
      Effect.flatMap(json(BlockTypeRow)),
      Effect.map(value)
    )
  }),

  updateType: Effect.fn("Blocks.updateType")(function* (id, texts) {
    yield* done(repeatable(patch(path`/block_types/${id}`, texts)))
  }),

  findSchema: Effect.fn("Blocks.findSchema")(function* (checksum, version) {
    return yield* repeatable(get(path`/block_schemas/checksum/${checksum}?version=${version}`)).pipe(
      Effect.flatMap(json(BlockSchemaRow)),
      Effect.map(value),
      orNone
    )
  }),

  createSchema: Effect.fn("Blocks.createSchema")(function* (typeId, schema) {
    return yield* repeatable(post("/block_schemas/", { block_type_id: typeId, ...schema })).pipe(
      Effect.flatMap(json(BlockSchemaRow)),
      Effect.map(value)
    )
  })
})

const documents = ({ repeatable }: Api): Documents => ({
  findDocument: Effect.fn("Blocks.findDocument")(function* (typeSlug, name) {
    return yield* repeatable(get(path`/block_types/slug/${typeSlug}/block_documents/name/${name}`)).pipe(
      Effect.flatMap(json(DocumentRow)),
      Effect.map(value),
      orNone
    )
  }),

  documents: Effect.fn("Blocks.documents")(function* (typeSlugs) {
    const all = yield* everyPage(
      (page) =>
        repeatable(
          post("/block_documents/filter", {
            block_types: { slug: { any_: typeSlugs } },
            // Without this, a server leaves out those that deployments carry inside.
            block_documents: { is_anonymous: null },
            include_secrets: false,
            ...page
          })
        ).pipe(Effect.flatMap(json(Schema.Array(DocumentRow)))),
      (document) => document.id
    )
    return all.value
  }),

  createDocument: Effect.fn("Blocks.createDocument")(function* ({ name, typeId, schemaId, data }) {
    yield* done(
      repeatable(
        post("/block_documents/", {
          name,
          block_type_id: typeId,
          block_schema_id: schemaId,
          data: Redacted.value(data),
          is_anonymous: false
        })
      )
    )
  }),

  updateDocument: Effect.fn("Blocks.updateDocument")(function* (id, { schemaId, data, whole }) {
    yield* done(
      repeatable(
        patch(path`/block_documents/${id}`, {
          block_schema_id: schemaId,
          data: Redacted.value(data),
          merge_existing_data: !whole
        })
      )
    )
  })
})
