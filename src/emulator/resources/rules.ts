/** What the service demands of secrets and policies. Pure: every problem at once, as texts for a 400. */
import { isObject, type JsonObject, listOf, textOf } from "../json.ts"
import type { Draft } from "./kind.ts"

const secretTypes = [
  "opaque",
  "dictionary",
  "tls",
  "gcp",
  "aws",
  "ecr",
  "userpass",
  "keypair",
  "azure-sdk",
  "azure-connector",
  "docker",
  "nats-account"
]

const dataProblems = (type: string, data: JsonObject): ReadonlyArray<string> => {
  if (type === "dictionary") {
    const wrong = Object.entries(data).find(([, value]) => typeof value !== "string")
    return wrong === undefined ? [] : [`"data.${wrong[0]}" must be a string`]
  }
  if (type !== "opaque") return []
  const { payload, encoding } = data
  return [
    ...(typeof payload === "string" ? [] : [`"data.payload" is required`]),
    ...(encoding === undefined || encoding === "plain" || encoding === "base64"
      ? []
      : [`"data.encoding" must be one of [plain, base64]`])
  ]
}

/** Data that is left out of a change stays, as it does when an object is sent back as it was read. */
export const secretProblems = ({ body }: Draft): ReadonlyArray<string> => {
  const type = textOf(body["type"])
  if (type === undefined || !secretTypes.includes(type)) {
    return [`"type" must be one of [${secretTypes.join(", ")}]`]
  }
  const { data } = body
  // Some types hold one text, such as the configuration of docker.
  if (typeof data === "string" && data !== "" && type !== "opaque" && type !== "dictionary") return []
  return isObject(data) ? dataProblems(type, data) : [`"data" is required`]
}

const mostTargets = 200
const mostBindings = 50

export const policyProblems = ({ body }: Draft): ReadonlyArray<string> => {
  const { bindings, targetKind, target, targetLinks } = body
  const problems: Array<string> = []
  if (typeof targetKind !== "string" || targetKind === "") problems.push(`"targetKind" is required`)
  if (target !== undefined && target !== "all") problems.push(`"target" must be [all]`)
  if (targetLinks !== undefined && (!Array.isArray(targetLinks) || targetLinks.length > mostTargets)) {
    problems.push(`"targetLinks" must be an array of at most ${mostTargets} items`)
  }
  if (bindings !== undefined && (!Array.isArray(bindings) || bindings.length > mostBindings)) {
    problems.push(`"bindings" must be an array of at most ${mostBindings} items`)
  }
  listOf(bindings).forEach((binding, index) => {
    const { permissions, principalLinks } = isObject(binding) ? binding : {}
    const count = Array.isArray(principalLinks) ? principalLinks.length : 0
    if (!Array.isArray(permissions)) problems.push(`"bindings[${index}].permissions" must be an array`)
    if (count < 1 || count > mostTargets) {
      problems.push(`"bindings[${index}].principalLinks" must contain between 1 and ${mostTargets} items`)
    }
  })
  return problems
}
