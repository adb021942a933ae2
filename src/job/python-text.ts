/**
 * Python's `str()` and `repr()` of JSON values: Prefect puts these texts in where a placeholder stands inside text.
 *
 * Invariant: for every value that came from JSON, the text that the Python reference would make, but for numbers that
 * JavaScript cannot tell apart (`1.0` and `1`).
 */
import { isRecord } from "./json.ts"

export const pythonStr = (value: unknown): string => (typeof value === "string" ? value : pythonRepr(value))

export const pythonRepr = (value: unknown): string => {
  if (value === null || value === undefined) return "None"
  if (value === true) return "True"
  if (value === false) return "False"
  if (typeof value === "number") return pythonNumber(value)
  if (typeof value === "string") return quoted(value)
  if (Array.isArray(value)) return `[${value.map(pythonRepr).join(", ")}]`
  if (isRecord(value)) {
    const items = Object.entries(value).map(([key, each]) => `${quoted(key)}: ${pythonRepr(each)}`)
    return `{${items.join(", ")}}`
  }
  return quoted(String(value))
}

/** Whole numbers are Python's ints, which have no exponent; others have one below 1e-4 and from 1e16 on. */
const pythonNumber = (value: number): string => {
  if (Number.isInteger(value)) return BigInt(value).toString()
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf"
  const text = Math.abs(value) < 1e-4 ? value.toExponential() : String(value)
  return text.replace(/e([+-])(\d)$/u, "e$10$2")
}

const quoted = (text: string): string => {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  let inside = ""
  for (const character of text) inside += character === quote ? `\\${quote}` : escaped(character)
  return `${quote}${inside}${quote}`
}

const named: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" }

/** Not printable for Python: control, format, unassigned and surrogate characters, and every space but U+0020. */
const unprintable = /[\p{C}\p{Z}]/u

const escaped = (character: string): string => {
  const escape = named[character]
  if (escape !== undefined) return escape
  if (character === " " || !unprintable.test(character)) return character
  const code = character.codePointAt(0) ?? 0
  const hex = code.toString(16)
  return code < 0x100
    ? `\\x${hex.padStart(2, "0")}`
    : code < 0x10000
      ? `\\u${hex.padStart(4, "0")}`
      : `\\U${hex.padStart(8, "0")}`
}
