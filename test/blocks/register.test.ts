import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { blockClasses, catalogue } from "../../src/blocks/catalogue.ts"
import { isUnchanged, registerAll, registerFor } from "../../src/blocks/register.ts"
import { on, PrefectBlocks } from "./server.ts"

const slugs = catalogue.map(({ type }) => type.slug)

describe("registering", () => {
  it.effect("makes every type and schema on a server that knows none", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      const registered = yield* on(server)(registerAll)
      expect(registered.map(({ slug, type, schema }) => [slug, type, schema])).toEqual(
        slugs.map((slug) => [slug, "created", "created"])
      )
      for (const { type, schema, checksum } of catalogue) {
        expect(server.typeOf(type.slug)).toMatchObject(type)
        const row = server.schemas.find((each) => each.block_type_id === server.typeOf(type.slug).id)
        expect(row).toMatchObject({ checksum, version: schema.version, fields: schema.fields })
      }
      expect(server.schemas).toHaveLength(slugs.length)
    })
  )

  it.effect("a second time writes nothing", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      yield* on(server)(registerAll)
      const before = server.writes.length
      expect((yield* on(server)(registerAll)).every(isUnchanged)).toBe(true)
      expect(server.writes).toHaveLength(before)
    })
  )

  it.effect("mends only the texts that differ, and adds a schema beside another one", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      const { type } = blockClasses["control-plane-configuration"]
      server.types.push({ ...type, id: server.id(), description: "By hand", logo_url: null })
      const old = server.addSchema({
        block_type_id: server.typeOf(type.slug).id,
        version: "1.0.23",
        fields: { title: "CplnConfig", properties: { token: { type: "string" } }, secret_fields: [] }
      }).row
      const document = server.add({
        name: "old",
        block_type_id: server.typeOf(type.slug).id,
        block_schema_id: old.id,
        data: { token: "t" }
      })
      const [first] = yield* on(server)(registerAll)
      expect(first).toMatchObject({ slug: type.slug, type: "updated", schema: "created" })
      expect(server.typeOf(type.slug)).toMatchObject(type)
      expect(server.writes.filter(({ method }) => method === "PATCH").map(({ body }) => body)).toEqual([
        { logo_url: type.logo_url, description: type.description }
      ])
      expect(server.schemas).toContain(old)
      expect(document).toMatchObject({ block_schema_id: old.id, data: { token: "t" } })
    })
  )

  it.effect("loses a race for a type without harm", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      server.intercept = ({ method, path, body }) => {
        if (method === "POST" && path === "/api/block_types/") {
          const type = body as { readonly slug: string }
          if (!server.types.some(({ slug }) => slug === type.slug))
            server.types.push({ ...type, id: server.id(), code_example: "another version's" })
        }
        return undefined
      }
      const registered = yield* on(server)(registerAll)
      expect(registered.map(({ type }) => type)).toEqual(slugs.map(() => "updated"))
      expect(server.types).toHaveLength(slugs.length)
    })
  )

  it.effect("goes on where a run was cut off", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      server.intercept = ({ method, path }) =>
        method === "POST" && path === "/api/block_schemas/" && server.schemas.length === 2
          ? { status: 401, body: { detail: "expired" } }
          : undefined
      expect(yield* Effect.flip(on(server)(registerAll))).toMatchObject({ _tag: "Unauthorised" })
      server.intercept = () => undefined
      const registered = yield* on(server)(registerAll)
      expect(registered.slice(0, 3).map(({ type, schema }) => [type, schema])).toEqual([
        ["unchanged", "unchanged"],
        ["unchanged", "unchanged"],
        ["unchanged", "created"]
      ])
    })
  )

  it.effect("for one block makes those that stand in it too, and no other", () =>
    Effect.gen(function* () {
      const server = new PrefectBlocks()
      yield* on(server)(registerFor("cpln-job"))
      expect(server.types.map(({ slug }) => slug)).toEqual([
        "control-plane-configuration",
        "control-plane-credentials",
        "cpln-job"
      ])
    })
  )
})
