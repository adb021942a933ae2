import { describe, expect, it } from "@effect/vitest"
import { clean, cleanText } from "../../src/prefect/clean.ts"

describe("clean", () => {
  it("shows NUL and unpaired surrogates as U+FFFD", () => {
    expect(cleanText("a\u0000b\ud800c\udc00")).toBe("a\ufffdb\ufffdc\ufffd")
  })

  it("leaves everything else alone: pairs, escapes, other control characters, non-characters", () => {
    const text = "\ud83d\ude00 \\u0000 \u0001\u001b[31m \uffff é"
    expect(cleanText(text)).toBe(text)
  })

  it("reaches values and keys at any depth, and keeps what is no text", () => {
    expect(clean({ "k\u0000": ["\u0000", { deep: "\udfff" }, 1, null, true], no: undefined })).toEqual({
      "k\ufffd": ["\ufffd", { deep: "\ufffd" }, 1, null, true],
      no: undefined
    })
  })
})
