import { describe, expect, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { type LogQuery, parseQuery } from "../../../src/emulator/logs/logql.ts"

const query = (text: string): LogQuery => Result.getOrThrow(parseQuery(text))
const refusal = (text: string) => Result.getOrThrow(Result.flip(parseQuery(text)))

const labels = { gvc: "dev", workload: "runner", replica: "command-1-abcde", stream: "stdout" }

describe("a log query", () => {
  it.each([
    ['{gvc="dev"}', true],
    ['{gvc="dev", workload="runner", replica=~"command-1.+"}', true],
    ['{gvc="dev",workload="other"}', false],
    ['{gvc="dev", workload!="other"}', true],
    ['{gvc="dev", replica!~"command-.*"}', false],
    ['{gvc="dev", workload=~"runner|other"}', true],
    ['{gvc="dev", workload=~"run"}', false],
    ["{gvc=`dev`}", true],
    ['{gvc="\\x64\\u0065v"}', true],
    ['{gvc="dev", absent=""}', true],
    ['{gvc="dev", absent!=""}', false],
    ['{gvc="dev", absent=~".*"}', true],
    [' { gvc = "dev" , # by name\n workload="runner" } ', true]
  ])("selects by labels: %s", (text, selected) => {
    expect(query(text).selects(labels)).toBe(selected)
  })

  it.each([
    ['{gvc="dev"} |= "error"', "an error", true],
    ['{gvc="dev"} |= "error"', "an Error", false],
    ['{gvc="dev"} != "error"', "an error", false],
    ['{gvc="dev"} |~ `(?i)ERR\\w+`', "an error", true],
    ['{gvc="dev"} !~ "err|warn"', "a warning", false],
    ['{gvc="dev"} |= "an" != "warning" |~ "e.r"', "an error", true],
    ['{gvc="dev"} |= "one" or "two"', "number two", true],
    ['{gvc="dev"} != "one" or "two"', "number two", false],
    ['{gvc="dev"}|="a\\"b"', 'xa"bx', true]
  ])("filters lines: %s on %s", (text, line, kept) => {
    expect(query(text).keeps(line)).toBe(kept)
  })

  it.each([
    ["", "unexpected end of query"],
    ["runner", "a selector such as"],
    ["{}", "at least one regexp or equality matcher"],
    ['{gvc=~".*"}', "at least one regexp or equality matcher"],
    ['{gvc!="dev"}', "at least one regexp or equality matcher"],
    ['{gvc="dev"', "} or , is expected"],
    ['{gvc="dev",}', "a label is expected"],
    ['{gvc:"dev"}', "one of =, !=, =~, !~"],
    ["{gvc='dev'}", "a text in quotes"],
    ['{gvc="dev}', "without its closing quote"],
    ['{gvc="d\\.v"}', "invalid char escape"],
    ['{gvc=~"("}', "error parsing regexp: missing closing )"],
    ['{gvc="dev"} | json', "only the line filters"],
    ['count_over_time({gvc="dev"}[5m])', "a selector such as"],
    ['{gvc="dev"} |= ', "a text in quotes"]
  ])("is refused where it is none, saying what and where: %s", (text, why) => {
    const error = refusal(text)
    expect(error.status).toBe(400)
    expect(error.message).toContain("parse error")
    expect(error.message).toContain(why)
  })

  it("is refused at the place of the trouble", () => {
    expect(refusal('{gvc="dev",\n  workload}').message).toContain("line 2, col 11")
  })

  it.prop("never throws, whatever it is given", { text: Schema.String }, ({ text }) => {
    parseQuery(text)
    parseQuery(`{gvc="dev"} |~ ${JSON.stringify(text)}`)
    parseQuery(`{gvc=~\`${text}\`}`)
  })

  it.prop("means what was quoted into it", { text: Schema.String }, ({ text }) => {
    const quoted = [...text]
      .map((character) => `\\U${character.codePointAt(0)!.toString(16).padStart(8, "0")}`)
      .join("")
    const { keeps, selects } = query(`{gvc="x${quoted}"} |= "${quoted}"`)
    expect(selects({ gvc: `x${text}` })).toBe(true)
    expect(selects({ gvc: `y${text}` })).toBe(false)
    expect(keeps(`before ${text} after`)).toBe(true)
  })
})
