/**
 * Saves a block document as Python's `Block.save` does: registers what is missing, puts references where saved blocks
 * stand, and makes the document or, when told to, puts it in the place of the one that is there.
 *
 * Invariant: everything that can be refused is looked up before anything is written.
 */
import { Effect, Equal, Option, Redacted, Schema } from "effect"
import type { ApiError } from "../http/errors.ts"
import type { JsonRecord } from "../job/json.ts"
import { Blocks, type DocumentRow } from "../prefect/blocks.ts"
import { type BlockSlug, blockClasses } from "./catalogue.ts"
import { type Registered, registerFor } from "./register.ts"

export class BlockExists extends Schema.TaggedError<BlockExists>()("BlockExists", {
  block: Schema.String,
  url: Schema.String
}) {
  override get message() {
    return `Block ${this.block} exists already on ${this.url}; nothing was changed.\n  Give --replace to put the new one in its place, or choose another name.`
  }
}

export class NoSuchBlock extends Schema.TaggedError<NoSuchBlock>()("NoSuchBlock", {
  slug: Schema.String,
  name: Schema.String,
  flag: Schema.String,
  url: Schema.String
}) {
  override get message() {
    return `There is no block ${this.slug}/${this.name} on ${this.url}, which --${this.flag} names; nothing was changed.\n  Create it first: agent blocks create ${this.slug} ${this.name}`
  }
}

/** What is to be saved. */
export interface Saving {
  readonly slug: BlockSlug
  readonly name: string
  /** The block's own fields; may hold secrets. */
  readonly data: Redacted.Redacted<JsonRecord>
  /** Field to the name of the saved block that stands in it; the fields are also the flags. */
  readonly nested: Readonly<Record<string, string>>
  readonly replace: boolean
}

export interface Saved {
  readonly outcome: "created" | "replaced"
  readonly registered: ReadonlyArray<Registered>
}

export const save = Effect.fn("blocks.save")(function* ({
  slug,
  name,
  data,
  nested,
  replace
}: Saving): Effect.fn.Return<Saved, ApiError | BlockExists | NoSuchBlock, Blocks> {
  const blocks = yield* Blocks
  const exists = new BlockExists({ block: `${slug}/${name}`, url: blocks.url })
  const there = yield* blocks.findDocument(slug, name)
  if (Option.isSome(there) && !replace) return yield* exists
  const references: Record<string, unknown> = {}
  for (const [field, inside] of Object.entries(nested)) {
    references[field] = { $ref: { block_document_id: yield* idOf(slug, field, inside) } }
  }
  const registered = yield* registerFor(slug)
  const { schemaId, typeId } = registered.at(-1) as Registered
  const whole = Redacted.make({ ...Redacted.value(data), ...references })
  if (Option.isSome(there)) {
    yield* blocks.updateDocument(there.value.id, { schemaId, data: whole, whole: true })
    return { outcome: "replaced", registered }
  }
  yield* blocks.createDocument({ name, typeId, schemaId, data: whole }).pipe(
    Effect.catchTag("Conflict", ({ afterDoubt = false }) =>
      Effect.flatMap(blocks.findDocument(slug, name), (now) =>
        // Made by our own earlier try, whose answer was lost.
        afterDoubt && Option.isSome(now) && isAsGiven(now.value, data) ? Effect.void : Effect.fail(exists)
      )
    )
  )
  return { outcome: "created", registered }
})

/** As far as the server shows it: what is secret stands as asterisks. */
const isAsGiven = (there: DocumentRow, given: Redacted.Redacted<JsonRecord>): boolean =>
  Object.entries(Redacted.value(given)).every(([key, value]) => {
    const shown = there.data[key]
    return shown === hidden || Equal.equals(shown, value)
  })

const hidden = "********"

const idOf = Effect.fnUntraced(function* (parent: BlockSlug, field: string, name: string) {
  const blocks = yield* Blocks
  const slug = blockClasses[parent].schema.fields.block_schema_references[field]?.block_type_slug ?? ""
  const found = yield* blocks.findDocument(slug, name)
  if (Option.isSome(found)) return found.value.id
  return yield* new NoSuchBlock({ slug, name, flag: field, url: blocks.url })
})
