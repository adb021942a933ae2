/** The calls of the `Blocks` service, each held against what stock servers of both lines really said. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Option, Redacted, Result } from "effect"
import type { ApiError } from "../../src/http/errors.ts"
import { Blocks } from "../../src/prefect/blocks.ts"
import { type Exchange, exchange, lines, whatMatters } from "../prefect/replay.ts"
import type { Asked } from "../prefect/server.ts"
import { blocksOver, clientOf } from "./server.ts"

type Call = (blocks: Blocks["Service"], sent: Exchange["request"]) => Effect.Effect<unknown, ApiError>

const createType: Call = (blocks, { body }) => blocks.createType(body as never)
const createSchema: Call = (blocks, { body }) => {
  const { block_type_id, ...schema } = body as { block_type_id: string }
  return blocks.createSchema(block_type_id, schema as never)
}
const createDocument: Call = (blocks, { body }) => {
  const { block_schema_id, block_type_id, data, name } = body as Record<string, never>
  return blocks.createDocument({
    name: name!,
    typeId: block_type_id!,
    schemaId: block_schema_id!,
    data: Redacted.make(data!)
  })
}
const findType: Call = (blocks, { path }) => blocks.findType(path.split("/").at(-1)!)
const findDocument: Call = (blocks, { path }) => {
  const [, , , , slug, , , name] = path.split("?")[0]!.split("/")
  return blocks.findDocument(slug!, name!)
}

/** The decoded row is part of the recorded answer. */
const gives = (outcome: Result.Result<unknown, ApiError>, answered: unknown) => {
  const value = Result.getOrThrow(outcome)
  const row = Option.isOption(value) ? Option.getOrThrow(value) : value
  expect(row).toHaveProperty("id")
  expect(answered).toMatchObject(row as object)
}
const none = (outcome: Result.Result<unknown, ApiError>) =>
  expect(Result.getOrThrow(outcome)).toEqual(Option.none())
const isDone = (outcome: Result.Result<unknown, ApiError>) =>
  expect(Result.getOrThrow(outcome)).toBeUndefined()
const conflicts = (outcome: Result.Result<unknown, ApiError>) =>
  expect(Result.isFailure(outcome) && outcome.failure._tag).toBe("Conflict")

const cases: ReadonlyArray<
  readonly [string, Call, (outcome: Result.Result<unknown, ApiError>, answered: unknown) => void, boolean?]
> = [
  ["block-type-by-slug", findType, gives],
  ["block-type-by-slug-404", findType, none],
  ["block-type-create", createType, gives],
  ["block-type-create-409", createType, conflicts],
  [
    "block-type-patch",
    (blocks, { path, body }) => blocks.updateType(path.split("/").at(-1)!, body as object),
    isDone
  ],
  ["block-schema-create", createSchema, gives],
  ["block-schema-create-again", createSchema, gives],
  [
    "block-schema-by-checksum",
    (blocks, { path }) => {
      const [, checksum = "", version = ""] = /checksum\/(.*)\?version=(.*)/u.exec(path) ?? []
      return blocks.findSchema(checksum, version)
    },
    gives
  ],
  ["block-schema-by-checksum-404", (blocks) => blocks.findSchema("sha256:00", "1.0.0"), none, true],
  ["block-document-create", createDocument, isDone],
  ["block-document-create-409", createDocument, conflicts],
  // Read with secrets then; this service never does.
  ["block-document-by-name", findDocument, gives, true],
  ["block-document-by-name-404", findDocument, none],
  [
    "block-document-patch",
    (blocks, { path, body }) => {
      const { data } = body as { data: Record<string, unknown> }
      return blocks.updateDocument(path.split("/").at(-1)!, {
        schemaId: "s",
        data: Redacted.make(data),
        whole: false
      })
    },
    isDone,
    true
  ]
]

/** Percent-encoding of a colon is a matter of taste. */
const decoded = (asked: Asked | Exchange["request"]) => {
  const { path, ...rest } = whatMatters(asked)
  return { ...rest, path: decodeURIComponent(path) }
}

describe.each(lines)("the Blocks service and a server of %s", (line) => {
  it.effect.each(cases)("%s", ([name, call, check, answerOnly = false]) =>
    Effect.gen(function* () {
      const { request, response } = exchange(line, name)
      const asked: Array<Asked> = []
      const client = clientOf((one) => {
        asked.push(one)
        return response
      })
      const outcome = yield* Effect.result(
        Blocks.use((blocks) => call(blocks, request)).pipe(Effect.provide(blocksOver(client)))
      )
      check(outcome, response.body)
      expect(asked).toHaveLength(1)
      if (!answerOnly) expect(decoded(asked[0]!)).toEqual(decoded(request))
    })
  )

  it.effect("reads a nested document with the ids and names of the blocks in it", () =>
    Effect.gen(function* () {
      const { response } = exchange(line, "block-document-nested-read-secrets")
      const read = yield* Blocks.use((blocks) => blocks.findDocument("a", "b")).pipe(
        Effect.provide(blocksOver(clientOf(() => response)))
      )
      const { block_document_references: references } = Option.getOrThrow(read)
      expect(references["config"]?.block_document.name).toBe("prod")
    })
  )
})

it.effect("no document is asked for with its secrets, and none is printed", () =>
  Effect.gen(function* () {
    const asked: Array<Asked> = []
    const client = clientOf((one) => {
      asked.push(one)
      return { status: one.method === "GET" ? 404 : 422, body: { request_body: one.body } }
    })
    const document = { name: "n", typeId: "t", schemaId: "s", data: Redacted.make({ token: "s3cret" }) }
    const error = yield* Effect.gen(function* () {
      const blocks = yield* Blocks
      yield* blocks.findDocument("slug", "name")
      return yield* Effect.flip(blocks.createDocument(document))
    }).pipe(Effect.provide(blocksOver(client)))
    expect(asked[0]?.path).not.toContain("include_secrets=true")
    expect(asked[1]?.body).toMatchObject({ data: { token: "s3cret" } })
    expect(`${error.message} ${JSON.stringify(error)} ${JSON.stringify(document)}`).not.toContain("s3cret")
  })
)
