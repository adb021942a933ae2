/**
 * Reads the typed fields of a job configuration or an infrastructure block, which users may fill with any JSON.
 *
 * Invariant: a field that cannot be read is a problem under its own name, in the words of the Python reference; reading
 * goes on, so that every problem is told at once.
 */
import { isRecord, type JsonRecord, valueAt } from "./json.ts"
import type { Problem } from "./problem.ts"
import { pythonStr } from "./python-text.ts"

export class Fields {
  readonly problems: Array<Problem> = []
  readonly #record: JsonRecord
  readonly #prefix: string

  /** `prefix` stands before each field's name in a problem's path. */
  constructor(record: JsonRecord, prefix = "") {
    this.#record = record
    this.#prefix = prefix
  }

  /** Undefined when it is missing or null. Numbers become text. */
  text(name: string): string | undefined {
    const value = this.#given(name)
    if (value === undefined || typeof value === "string") return value
    if (typeof value === "number" || typeof value === "boolean") return pythonStr(value)
    return this.problem(name, "str type expected", "Give a text.")
  }

  /** Missing or null is an empty one. */
  record(name: string): JsonRecord {
    const value = this.#given(name)
    if (value === undefined) return {}
    if (isRecord(value)) return value
    this.problem(name, "value is not a valid dict", "Give an object of names and values.")
    return {}
  }

  list(name: string): ReadonlyArray<unknown> | undefined {
    const value = this.#given(name)
    if (value === undefined || Array.isArray(value)) return value as ReadonlyArray<unknown> | undefined
    return this.problem(name, "value is not a valid list", "Give a list.")
  }

  /** A whole number, also as text; a fraction is cut off, as Python does. */
  integer(name: string): number | undefined {
    const value = this.#given(name)
    if (value === undefined) return undefined
    const number =
      typeof value === "string" ? wholeNumber(value) : typeof value === "boolean" ? +value : value
    if (typeof number === "number" && Number.isFinite(number)) return Math.trunc(number)
    return this.problem(name, "value is not a valid integer", "Give a whole number.")
  }

  truth(name: string): boolean | undefined {
    const value = this.#given(name)
    if (value === undefined || typeof value === "boolean") return value
    const text = typeof value === "string" || typeof value === "number" ? String(value).toLowerCase() : ""
    if (/^(?:1|true|t|yes|y|on)$/u.test(text)) return true
    if (/^(?:0|false|f|no|n|off)$/u.test(text)) return false
    return this.problem(name, "value could not be parsed to a boolean", "Give true or false.")
  }

  /** For a field that has a default: null is not one of its values. */
  required<A>(name: string, read: (name: string) => A | undefined, fallback: A): A {
    if (valueAt(this.#record, name) === null) {
      this.problem(name, "none is not an allowed value", "Leave it out for its default.")
    }
    return read(name) ?? fallback
  }

  /** Missing is an empty one. */
  requiredRecord(name: string): JsonRecord {
    return this.required(name, (each) => this.record(each), {})
  }

  problem(name: string, rule: string, remedy: string): undefined {
    this.problems.push({ path: `${this.#prefix}${name}`, rule, remedy })
    return undefined
  }

  #given(name: string): unknown {
    return valueAt(this.#record, name) ?? undefined
  }
}

const wholeNumber = (text: string): number | undefined =>
  /^\s*[+-]?\d+\s*$/u.test(text) ? Number(text) : undefined
