import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { isRecord, recordOf } from "../../src/job/json.ts"
import { variablesIn } from "../../src/job/placeholders.ts"
import { officialTemplate } from "../../src/job/template.ts"

const registry = JSON.parse(
  readFileSync(new URL("../contract/vectors/base-job-template.json", import.meta.url), "utf8")
) as { readonly official: Readonly<Record<string, unknown>> }

const propertiesOf = (template: unknown) => recordOf(recordOf(recordOf(template)["variables"])["properties"])

describe("the official base job template", () => {
  it("is the one of the registry but for the image and what the block needs", () => {
    const ours = officialTemplate({ version: "3.8.8" })
    expect(ours["job_configuration"]).toEqual(registry.official["job_configuration"])
    const { image, ...others } = propertiesOf(ours)
    const { image: theirs, ...rest } = propertiesOf(registry.official)
    expect(others).toEqual(rest)
    expect(image).toEqual({ ...recordOf(theirs), default: "docker.io/prefecthq/prefect:3.8.8-python3.11" })
  })

  it("has its block's definition also under the title, which servers 3.0 to 3.4 look for", () => {
    const variables = recordOf(officialTemplate({ version: "3.8.8" })["variables"])
    const definitions = recordOf(variables["definitions"])
    expect(definitions["Control Plane Configuration"]).toEqual({})
    expect(definitions["ControlPlaneConfiguration"]).toMatchObject({
      block_type_slug: "control-plane-configuration",
      secret_fields: ["token"],
      properties: { token: { type: "string", format: "password", writeOnly: true } }
    })
    // 2.20 refuses runs that give a block by reference when the definition requires a field.
    expect(definitions["ControlPlaneConfiguration"]).not.toHaveProperty("required")
  })

  it("names every variable of its placeholders, as servers demand", () => {
    const template = officialTemplate({ version: "2.20.25" })
    const names = Object.keys(propertiesOf(template))
    expect([...variablesIn(template["job_configuration"])].every((name) => names.includes(name))).toBe(true)
  })

  it("has the defaults that are asked for, and no others", () => {
    const asked = { org: "acme", gvc: "dev", location: "aws-us-west-2", image: "flows:1", env: { A: "1" } }
    const defaultsOf = (template: unknown) =>
      Object.fromEntries(
        Object.entries(propertiesOf(template)).flatMap(([name, property]) =>
          isRecord(property) && "default" in property ? [[name, property["default"]]] : []
        )
      )
    const fixed = { pod_watch_timeout_seconds: 60, stream_output: true }
    expect(defaultsOf(officialTemplate({ version: "3.8.8", ...asked }))).toEqual({
      ...fixed,
      org: "acme",
      namespace: "dev",
      location: "aws-us-west-2",
      image: "flows:1",
      env: { A: "1" }
    })
    expect(Object.keys(defaultsOf(officialTemplate({ version: "3.8.8" }))).sort()).toEqual([
      "image",
      ...Object.keys(fixed)
    ])
  })

  it.each([
    ["2.20.25", "2.20.25-python3.11"],
    ["3.9.0rc1", "3.9.0rc1-python3.11"],
    ["3.9.5.dev2", "3-latest"],
    ["2.20.25+3.gabcdef", "2-latest"]
  ])("pins the image of server %s to the published tag %s", (version, tag) => {
    expect(propertiesOf(officialTemplate({ version }))["image"]).toMatchObject({
      default: `docker.io/prefecthq/prefect:${tag}`
    })
  })
})
