/**
 * Adapter for `base-job-template.json`: the template that a new pool gets.
 *
 * Invariant: configuration and variables are the official ones, word for word. The configuration block's schema is
 * bettered: its token is a secret field, and what that adds is left out of the comparison.
 */
import { officialTemplate } from "../../../src/job/template.ts"
import { at, differences } from "./compare.ts"
import { type Adapter, type Json, type JsonObject, objectOf, textOf } from "./vector.ts"

export const run: Adapter = ({ content }) => {
  const official = objectOf(content["official"])
  // Our image is the one of the server's own version; the reference names the newest of its line.
  const image = textOf(at(official, "/variables/properties/image/default"))
  const made = officialTemplate({ version: "2.20.25", ...(image === undefined ? {} : { image }) })
  const ours = JSON.parse(JSON.stringify(made)) as JsonObject
  const outcome = (title: string, part: string, binding: (value: Json | undefined) => Json) => ({
    id: `base-job-template${part}`,
    title,
    failures: differences(binding(at(official, part)), binding(at(ours, part)))
  })
  return [
    outcome("the official template: configuration", "/job_configuration", asItIs),
    outcome("the official template: variables", "/variables/properties", asItIs),
    outcome("the official template: configuration block", "/variables/definitions", blockSchemas)
  ]
}

const asItIs = (value: Json | undefined): Json => value ?? null

const blockSchemas = (definitions: Json | undefined): Json => {
  const schema = objectOf(objectOf(definitions)["ControlPlaneConfiguration"])
  const { secret_fields: _secret, properties, ...rest } = schema
  const { writeOnly: _writeOnly, format: _format, ...token } = objectOf(objectOf(properties)["token"])
  return { ...rest, properties: { ...objectOf(properties), token } } as JsonObject
}
