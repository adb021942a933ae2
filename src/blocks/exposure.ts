/**
 * Documents whose token everybody can read: the reference keeps it in a plain field, and a document stays with the schema
 * that it was saved with.
 *
 * Invariant: what is found here is told by its name, never by its value.
 */
import { Effect, Redacted } from "effect"
import type { ApiError } from "../http/errors.ts"
import { isRecord, valueAt } from "../job/json.ts"
import { Blocks, type DocumentRow } from "../prefect/blocks.ts"
import { blockClassOf, catalogue } from "./catalogue.ts"
import type { Registered } from "./register.ts"

/** `type/name`; those that deployments carry inside have a name that the server made up. */
export const nameOf = ({ block_type, name }: DocumentRow): string =>
  `${block_type.slug}/${name ?? "(unnamed)"}`

export const allDocuments = Blocks.use((blocks) => blocks.documents(catalogue.map(({ type }) => type.slug)))

/** True when a value that our schema calls secret stands in clear. Saved blocks inside answer for themselves. */
export const isExposed = (document: DocumentRow): boolean => {
  const hidden = new Set(document.block_schema.fields.secret_fields)
  const secrets = blockClassOf(document.block_type.slug)?.schema.fields.secret_fields ?? []
  return secrets.some((secret) => {
    const keys = secret.split(".")
    if (hidden.has(secret) || Object.hasOwn(document.block_document_references, keys[0] ?? "")) return false
    const found = keys.reduce<unknown>(
      (at, key) => (isRecord(at) ? valueAt(at, key) : undefined),
      document.data
    )
    return typeof found === "string" && found !== ""
  })
}

/** Moves a document to our schema of its type. Its data stays as it is: the server hides the token from then on. */
export const protect = Effect.fn("blocks.protect")(function* (
  document: DocumentRow,
  registered: ReadonlyArray<Registered>
): Effect.fn.Return<void, ApiError, Blocks> {
  const ours = registered.find(({ slug }) => slug === document.block_type.slug)
  if (ours === undefined) return
  const blocks = yield* Blocks
  // A server forgets the saved blocks inside that a change does not name.
  const references = Object.entries(document.block_document_references).map(
    ([field, { block_document }]) => [field, { $ref: { block_document_id: block_document.id } }] as const
  )
  yield* blocks.updateDocument(document.id, {
    schemaId: ours.schemaId,
    data: Redacted.make(Object.fromEntries(references)),
    whole: false
  })
})
