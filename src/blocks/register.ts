/**
 * Makes the block types of the reference known to a Prefect server, as Python's `Block.register_type_and_schema` does.
 *
 * Invariant: what is there already is left alone, so that a second run writes nothing. A schema is never changed or
 * removed: another one is added beside it, and documents of the old one are read as before.
 */
import { Effect, Option } from "effect"
import type { ApiError } from "../http/errors.ts"
import { Blocks, type BlockTypeRow, type TypeTexts } from "../prefect/blocks.ts"
import type { BlockClass, BlockType } from "./block-class.ts"
import { type BlockSlug, blockClasses, catalogue } from "./catalogue.ts"

/** What happened to one block type, and the ids that documents of it need. */
export interface Registered {
  readonly slug: string
  readonly type: "created" | "updated" | "unchanged"
  readonly schema: "created" | "unchanged"
  readonly typeId: string
  readonly schemaId: string
}

export const isUnchanged = ({ type, schema }: Registered): boolean =>
  type === "unchanged" && schema === "unchanged"

/** All of them. */
export const registerAll = Effect.suspend(() => Effect.forEach(catalogue, registerOne)).pipe(
  Effect.withSpan("blocks.registerAll")
)

/** One block type, after those of the blocks that stand in it; itself last. */
export const registerFor = Effect.fn("blocks.registerFor")(function* (
  slug: BlockSlug
): Effect.fn.Return<readonly [...ReadonlyArray<Registered>, Registered], ApiError, Blocks> {
  const before: Array<Registered> = []
  for (const { block_type_slug } of Object.values(blockClasses[slug].schema.fields.block_schema_references)) {
    before.push(...(yield* registerFor(block_type_slug as BlockSlug)))
  }
  return [...before, yield* registerOne(blockClasses[slug])]
})

const registerOne = Effect.fn("blocks.registerOne")(function* ({
  type,
  schema,
  checksum
}: BlockClass): Effect.fn.Return<Registered, ApiError, Blocks> {
  const blocks = yield* Blocks
  const { row, outcome } = yield* ensureType(type)
  const found = yield* blocks.findSchema(checksum, schema.version)
  const isThere = Option.isSome(found) && found.value.block_type_id === row.id
  return {
    slug: type.slug,
    type: outcome,
    schema: isThere ? "unchanged" : "created",
    typeId: row.id,
    schemaId: isThere ? found.value.id : (yield* blocks.createSchema(row.id, schema)).id
  }
})

const ensureType = Effect.fnUntraced(function* (type: BlockType) {
  const blocks = yield* Blocks
  const found = yield* blocks.findType(type.slug)
  if (Option.isSome(found)) return yield* refreshed(found.value, type)
  return yield* blocks.createType(type).pipe(
    Effect.map((row) => ({ row, outcome: "created" as const })),
    // Somebody else was faster, or our own earlier try: it is there.
    Effect.catchTag("Conflict", (conflict) =>
      Effect.flatMap(
        blocks.findType(type.slug),
        Option.match({ onNone: () => Effect.fail(conflict), onSome: (row) => refreshed(row, type) })
      )
    )
  )
})

/** Only the texts that differ are sent. */
const refreshed = Effect.fnUntraced(function* (row: BlockTypeRow, type: BlockType) {
  const differing: Partial<TypeTexts> = {
    ...(row.logo_url === type.logo_url ? {} : { logo_url: type.logo_url }),
    ...(row.documentation_url === type.documentation_url
      ? {}
      : { documentation_url: type.documentation_url }),
    ...(row.description === type.description ? {} : { description: type.description }),
    ...(row.code_example === type.code_example ? {} : { code_example: type.code_example })
  }
  if (Object.keys(differing).length === 0) return { row, outcome: "unchanged" as const }
  const blocks = yield* Blocks
  yield* blocks.updateType(row.id, differing)
  return { row, outcome: "updated" as const }
})
