import { describe, expect, it } from "@effect/vitest"
import type { JsonRecord } from "../../src/job/json.ts"
import { poolDefaults } from "../../src/job/pool-defaults.ts"
import { officialTemplate } from "../../src/job/template.ts"

const of = (template: JsonRecord, environment: Readonly<Record<string, string>> = {}) =>
  poolDefaults(template, "2.20.25", environment)

const edited = (configuration: JsonRecord, defaults: JsonRecord = {}) =>
  of({
    job_configuration: configuration,
    variables: {
      properties: Object.fromEntries(
        Object.entries(defaults).map(([name, value]) => [name, { default: value }])
      )
    }
  })

describe("what a pool's template says of where its jobs run", () => {
  it("is in the defaults of its variables", () => {
    expect(of(officialTemplate({ version: "2.20.25", org: "acme", gvc: "dev" }))).toEqual({
      org: "acme",
      gvc: "dev",
      hasCredential: false
    })
    expect(of(officialTemplate({ version: "2.20.25" }))).toEqual({
      org: undefined,
      gvc: undefined,
      hasCredential: false
    })
  })

  it("may stand in the configuration itself, as a link, under another variable or in the environment", () => {
    expect(edited({ org: "acme", namespace: "/org/acme/gvc/dev" })).toMatchObject({ org: "acme", gvc: "dev" })
    expect(edited({ org: "{{ team }}" }, { team: "acme" }).org).toBe("acme")
    const template = { job_configuration: { org: "{{ $TEAM }}" }, variables: {} }
    expect(of(template, { TEAM: "acme" }).org).toBe("acme")
  })

  it("is not guessed where only the server can tell", () => {
    expect(edited({ org: "{{ prefect.variables.org }}" }).org).toBeUndefined()
  })

  it("brings a credential as a block inside, a reference or a placeholder", () => {
    const withConfig = (config: unknown) => edited({ config: "{{ config }}" }, { config }).hasCredential
    expect(withConfig({ token: "t" })).toBe(true)
    expect(withConfig({ $ref: { block_document_id: "b" } })).toBe(true)
    expect(edited({ config: "{{ prefect.blocks.control-plane-configuration.prod }}" }).hasCredential).toBe(
      true
    )
    for (const none of [null, {}, { token: "" }, ""]) expect(withConfig(none)).toBe(false)
  })
})
