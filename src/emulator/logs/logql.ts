/**
 * The part of LogQL that people and tools send to read job output: one selector of labels, then line filters. Pure.
 *
 * Invariant: whatever else LogQL has is refused with a message that names it, so that no query is ever answered as if it
 * had asked for something else.
 */
import { Result } from "effect"
import { type ApiError, badRequest } from "../errors.ts"
import { anywhere, type Regex, wholeText } from "./regex.ts"

export type Labels = Readonly<Record<string, string>>

/** A query that was understood. */
export interface LogQuery {
  /** False when no stream with this value of this label can be meant. */
  readonly admits: (label: string, value: string) => boolean
  readonly selects: (labels: Labels) => boolean
  readonly keeps: (line: string) => boolean
}

interface Matcher {
  readonly label: string
  readonly matches: (value: string) => boolean
}

const longestQuery = 64 * 1024
const needsMatcher =
  "queries require at least one regexp or equality matcher that does not have an empty-compatible value. " +
  'For instance, app=~".*" does not meet this requirement, but app=~".+" will'

/** A refusal on its way out of the parser. */
class Refused extends Error {}

export const parseQuery = (text: string): Result.Result<LogQuery, ApiError> => {
  if (text.length > longestQuery) {
    return Result.fail(badRequest(`parse error: query of ${text.length} characters, at most ${longestQuery}`))
  }
  try {
    return Result.succeed(queryOf(text))
  } catch (refusal) {
    if (refusal instanceof Refused) return Result.fail(badRequest(`parse error ${refusal.message}`))
    throw refusal
  }
}

const queryOf = (text: string): LogQuery => {
  const scanner = new Scanner(text)
  const matchers = selectorOf(scanner)
  const filters: Array<(line: string) => boolean> = []
  while (!scanner.atEnd()) filters.push(filterOf(scanner))
  if (!matchers.some(({ matches }) => !matches(""))) throw new Refused(`: ${needsMatcher}`)
  return {
    admits: (label, value) => matchers.every((each) => each.label !== label || each.matches(value)),
    selects: (labels) =>
      matchers.every(({ label, matches }) => matches(Object.hasOwn(labels, label) ? labels[label]! : "")),
    keeps: (line) => filters.every((filter) => filter(line))
  }
}

const selectorOf = (scanner: Scanner): ReadonlyArray<Matcher> => {
  if (!scanner.takes("{")) scanner.refuse('a selector such as {workload="runner"} comes first')
  const matchers: Array<Matcher> = []
  if (scanner.takes("}")) return matchers
  do {
    const label = scanner.name()
    if (label === undefined) return scanner.refuse("a label is expected")
    const operator = scanner.oneOf(["=~", "!~", "!=", "="])
    if (operator === undefined) return scanner.refuse("one of =, !=, =~, !~ is expected")
    const value = scanner.quoted()
    const test = operator.endsWith("~")
      ? regexOf(scanner, wholeText(value)).test
      : (other: string) => other === value
    matchers.push({ label, matches: operator.startsWith("!") ? (other) => !test(other) : test })
  } while (scanner.takes(","))
  if (!scanner.takes("}")) scanner.refuse("} or , is expected")
  return matchers
}

const filterOf = (scanner: Scanner): ((line: string) => boolean) => {
  const operator = scanner.oneOf(["|=", "!=", "|~", "!~"])
  if (operator === undefined)
    return scanner.refuse("only the line filters |=, !=, |~ and !~ are understood here")
  const tests: Array<(line: string) => boolean> = []
  do {
    const text = scanner.quoted()
    tests.push(
      operator.endsWith("~") ? regexOf(scanner, anywhere(text)).test : (line: string) => line.includes(text)
    )
  } while (scanner.takesWord("or"))
  const matches = (line: string) => tests.some((test) => test(line))
  return operator.startsWith("!") ? (line) => !matches(line) : matches
}

const regexOf = (scanner: Scanner, regex: Result.Result<Regex, string>): Regex =>
  Result.isSuccess(regex) ? regex.success : scanner.refuse(`error parsing regexp: ${regex.failure}`)

/** Go's escapes in "…"; a text in `…` has none. */
const escapes: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  '"': '"'
}

class Scanner {
  private readonly text: string
  private at = 0

  constructor(text: string) {
    this.text = text
  }

  refuse(why: string): never {
    const line = this.text.slice(0, this.at).split("\n")
    const rest = this.text.slice(this.at, this.at + 20)
    const found = rest === "" ? "end of query" : JSON.stringify(rest)
    throw new Refused(
      `at line ${line.length}, col ${line.at(-1)!.length + 1}: syntax error: unexpected ${found}: ${why}`
    )
  }

  atEnd(): boolean {
    this.skip()
    return this.at >= this.text.length
  }

  takes(token: string): boolean {
    this.skip()
    if (!this.text.startsWith(token, this.at)) return false
    this.at += token.length
    return true
  }

  takesWord(word: string): boolean {
    this.skip()
    const next = this.text.charAt(this.at + word.length)
    return (next === "" || /[\s"`]/u.test(next)) && this.takes(word)
  }

  oneOf<const T extends string>(tokens: ReadonlyArray<T>): T | undefined {
    return tokens.find((token) => this.takes(token))
  }

  name(): string | undefined {
    this.skip()
    const name = this.matching(/[A-Za-z_][A-Za-z0-9_]*/uy)
    if (name !== undefined) this.at += name.length
    return name
  }

  quoted(): string {
    this.skip()
    const mark = this.text.charAt(this.at)
    if (mark !== '"' && mark !== "`") return this.refuse("a text in quotes is expected")
    if (mark === "`") {
      const end = this.text.indexOf("`", this.at + 1)
      if (end < 0) return this.refuse("a text without its closing quote")
      const raw = this.text.slice(this.at + 1, end)
      this.at = end + 1
      return raw
    }
    this.at++
    const parts: Array<string> = []
    for (;;) {
      const plain = this.matching(/[^"\\\n]+/uy)
      if (plain !== undefined) {
        parts.push(plain)
        this.at += plain.length
      }
      const next = this.text.charAt(this.at)
      if (next === '"') break
      if (next !== "\\") return this.refuse("a text without its closing quote")
      parts.push(this.escape())
    }
    this.at++
    return parts.join("")
  }

  private escape(): string {
    const coded = this.matching(/\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-3][0-7]{2})/uy)
    if (coded !== undefined) {
      const octal = /^\\[0-7]/u.test(coded)
      const codePoint = Number.parseInt(coded.slice(octal ? 1 : 2), octal ? 8 : 16)
      if (codePoint > 0x10_ff_ff) return this.refuse("invalid char escape")
      this.at += coded.length
      return String.fromCodePoint(codePoint)
    }
    const letter = this.text.charAt(this.at + 1)
    const meant = Object.hasOwn(escapes, letter) ? escapes[letter] : undefined
    if (meant === undefined) {
      return this.refuse("invalid char escape; write \\\\ for a backslash, or put the text in backticks")
    }
    this.at += 2
    return meant
  }

  private matching(sticky: RegExp): string | undefined {
    sticky.lastIndex = this.at
    return sticky.exec(this.text)?.[0]
  }

  /** Space, and comments to the end of the line. */
  private skip(): void {
    this.at += this.matching(/(?:\s|#[^\n]*)*/uy)?.length ?? 0
  }
}
