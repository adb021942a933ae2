/**
 * References of job variables to what the Prefect server keeps: blocks (`{"$ref": …}` and `{{ prefect.blocks.… }}`)
 * and variables (`{{ prefect.variables.… }}`).
 *
 * Invariant: pure. What is not read yet is asked for by name, never guessed; what was put in is not searched again in the
 * same pass; and no problem's text holds what a block says.
 */
import { isRecord, type JsonRecord, mapValues } from "./json.ts"
import {
  blockPrefix,
  lookUp,
  missing,
  type Placeholder,
  placeholdersIn,
  replacePlaceholders,
  variablePrefix,
  wholePlaceholder
} from "./placeholders.ts"
import type { Problem } from "./problem.ts"
import { pythonRepr, pythonStr } from "./python-text.ts"
import type { Semantics } from "./semantics.ts"

/** A block document, by its id or by its type and name. */
export type BlockKey = { readonly id: string } | { readonly typeSlug: string; readonly name: string }

/** One text per block, as the key of what was read. */
export const blockKeyText = (key: BlockKey): string => ("id" in key ? key.id : `${key.typeSlug}/${key.name}`)

/** What was read so far. An entry that is undefined was looked for and does not exist. */
export interface Known {
  readonly blocks: ReadonlyMap<string, JsonRecord | undefined>
  readonly variables: ReadonlyMap<string, { readonly value: unknown } | undefined>
}

export const nothingKnown: Known = { blocks: new Map(), variables: new Map() }

export interface Resolved {
  readonly value: unknown
  readonly problems: ReadonlyArray<Problem>
  /** To be read before this pass can be finished; while there is one, `value` is of no use. */
  readonly needs: { readonly blocks: ReadonlyArray<BlockKey>; readonly variables: ReadonlyArray<string> }
}

/** Blocks first, over the whole configuration; then variables, which may stand in a block's data too. */
export const resolveReferences = (value: unknown, known: Known, semantics: Semantics): Resolved => {
  const blocks = new Blocks(known, semantics)
  const withBlocks = blocks.resolve(value, "")
  if (blocks.needs.size > 0 || blocks.problems.length > 0) {
    return {
      value: withBlocks,
      problems: blocks.problems,
      needs: { blocks: [...blocks.needs.values()], variables: [] }
    }
  }
  const needed = new Set<string>()
  const resolved = resolveVariables(withBlocks, known, needed)
  return { value: resolved, problems: [], needs: { blocks: [], variables: [...needed] } }
}

const childPath = (path: string, key: string | number): string =>
  typeof key === "number" ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`

class Blocks {
  readonly needs = new Map<string, BlockKey>()
  readonly problems: Array<Problem> = []
  readonly #known: Known
  readonly #semantics: Semantics

  constructor(known: Known, semantics: Semantics) {
    this.#known = known
    this.#semantics = semantics
  }

  resolve(value: unknown, path: string): unknown {
    if (typeof value === "string") return this.#inText(value, path)
    if (Array.isArray(value)) return value.map((each, index) => this.resolve(each, childPath(path, index)))
    if (!isRecord(value)) return value
    const reference = Object.hasOwn(value, "$ref") ? value["$ref"] : undefined
    const id = isRecord(reference) ? reference["block_document_id"] : undefined
    if (id === undefined || id === null || id === "") {
      return mapValues(value, (each, key) => this.resolve(each, childPath(path, key)))
    }
    if (typeof id === "string") return this.#read({ id }, path)
    return this.#problem(
      path,
      "the block_document_id of a $ref is no text",
      "Give the id of a block document."
    )
  }

  #inText(text: string, path: string): unknown {
    if (!text.includes(blockPrefix)) return text
    const whole = wholePlaceholder(text)
    if (whole?.kind === "block") return this.#placeholder(whole, path)
    if (!placeholdersIn(text).some(({ kind }) => kind === "block")) return text
    if (!this.#semantics.inlineBlocks) {
      return this.#problem(
        path,
        `Invalid template: ${pythonRepr(text)}. Only a single block placeholder is allowed in a string and no surrounding text is allowed.`,
        "Servers from 3.7.0 on allow text around it; here, put the whole text into the block."
      )
    }
    return replacePlaceholders(text, (placeholder) => {
      if (placeholder.kind !== "block") return undefined
      const value = this.#placeholder(placeholder, path)
      if (typeof value === "object" && value !== null) {
        this.#problem(
          path,
          `Block placeholder ${pythonRepr(placeholder.text)} resolved to ${Array.isArray(value) ? "a list" : "an object"}, which cannot stand inside text`,
          "Name one attribute of it, such as .value or .url."
        )
        return ""
      }
      return pythonStr(value)
    })
  }

  #placeholder({ name, text }: Placeholder, path: string): unknown {
    const [typeSlug = "", document = "", ...rest] = name.slice(blockPrefix.length).split(".")
    if (typeSlug === "" || document === "") {
      return this.#problem(
        path,
        `${text} names no block`,
        "The form is {{ prefect.blocks.<block-type-slug>.<block-name> }}."
      )
    }
    const data = this.#read({ typeSlug, name: document }, path)
    const attribute = rest.join(".")
    const inside = isRecord(data) && this.#isUnwrapped(data, attribute) ? data["value"] : data
    if (rest.length === 0 || inside === undefined) return inside
    const value = lookUp(inside, attribute)
    return value === missing
      ? this.#problem(
          path,
          `Invalid template: ${pythonRepr(text)}. Could not resolve the keypath in the block document data.`,
          `Block "${document}" has no "${attribute}".`
        )
      : value
  }

  /** A block that holds nothing but a `value` stands for it, unless the path names the value itself. */
  #isUnwrapped(data: JsonRecord, attribute: string): boolean {
    if (Object.keys(data).length !== 1 || !Object.hasOwn(data, "value")) return false
    return this.#semantics.line === "2"
      ? !attribute.startsWith("value")
      : !/^value(?:$|[.[])/u.test(attribute)
  }

  /** Undefined when the block is not read yet, or does not exist. */
  #read(key: BlockKey, path: string): unknown {
    const text = blockKeyText(key)
    if (!this.#known.blocks.has(text)) {
      this.needs.set(text, key)
      return undefined
    }
    const data = this.#known.blocks.get(text)
    if (data !== undefined) return data
    const what = "id" in key ? `block document ${key.id}` : `block "${key.name}" of type "${key.typeSlug}"`
    return this.#problem(path, `${what} does not exist`, "Create it, or correct the reference.")
  }

  #problem(path: string, rule: string, remedy: string): undefined {
    this.problems.push({ path, rule, remedy })
    return undefined
  }
}

/** A variable that does not exist is an empty text, on both lines. */
const resolveVariables = (value: unknown, known: Known, needed: Set<string>): unknown => {
  if (Array.isArray(value)) return value.map((each) => resolveVariables(each, known, needed))
  if (isRecord(value)) return mapValues(value, (each) => resolveVariables(each, known, needed))
  if (typeof value !== "string" || !value.includes(variablePrefix)) return value
  const read = ({ name }: Placeholder): unknown => {
    const variable = name.slice(variablePrefix.length)
    if (!known.variables.has(variable)) needed.add(variable)
    return known.variables.get(variable)?.value ?? ""
  }
  const whole = wholePlaceholder(value)
  if (whole?.kind === "variable") return read(whole)
  return replacePlaceholders(value, (placeholder) =>
    placeholder.kind === "variable" ? pythonStr(read(placeholder)) : undefined
  )
}
