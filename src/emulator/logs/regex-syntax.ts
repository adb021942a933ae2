/**
 * Reads a regular expression of Go's RE2 dialect, the one that Loki takes, into a tree. Pure.
 *
 * Invariant: what RE2 does not know (look-around, back references) is refused, never guessed at; depth and repetition
 * are bounded, so that no text makes the reader run away.
 */

export type CodePoints = (codePoint: number) => boolean

export type Assertion = "textStart" | "textEnd" | "lineStart" | "lineEnd" | "wordEdge" | "noWordEdge"

export type Syntax =
  | { readonly _tag: "One"; readonly accepts: CodePoints }
  | { readonly _tag: "Assert"; readonly assertion: Assertion }
  | { readonly _tag: "Sequence"; readonly of: ReadonlyArray<Syntax> }
  | { readonly _tag: "Choice"; readonly of: ReadonlyArray<Syntax> }
  | {
      readonly _tag: "Repeat"
      readonly of: Syntax
      readonly least: number
      readonly most: number | undefined
    }

/** Why a text is no regular expression of this dialect. */
export class RegexRefused extends Error {}

export const longestRegex = 16 * 1024
const deepest = 200
const mostRepeats = 1000

interface Flags {
  readonly ignoreCase: boolean
  readonly multiLine: boolean
  readonly dotAll: boolean
}

const newline = 10
const digit: CodePoints = (c) => c >= 48 && c <= 57
export const wordCharacter: CodePoints = (c) =>
  digit(c) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95
const space: CodePoints = (c) => c === 32 || c === 9 || c === 10 || c === 12 || c === 13
const not =
  (accepts: CodePoints): CodePoints =>
  (c) =>
    !accepts(c)
const anyOf =
  (all: ReadonlyArray<CodePoints>): CodePoints =>
  (c) =>
    all.some((accepts) => accepts(c))
const literally =
  (c: number): CodePoints =>
  (other) =>
    other === c
const between =
  (low: number, high: number): CodePoints =>
  (c) =>
    c >= low && c <= high

/** Perl's classes by their letter; the capital letter is the opposite. */
const perlClass = (letter: string): CodePoints | undefined => {
  const accepts = { d: digit, w: wordCharacter, s: space }[letter.toLowerCase()]
  return accepts === undefined || letter === letter.toLowerCase() ? accepts : not(accepts)
}

const posixClasses: Readonly<Record<string, RegExp>> = {
  alnum: /[0-9A-Za-z]/u,
  alpha: /[A-Za-z]/u,
  ascii: /\p{ASCII}/u,
  blank: /[\t ]/u,
  cntrl: /[\p{Cc}--[\x80-\u009f]]/v,
  digit: /[0-9]/u,
  graph: /[!-~]/u,
  lower: /[a-z]/u,
  print: /[ -~]/u,
  punct: /[!-/:-@[-`{-~]/u,
  space: /[\t\n\v\f\r ]/u,
  upper: /[A-Z]/u,
  word: /[0-9A-Za-z_]/u,
  xdigit: /[0-9A-Fa-f]/u
}

const byRegExp =
  (one: RegExp): CodePoints =>
  (c) =>
    one.test(String.fromCodePoint(c))

const onlyCodePoint = (text: string): number | undefined => {
  const c = text.codePointAt(0)
  return c !== undefined && text.length === (c > 0xffff ? 2 : 1) ? c : undefined
}

const inAnyCase =
  (accepts: CodePoints): CodePoints =>
  (c) => {
    if (accepts(c)) return true
    const text = String.fromCodePoint(c)
    const lower = onlyCodePoint(text.toLowerCase())
    const upper = onlyCodePoint(text.toUpperCase())
    return (lower !== undefined && accepts(lower)) || (upper !== undefined && accepts(upper))
  }

const controls: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 }

/** The tree of a pattern; throws `RegexRefused`. */
export const parseRegex = (pattern: string, dotAll: boolean): Syntax => {
  if (pattern.length > longestRegex) {
    throw new RegexRefused(`expression too long: ${pattern.length} characters, at most ${longestRegex}`)
  }
  const characters = [...pattern]
  let at = 0
  let flags: Flags = { ignoreCase: false, multiLine: false, dotAll }

  const refuse = (why: string, what: string): never => {
    throw new RegexRefused(`${why}: \`${what}\``)
  }
  const startsWith = (text: string) => characters.slice(at, at + text.length).join("") === text
  const codePoint = (character: string): number => character.codePointAt(0)!
  const one = (accepts: CodePoints): Syntax => ({
    _tag: "One",
    accepts: flags.ignoreCase ? inAnyCase(accepts) : accepts
  })

  const choice = (depth: number): Syntax => {
    if (depth > deepest) refuse("expression nests too deeply", pattern.slice(0, 40))
    const outer = flags
    const branches = [sequence(depth)]
    while (characters[at] === "|") {
      at++
      branches.push(sequence(depth))
    }
    // A flag such as (?i) holds until the end of its group.
    flags = outer
    return branches.length === 1 ? branches[0]! : { _tag: "Choice", of: branches }
  }

  const sequence = (depth: number): Syntax => {
    const items: Array<Syntax> = []
    while (at < characters.length && characters[at] !== "|" && characters[at] !== ")") {
      const read = startsWith("\\Q") ? quoted() : atom(depth)
      // What follows a quoted text repeats its last character.
      const item = read.at(-1)
      items.push(...read.slice(0, -1))
      if (item !== undefined) items.push(repeated(item))
    }
    return { _tag: "Sequence", of: items }
  }

  const quoted = (): ReadonlyArray<Syntax> => {
    at += 2
    const items: Array<Syntax> = []
    while (at < characters.length && !startsWith("\\E")) {
      const c = codePoint(characters[at++]!)
      items.push(one(literally(c)))
    }
    at += 2
    return items
  }

  const repeated = (item: Syntax): Syntax => {
    const bounds = repetition()
    if (bounds === undefined) return item
    // Greedy or lazy is the same where only "does it match" is asked.
    if (characters[at] === "?") at++
    const here = at
    if (repetition() !== undefined) {
      refuse("invalid nested repetition operator", characters.slice(here - 1, at).join(""))
    }
    return { _tag: "Repeat", of: item, ...bounds }
  }

  const repetition = (): { least: number; most: number | undefined } | undefined => {
    const operator = characters[at]
    if (operator === "*" || operator === "+" || operator === "?") {
      at++
      return { least: operator === "+" ? 1 : 0, most: operator === "?" ? 1 : undefined }
    }
    if (operator !== "{") return undefined
    const counted = /^\{(\d{1,6})(?:(,)(\d{0,6}))?\}/u.exec(characters.slice(at, at + 16).join(""))
    if (counted === null) return undefined
    at += counted[0].length
    const least = Number(counted[1])
    const most = counted[2] === undefined ? least : counted[3] === "" ? undefined : Number(counted[3])
    if (least > mostRepeats || (most !== undefined && (most > mostRepeats || most < least))) {
      refuse("invalid repeat count", counted[0])
    }
    return { least, most }
  }

  /** Nothing for what only sets flags. */
  const atom = (depth: number): ReadonlyArray<Syntax> => {
    const character = characters[at++]!
    switch (character) {
      case "(":
        return group(depth)
      case "[":
        return [one(characterClass())]
      case ".":
        return [{ _tag: "One", accepts: flags.dotAll ? () => true : (c) => c !== newline }]
      case "^":
        return [{ _tag: "Assert", assertion: flags.multiLine ? "lineStart" : "textStart" }]
      case "$":
        return [{ _tag: "Assert", assertion: flags.multiLine ? "lineEnd" : "textEnd" }]
      case "\\":
        return [escape()]
      case "*":
      case "+":
      case "?":
        return refuse("missing argument to repetition operator", character)
      default: {
        const c = codePoint(character)
        return [one(literally(c))]
      }
    }
  }

  const group = (depth: number): ReadonlyArray<Syntax> => {
    const outer = flags
    if (characters[at] === "?") {
      const head = characters.slice(at, at + 64).join("")
      const named = /^\?P?<[A-Za-z_]\w*>/u.exec(head)
      const flagged = /^\?([imsU]*)(?:-([imsU]+))?([:)])/u.exec(head)
      if (named !== null) {
        at += named[0].length
      } else if (flagged !== null) {
        at += flagged[0].length
        flags = withFlags(withFlags(flags, flagged[1]!, true), flagged[2] ?? "", false)
        if (flagged[3] === ")") return []
      } else {
        refuse("invalid or unsupported Perl syntax", `(${head.slice(0, 3)}`)
      }
    }
    const inner = choice(depth + 1)
    if (characters[at] !== ")") refuse("missing closing )", pattern.slice(0, 80))
    at++
    flags = outer
    return [inner]
  }

  const escape = (): Syntax => {
    const letter = characters[at]
    if (letter === undefined) return refuse("trailing backslash at end of expression", "\\")
    const assertion = ({ A: "textStart", z: "textEnd", b: "wordEdge", B: "noWordEdge" } as const)[letter]
    if (assertion !== undefined) {
      at++
      return { _tag: "Assert", assertion }
    }
    return one(escapedClass() ?? literally(escapedCharacter()))
  }

  /** `\d`, `\pL`, `\p{Greek}` and so on, with `at` on the letter. */
  const escapedClass = (): CodePoints | undefined => {
    const letter = characters[at]!
    const perl = "dDwWsS".includes(letter) ? perlClass(letter) : undefined
    if (perl !== undefined) {
      at++
      return perl
    }
    if (letter !== "p" && letter !== "P") return undefined
    const named = /^[pP](?:\{(\^?)(\w+)\}|(\w))/u.exec(characters.slice(at, at + 40).join(""))
    if (named === null) return refuse("invalid character class range", `\\${letter}`)
    const accepts = unicodeClass(named[2] ?? named[3]!)
    if (accepts === undefined) return refuse("invalid character class range", `\\${named[0]}`)
    at += named[0].length
    return (letter === "P") === (named[1] === "^") ? accepts : not(accepts)
  }

  const escapedCharacter = (): number => {
    const rest = characters.slice(at, at + 12).join("")
    const hex = /^x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,8})\})/u.exec(rest)
    const octal = /^(?:0[0-7]{0,2}|[1-7][0-7]{1,2})/u.exec(rest)
    const found = hex ?? octal
    if (found !== null) {
      at += found[0].length
      const c = hex === null ? Number.parseInt(found[0], 8) : Number.parseInt(hex[1] ?? hex[2]!, 16)
      return c > 0x10_ff_ff ? refuse("invalid escape sequence", `\\${found[0]}`) : c
    }
    const character = characters[at++]!
    const control = controls[character]
    if (control !== undefined) return control
    if (/[0-9A-Za-z]/u.test(character)) return refuse("invalid escape sequence", `\\${character}`)
    return codePoint(character)
  }

  const characterClass = (): CodePoints => {
    const start = at
    const unclosed = () => refuse("missing closing ]", characters.slice(start - 1, start + 40).join(""))
    const negated = characters[at] === "^"
    if (negated) at++
    const items: Array<CodePoints> = []
    for (let first = true; first || characters[at] !== "]"; first = false) {
      if (at >= characters.length) return unclosed()
      const posix = /^\[:(\^?)(\w+):\]/u.exec(characters.slice(at, at + 16).join(""))
      if (posix !== null) {
        const named = Object.hasOwn(posixClasses, posix[2]!) ? posixClasses[posix[2]!] : undefined
        if (named === undefined) return refuse("invalid character class range", posix[0])
        at += posix[0].length
        items.push(posix[1] === "^" ? not(byRegExp(named)) : byRegExp(named))
        continue
      }
      const low = classMember()
      if (typeof low === "function") {
        items.push(low)
        continue
      }
      if (characters[at] === "-" && at + 1 < characters.length && characters[at + 1] !== "]") {
        const from = at
        at++
        const high = classMember()
        if (typeof high === "function" || high < low) {
          return refuse("invalid character class range", characters.slice(from - 1, at).join(""))
        }
        items.push(between(low, high))
      } else {
        items.push(literally(low))
      }
    }
    at++
    const accepts = anyOf(items)
    if (!negated) return accepts
    // Case is folded before the negation: (?i)[^a] must refuse A as well.
    return not(flags.ignoreCase ? inAnyCase(accepts) : accepts)
  }

  const classMember = (): number | CodePoints => {
    if (characters[at] !== "\\") return codePoint(characters[at++]!)
    at++
    if (at >= characters.length) return refuse("missing closing ]", pattern.slice(-40))
    return escapedClass() ?? escapedCharacter()
  }

  const tree = choice(0)
  if (at < characters.length) refuse("unexpected )", pattern.slice(0, 80))
  return tree
}

const withFlags = (flags: Flags, letters: string, value: boolean): Flags => ({
  ignoreCase: letters.includes("i") ? value : flags.ignoreCase,
  multiLine: letters.includes("m") ? value : flags.multiLine,
  dotAll: letters.includes("s") ? value : flags.dotAll
})

/** Go knows categories (`Lu`) and scripts (`Greek`) by the same names as JavaScript. */
const unicodeClass = (name: string): CodePoints | undefined => {
  if (name === "Any") return () => true
  for (const property of [name, `Script=${name}`]) {
    try {
      return byRegExp(new RegExp(`^\\p{${property}}$`, "u"))
    } catch {
      // Not a category, perhaps a script.
    }
  }
  return undefined
}
