import { describe, expect, it } from "vitest"
import { pythonRepr, pythonStr } from "../../src/job/python-text.ts"

describe("text of a value inside a text", () => {
  it("is Python's, as users of templates know it", () => {
    const value = { a: [true, null, "it's", 'say "hi"', "both'\""], "b c": { d: 0.5 } }
    expect(pythonStr(value)).toBe(`{'a': [True, None, "it's", 'say "hi"', 'both\\'"'], 'b c': {'d': 0.5}}`)
  })

  it("is the text itself for a text, in quotes only inside lists and objects", () => {
    expect(pythonStr("a'b")).toBe("a'b")
    expect(pythonRepr("é\u200b\n\t\\\u0007\u{e0001}")).toBe(`'é\\u200b\\n\\t\\\\\\x07\\U000e0001'`)
  })

  it.each([
    [768, "768"],
    [1e21, "1000000000000000000000"],
    [0.00001, "1e-05"],
    [0.0001, "0.0001"],
    [1.5e-10, "1.5e-10"],
    [-2.5, "-2.5"]
  ])("of the number %d is %s", (value, text) => {
    expect(pythonStr(value)).toBe(text)
  })
})
