/**
 * From the body of a write to what would be stored. Pure.
 *
 * Invariant: the envelope (id, version, times, links, status) is the service's own; whatever a client sends there is read for
 * checks and never stored.
 */
import { identity, Result } from "effect"
import { type ApiError, badRequest, conflict } from "../errors.ts"
import { isObject, type Json, type JsonObject, numberOf, objectOf, textOf } from "../json.ts"
import { expandLinks, type Place } from "../links.ts"
import { envelopeProblems, nameProblems } from "../names.ts"
import { patched } from "../patch.ts"
import type { Resource } from "../store.ts"
import type { Draft, Kind } from "./kind.ts"

const envelope = new Set([
  "kind",
  "id",
  "name",
  "description",
  "version",
  "tags",
  "created",
  "lastModified",
  "links",
  "status",
  "gvc",
  "org",
  "alias",
  "health"
])

/** What is left of a body without the envelope. */
const contentOf = (body: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(body).filter(([key]) => !envelope.has(key)))

/** `null` in a tag removes it. */
const tagsOf = (value: Json | undefined): JsonObject =>
  Object.fromEntries(Object.entries(objectOf(value)).filter(([, each]) => each !== null))

const envelopeConflicts = (kind: Kind, body: JsonObject, place: Place, before: Resource | undefined) => {
  const { name } = body
  const version = numberOf(body["version"])
  if (body["kind"] !== undefined && body["kind"] !== kind.name) {
    return badRequest(`"kind" must be [${kind.name}]`)
  }
  if (kind.scope === "gvc" && body["gvc"] !== undefined && body["gvc"] !== place.gvc) {
    return badRequest(`"gvc" must be [${place.gvc}]`)
  }
  if (before === undefined) return undefined
  if (name !== undefined && name !== before.name) return badRequest(`"name" may not be changed`)
  return version !== undefined && version !== before.version
    ? conflict(`version ${version} is not the current version ${before.version} of ${before.path}`)
    : undefined
}

const draftOf = (kind: Kind, document: JsonObject, place: Place, name: string): Draft => ({
  kind: kind.name,
  org: place.org,
  gvc: kind.scope === "gvc" ? place.gvc : undefined,
  name,
  description: textOf(document["description"]),
  tags: tagsOf(document["tags"]),
  body: expandLinks((kind.normal ?? identity)(contentOf(document)), place)
})

/** A whole object, as POST and PUT send it. `name` is that of the path where there is one. */
export const replacing = (
  kind: Kind,
  body: Json | undefined,
  place: Place,
  before: Resource | undefined,
  name?: string
): Result.Result<Draft, ApiError> => {
  if (!isObject(body)) return Result.fail(badRequest("the body must be a JSON object"))
  const given = name === undefined ? body["name"] : (body["name"] ?? name)
  if (name !== undefined && given !== name) return Result.fail(badRequest(`"name" must be [${name}]`))
  const clash = envelopeConflicts(kind, body, place, before)
  if (clash !== undefined) return Result.fail(clash)
  const problems = [...nameProblems(kind.name, given), ...envelopeProblems(body)]
  return problems.length > 0
    ? Result.fail(badRequest(problems.join("; ")))
    : Result.succeed(draftOf(kind, body, place, String(given)))
}

/** The stored object with a PATCH applied. */
export const patching = (
  kind: Kind,
  body: Json | undefined,
  before: Resource
): Result.Result<Draft, ApiError> => {
  if (!isObject(body)) return Result.fail(badRequest("the body must be a JSON object"))
  const clash = envelopeConflicts(kind, body, before, before)
  if (clash !== undefined) return Result.fail(clash)
  const document = patched(
    { ...before.body, tags: before.tags, description: before.description ?? before.name },
    body
  )
  const problems = envelopeProblems(document)
  return problems.length > 0
    ? Result.fail(badRequest(problems.join("; ")))
    : Result.succeed(draftOf(kind, document, before, before.name))
}
