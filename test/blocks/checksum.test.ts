import { describe, expect, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { schemaChecksum } from "../../src/blocks/checksum.ts"
import type { JsonRecord } from "../../src/job/json.ts"
import { exchange, lines } from "../prefect/replay.ts"

interface Entry {
  readonly id: string
  readonly posted: { readonly blockSchema: { readonly fields: JsonRecord } }
  readonly served: { readonly blockSchema: { readonly fields: JsonRecord; readonly checksum: string } }
}

const published = JSON.parse(
  readFileSync(new URL("../contract/vectors/block-types.json", import.meta.url), "utf8")
) as { readonly blockTypes: ReadonlyArray<Entry> }

describe("the checksum of a block schema", () => {
  it.each(published.blockTypes)("is the published one: $id", ({ posted, served }) => {
    expect(schemaChecksum(posted.blockSchema.fields)).toBe(served.blockSchema.checksum)
    expect(schemaChecksum(served.blockSchema.fields)).toBe(served.blockSchema.checksum)
  })

  it.each(lines)("is what a server of %s computes", (line) => {
    for (const name of ["block-schema-create", "block-schema-create-again", "block-schema-by-checksum"]) {
      const { fields, checksum } = exchange(line, name).response.body as {
        readonly fields: JsonRecord
        readonly checksum: string
      }
      expect(schemaChecksum(fields)).toBe(checksum)
    }
    const nested = exchange(line, "block-document-nested-read-secrets").response.body as {
      readonly block_schema: { readonly fields: JsonRecord; readonly checksum: string }
    }
    expect(schemaChecksum(nested.block_schema.fields)).toBe(nested.block_schema.checksum)
  })

  it("does not depend on which fields are secret, nor on the order of keys", () => {
    const fields = { title: "A", properties: { b: { secret_fields: ["c"] }, a: 1 }, secret_fields: [] }
    expect(schemaChecksum({ secret_fields: ["a"], properties: { a: 1, b: {} }, title: "A" })).toBe(
      schemaChecksum(fields)
    )
  })

  it("counts used definitions of anything but blocks, and those that they use", () => {
    const plain = { Size: { type: "object", properties: { unit: { $ref: "#/definitions/Unit" } } } }
    const unit = { Unit: { type: "string" } }
    const fields = { properties: { size: { allOf: [{ $ref: "#/definitions/Size" }] } } }
    const whole = schemaChecksum({ ...fields, definitions: { ...plain, ...unit } })
    const more = { Unused: { type: "string" }, Block: { block_type_slug: "block" }, Empty: {} }
    expect(schemaChecksum({ ...fields, definitions: { ...plain, ...unit, ...more } })).toBe(whole)
    expect(schemaChecksum({ ...fields, definitions: plain })).not.toBe(whole)
    expect(schemaChecksum({ ...fields, definitions: { Block: more.Block } })).toBe(schemaChecksum(fields))
    expect(schemaChecksum({ ...fields, definitions: {} })).not.toBe(schemaChecksum(fields))
  })

  it("ends for definitions that use each other", () => {
    const definitions = {
      A: { properties: { b: { $ref: "#/definitions/B" } } },
      B: { properties: { a: { $ref: "#/definitions/A" } } }
    }
    expect(schemaChecksum({ properties: { a: { $ref: "#/definitions/A" } }, definitions })).toMatch(
      /^sha256:[0-9a-f]{64}$/u
    )
  })

  it("is of ASCII text, as Python writes it", () => {
    // From Prefect 2.20.25 and 3.8.8: Block._calculate_schema_checksum(…)
    expect(schemaChecksum({ title: "Größe \u007f 😀 \n", default: 0.5, a: [true, null, -3] })).toBe(
      "sha256:0c5cd757fff43aacf9dce453813389d5fb41febf0191878f7ed57355272fad31"
    )
  })
})
