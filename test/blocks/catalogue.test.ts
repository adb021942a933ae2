import { describe, expect, it } from "@effect/vitest"
import { blockClasses, blockClassOf, catalogue } from "../../src/blocks/catalogue.ts"
import { schemaChecksum } from "../../src/blocks/checksum.ts"

const numbersIn = (value: unknown): ReadonlyArray<number> =>
  typeof value === "number"
    ? [value]
    : typeof value === "object" && value !== null
      ? Object.values(value).flatMap(numbersIn)
      : []

describe("the block types", () => {
  it("have their token as a secret field, wherever it stands", () => {
    expect(
      Object.fromEntries(catalogue.map(({ type, schema }) => [type.slug, schema.fields.secret_fields]))
    ).toEqual({
      "control-plane-configuration": ["token"],
      "control-plane-credentials": ["config.token"],
      "cpln-job": ["credentials.config.token"],
      "control-plane-infrastructure-config": ["token"],
      "control-plane-infrastructure": ["config.token"]
    })
  })

  it("stand after the blocks in them, and refer to them by the checksum of what is registered for them", () => {
    const seen = new Set<string>()
    for (const { type, schema, checksum } of catalogue) {
      for (const reference of Object.values(schema.fields.block_schema_references)) {
        expect(seen).toContain(reference.block_type_slug)
        expect(blockClassOf(reference.block_type_slug)?.checksum).toBe(reference.block_schema_checksum)
      }
      expect(checksum).toBe(schemaChecksum(schema.fields))
      seen.add(type.slug)
    }
    expect([...seen].sort()).toEqual(Object.keys(blockClasses).sort())
  })

  it("hold no text that a server would store otherwise, and no fraction, which has no certain checksum", () => {
    for (const { type, schema } of catalogue) {
      expect(type.description + type.code_example).not.toMatch(/[<>&]/u)
      expect(type.slug).toMatch(/^[a-z0-9-]+$/u)
      for (const number of numbersIn(schema)) expect(Number.isInteger(number)).toBe(true)
    }
  })
})
