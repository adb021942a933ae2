/** Rules for names, tags and descriptions that all kinds share: each check returns what is wrong, in the service's manner. */
import { isObject, type Json, type JsonObject, objectOf } from "./json.ts"

const namePattern = /^[a-z]([-a-z0-9]*[a-z0-9])?$/u
/** A domain is named after itself. */
const domainPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/u
const longestDomain = 253
const longestName = 63
const longestWorkloadName = 49
const longestDescription = 250
const mostTags = 50

export const nameProblems = (kind: string, name: Json | undefined): ReadonlyArray<string> => {
  if (typeof name !== "string" || name === "") return [`"name" is required`]
  if (kind === "domain") {
    return domainPattern.test(name) && name.length <= longestDomain
      ? []
      : [`"name" ${name.slice(0, 80)} is not a domain name`]
  }
  const longest = kind === "workload" ? longestWorkloadName : longestName
  const problems: Array<string> = []
  if (!namePattern.test(name)) {
    problems.push(
      `"name" ${name} must start with a lower-case letter, hold only lower-case letters, digits and dashes, and not end in a dash`
    )
  }
  if (name.length > longest) {
    problems.push(`"name" length must be less than or equal to ${longest} characters long`)
  }
  if (kind === "workload" && name.endsWith("-headless")) problems.push(`"name" may not end in -headless`)
  return problems
}

const isTagValue = (value: Json): boolean =>
  value === null || ["string", "number", "boolean"].includes(typeof value)

export const envelopeProblems = (body: JsonObject): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const { description, tags } = body
  if (description !== undefined && description !== null) {
    if (typeof description !== "string") problems.push(`"description" must be a string`)
    else if (description.length > longestDescription) {
      problems.push(
        `"description" length must be less than or equal to ${longestDescription} characters long`
      )
    }
  }
  return tags === undefined || tags === null ? problems : [...problems, ...tagProblems(tags)]
}

export const tagProblems = (tags: Json): ReadonlyArray<string> => {
  if (!isObject(tags)) return [`"tags" must be an object`]
  const entries = Object.entries(objectOf(tags))
  const problems = entries.flatMap(([key, value]) =>
    isTagValue(value) ? [] : [`"tags.${key}" must be one of [string, number, boolean]`]
  )
  return entries.length > mostTags ? [...problems, `"tags" may hold at most ${mostTags} keys`] : problems
}
