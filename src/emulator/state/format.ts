/**
 * What a state folder holds, as text and back. Pure.
 *
 * Invariant: text that was written is read as the same; anything else is refused with its place, never repaired.
 */
import { Result, Schema } from "effect"
import { type Json, parseJson } from "../json.ts"
import type { NewLine } from "../logs/log-store.ts"
import type { Command, Resource } from "../store.ts"

/** Raised when older files can no longer be read. */
const format = 1

const JsonObject = Schema.Record(Schema.String, Schema.Unknown)
const text = Schema.String
const optional = Schema.optionalKey

const SavedResource = Schema.Struct({
  kind: text,
  id: text,
  org: text,
  gvc: optional(text),
  name: text,
  path: text,
  order: Schema.Int,
  created: Schema.Int,
  version: Schema.Int,
  lastModified: Schema.Int,
  description: optional(text),
  tags: JsonObject,
  body: JsonObject
})

const ContainerState = Schema.Struct({
  ready: Schema.Boolean,
  message: optional(text),
  exitCode: optional(Schema.Int),
  reason: optional(text),
  restarts: optional(Schema.Int),
  endedAt: optional(Schema.Int)
})

const finals = ["completed", "failed", "cancelled"] as const

const RunState = Schema.Struct({
  stage: Schema.Literals(["pending", "running", "cancellation-requested", ...finals]),
  replica: optional(text),
  startTime: optional(Schema.Int),
  completionTime: optional(Schema.Int),
  message: optional(text),
  endsAs: optional(Schema.Literals(finals)),
  deadlinePassed: optional(Schema.Boolean),
  containers: Schema.Record(Schema.String, ContainerState)
})

const SavedCommand = Schema.Struct({
  id: text,
  order: Schema.Int,
  workload: text,
  type: text,
  tags: JsonObject,
  spec: JsonObject,
  location: text,
  workloadVersion: Schema.Int,
  created: Schema.Int,
  execution: optional(text),
  version: Schema.Int,
  lastModified: Schema.Int,
  run: RunState
})

const SavedState = Schema.Struct({
  format: Schema.Literal(format),
  /** What tokens are signed with; base64. */
  secret: Schema.String.check(Schema.isMinLength(40)),
  resources: Schema.Array(SavedResource),
  commands: Schema.Array(SavedCommand)
})

export interface Saved {
  readonly secret: Buffer
  readonly resources: ReadonlyArray<Resource>
  readonly commands: ReadonlyArray<Command>
}

const decode = Schema.decodeUnknownResult(SavedState)

/** The state, or what is wrong with the text. */
export const readState = (file: string): Result.Result<Saved, string> => {
  const json: Json | undefined = parseJson(file)
  if (json === undefined) return Result.fail("it is not well-formed JSON")
  const read = decode(json)
  if (Result.isFailure(read)) {
    return Result.fail(String(read.failure.message).split("\n").slice(0, 3).join(" ").slice(0, 300))
  }
  const { secret, resources, commands } = read.success
  return Result.succeed({
    secret: Buffer.from(secret, "base64"),
    // JSON was read, so what is unknown to the schema is JSON.
    resources: resources.map((each) => ({ gvc: undefined, description: undefined, ...each }) as Resource),
    commands: commands as unknown as ReadonlyArray<Command>
  })
}

export const writeState = ({ secret, resources, commands }: Saved): string =>
  JSON.stringify({ format, secret: secret.toString("base64"), resources, commands })

const SavedLine = Schema.Struct({
  at: Schema.String.check(Schema.isPattern(/^\d{1,19}$/u)),
  org: text,
  labels: Schema.Record(Schema.String, Schema.String),
  line: text
})
const decodeLine = Schema.decodeUnknownResult(SavedLine)

/** One line of a log file; undefined for what is none, such as the last one of a machine that lost its power. */
export const readLine = (line: string): NewLine | undefined => {
  const read = decodeLine(parseJson(line))
  return Result.isFailure(read)
    ? undefined
    : { ...read.success, at: BigInt(read.success.at), keepsStamp: true }
}

export const writeLine = ({ at, org, labels, line }: NewLine): string =>
  JSON.stringify({ at: String(at), org, labels, line })
