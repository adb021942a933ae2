import { describe, expect, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { anywhere, type Regex, wholeText } from "../../../src/emulator/logs/regex.ts"

const compiled = (regex: Result.Result<Regex, string>): Regex => Result.getOrThrow(regex)
const matches = (pattern: string, text: string) => compiled(wholeText(pattern)).test(text)
const finds = (pattern: string, text: string) => compiled(anywhere(pattern)).test(text)
const refusal = (pattern: string) => Result.getOrThrow(Result.flip(wholeText(pattern)))

describe("a regular expression of a query", () => {
  it("must match the whole value of a label, every branch of it", () => {
    expect(matches("runner|other", "runner")).toBe(true)
    expect(matches("runner|other", "runner2")).toBe(false)
    expect(matches("command-1234.+", "command-1234-abcde")).toBe(true)
    expect(matches("command-1234.+", "a command-1234-abcde")).toBe(false)
    expect(matches("", "")).toBe(true)
  })

  it("matches anywhere in a line", () => {
    expect(finds("err(or)?", "an error here")).toBe(true)
    expect(finds("^error", "an error here")).toBe(false)
    expect(finds("here$", "an error here")).toBe(true)
    expect(finds("^$", "")).toBe(true)
  })

  it.each([
    ["\\d+\\.\\d*", "12.", true],
    ["[[:alpha:]]+", "abc", true],
    ["[^[:alpha:]]", "1", true],
    ["[^a-c]x{2,3}", "dxx", true],
    ["x{2,3}", "xxxx", false],
    ["x{2,}", "xxxx", true],
    ["x{,3}", "x{,3}", true],
    ["\\Qa.b\\E+", "a.bbb", true],
    ["\\Qa.b\\E+", "axb", false],
    ["\\pL\\p{Greek}", "éα", true],
    ["\\PL", "é", false],
    ["(?P<name>a)(?:b)", "ab", true],
    ["(?i)err\\b.*", "ERR here", true],
    ["(?i)[^a]", "A", false],
    ["a(?i:B)c", "abc", true],
    ["a(?i:B)c", "abC", false],
    ["(?i:a)b|c", "Ab", true],
    ["\\x41\\x{1F600}\\101", "A😀A", true],
    ["a.b", "a😀b", true],
    ["[]a]", "]", true],
    ["[a-]", "-", true],
    ["a\\-b\\/c", "a-b/c", true],
    ["(a*)*", "aaaa", true],
    ["(|a)+", "", true]
  ])("reads %s as Go's RE2 does (%s: %s)", (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected)
  })

  it.each([
    ["(?=x)", "invalid or unsupported Perl syntax"],
    ["(?<!x)", "invalid or unsupported Perl syntax"],
    ["(a)\\1x", "invalid escape sequence"],
    ["a**", "invalid nested repetition operator"],
    ["*a", "missing argument to repetition operator"],
    ["(a", "missing closing )"],
    ["a)", "unexpected )"],
    ["[a", "missing closing ]"],
    ["[z-a]", "invalid character class range"],
    ["\\p{Nothing}", "invalid character class range"],
    ["\\y", "invalid escape sequence"],
    ["a\\", "trailing backslash"],
    ["a{1001}", "invalid repeat count"],
    ["((((a{100}){100}){100}){100})", "expression too large"],
    ["(".repeat(300), "nests too deeply"],
    ["a".repeat(20_000), "expression too long"]
  ])("is refused by name when it is none of RE2: %s", (pattern, why) => {
    expect(refusal(pattern.slice(0, 30_000))).toContain(why)
  })

  it("takes time in proportion to the text, where others take for ever", () => {
    const text = "x".repeat(16 * 1024)
    const began = performance.now()
    for (const pattern of ["(x+x+)+y", "(x*)*y", "(x|x|x)*y", ".*.*.*.*=y", "(x?){500}(x{1,5}){100}y"]) {
      expect(finds(pattern, text)).toBe(false)
    }
    expect(performance.now() - began).toBeLessThan(10_000)
  })

  const Piece = Schema.Literals([
    "a",
    "b",
    "ab",
    ".",
    "[ab]",
    "[^a]",
    "(a|b)",
    "(?:ab|)",
    "\\b",
    "^",
    "$",
    "|",
    "\\w"
  ])
  const Times = Schema.Literals(["", "", "*", "+", "?", "{2}", "{1,2}", "*?"])
  const Letters = Schema.Array(Schema.Literals(["a", "b", " ", "c"]))
  const asserts = new Set(["\\b", "^", "$", "|"])

  it.prop(
    "agrees with JavaScript's wherever both know the pattern",
    { pieces: Schema.Array(Schema.Tuple([Piece, Times])), letters: Letters },
    ({ pieces, letters }) => {
      const pattern = pieces.map(([piece, times]) => (asserts.has(piece) ? piece : piece + times)).join("")
      const text = letters.join("")
      expect(finds(pattern, text)).toBe(new RegExp(pattern, "u").test(text))
      expect(matches(pattern, text)).toBe(new RegExp(`^(?:${pattern})$`, "su").test(text))
    },
    { arbitrary: { runs: 500 } }
  )
})
