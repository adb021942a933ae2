import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { allDocuments, isExposed, nameOf, protect } from "../../src/blocks/exposure.ts"
import { registerAll } from "../../src/blocks/register.ts"
import { on, PrefectBlocks } from "./server.ts"

/** A server with our schemas and with those of the Python package, and a document of each kind. */
const serverWithBoth = Effect.gen(function* () {
  const server = new PrefectBlocks()
  const registered = yield* on(server)(registerAll)
  const add = (slug: string, name: string, data: Record<string, unknown>, plain: boolean) => {
    const type = server.typeOf(slug)
    const ours = registered.find((each) => each.slug === slug)!.schemaId
    const theirs = () =>
      server.addSchema({
        block_type_id: type.id,
        version: "plain",
        fields: { block_type_slug: slug, secret_fields: [] }
      }).row.id
    return server.add({
      name,
      block_type_id: type.id,
      block_schema_id: plain ? theirs() : ours,
      data,
      is_anonymous: name.startsWith("anonymous-")
    })
  }
  const config = add("control-plane-infrastructure-config", "plain", { token: "t" }, true)
  add("control-plane-infrastructure-config", "tokenless", { token: null }, true)
  add("control-plane-infrastructure-config", "ours", { token: "t" }, false)
  const reference = { config: { $ref: { block_document_id: config.id } } }
  add("control-plane-infrastructure", "refers", { ...reference, image: "i" }, true)
  add("control-plane-infrastructure", "inline", { config: { token: "t" }, image: "i" }, true)
  add("control-plane-infrastructure", "anonymous-1", { config: { token: "t" } }, true)
  add("cpln-job", "deep", { credentials: { config: { token: "t" } } }, true)
  return { server, registered }
})

const exposed = allDocuments.pipe(Effect.map((all) => all.filter(isExposed)))

describe("tokens in clear", () => {
  it.effect("are found wherever a document itself holds one that its schema does not hide", () =>
    Effect.gen(function* () {
      const { server } = yield* serverWithBoth
      expect((yield* on(server)(exposed)).map(nameOf).sort()).toEqual([
        "control-plane-infrastructure-config/plain",
        "control-plane-infrastructure/anonymous-1",
        "control-plane-infrastructure/inline",
        "cpln-job/deep"
      ])
    })
  )

  it.effect("are hidden after the document moved to our schema, and nothing of it is lost", () =>
    Effect.gen(function* () {
      const { server, registered } = yield* serverWithBoth
      const before = structuredClone(server.documents)
      const all = yield* on(server)(allDocuments)
      // All of them, also those that do not need it: their references must survive.
      yield* on(server)(Effect.forEach(all, (each) => protect(each, registered)))
      expect(yield* on(server)(exposed)).toEqual([])
      for (const [index, document] of server.documents.entries()) {
        expect(document.data).toEqual(before[index]!.data)
        expect(document.references).toEqual(before[index]!.references)
      }
    })
  )
})
