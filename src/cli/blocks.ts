/** `agent blocks`: the block types of the Python reference on any server, and documents of them, without Python. */
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { allDocuments, isExposed, nameOf, protect } from "../blocks/exposure.ts"
import { isUnchanged, registerAll } from "../blocks/register.ts"
import { plural } from "../observe/plural.ts"
import { Blocks, type DocumentRow } from "../prefect/blocks.ts"
import { create } from "./blocks-create.ts"
import { onServer, tellRegistered } from "./blocks-server.ts"

const namesOf = (documents: ReadonlyArray<DocumentRow>): string =>
  documents
    .map((each) => `  ${nameOf(each)}`)
    .sort()
    .join("\n")

const registerTypes = Effect.fn("cli.registerTypes")(function* (withProtection: boolean) {
  const { url } = yield* Blocks
  const registered = yield* registerAll
  const changed = registered.filter((each) => !isUnchanged(each)).length
  if (changed === 0) {
    yield* Console.log(`All ${registered.length} block types are on ${url} already; nothing was changed.`)
  } else {
    yield* Console.log(`Block types on ${url}:`)
    yield* tellRegistered(registered)
  }
  const exposed = (yield* allDocuments).filter(isExposed)
  if (exposed.length === 0) return
  if (withProtection) {
    yield* Effect.forEach(exposed, (each) => protect(each, registered), { discard: true })
    yield* Console.log(`The token is hidden from now on in:\n${namesOf(exposed)}`)
    return
  }
  yield* Console.log(
    [
      `Everybody who can read blocks sees the token of ${plural(exposed.length, "block")}, saved in a plain field:`,
      namesOf(exposed),
      "To hide it: agent blocks register --protect"
    ].join("\n")
  )
})

const flags = {
  protect: Flag.Boolean("protect").pipe(
    Flag.withDefault(false),
    Flag.withDescription("hide tokens that the Python package left in clear")
  )
}

const register = Command.make("register", flags, ({ protect }) => onServer(registerTypes(protect))).pipe(
  Command.withDescription(
    "Register the Control Plane block types, with tokens as secret fields. May be repeated: what is there already is left alone, and existing blocks are kept."
  ),
  Command.withShortDescription("Register the Control Plane block types"),
  Command.withExamples([{ command: "agent blocks register" }])
)

const line = (document: DocumentRow): string => {
  const notes = [
    ...Object.entries(document.block_document_references).map(
      ([field, { block_document }]) => `${field}: ${block_document.name ?? "(unnamed)"}`
    ),
    ...(isExposed(document) ? ["token in clear"] : [])
  ]
  return `${nameOf(document)}${notes.length === 0 ? "" : `   (${notes.join("; ")})`}`
}

const listDocuments = Effect.gen(function* () {
  const { url } = yield* Blocks
  const documents = (yield* allDocuments).filter((each) => each.is_anonymous !== true || isExposed(each))
  yield* Console.log(
    documents.length === 0 ? `No Control Plane blocks on ${url}.` : documents.map(line).sort().join("\n")
  )
})

const list = Command.make("list", {}, () => onServer(listDocuments)).pipe(
  Command.withDescription("List the Control Plane blocks of the server, without their values."),
  Command.withShortDescription("List the blocks, without their values")
)

export const blocks = Command.make("blocks").pipe(
  Command.withDescription("Block types and blocks for Control Plane jobs."),
  Command.withSubcommands([register, create, list])
)
