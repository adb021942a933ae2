import { describe, expect, it } from "@effect/vitest"
import { hashText, specHash } from "../../src/job/spec-hash.ts"

describe("the text that is hashed", () => {
  it("has its keys in order at every level, one blank after commas and colons, arrays as they are", () => {
    expect(hashText({ b: [3, 1, { z: null, a: true }], a: {} })).toBe(
      '{"a": {}, "b": [3, 1, {"a": true, "z": null}]}'
    )
  })

  it("is ASCII: everything else is escaped, beyond the BMP as two halves, and DEL too", () => {
    expect(hashText('é\u007f\n\t"\\\b\f\r\u0001 🚀')).toBe(
      '"\\u00e9\\u007f\\n\\t\\"\\\\\\b\\f\\r\\u0001 \\ud83d\\ude80"'
    )
    expect(hashText("\ud83d")).toBe('"\\ud83d"')
  })

  it("sorts by code point, which is not the order of UTF-16", () => {
    expect(hashText({ "\u{1F680}": 1, "\uff00": 2 })).toBe('{"\\uff00": 2, "\\ud83d\\ude80": 1}')
  })
})

describe("the hash", () => {
  const spec = { type: "cron", identityLink: "/org/acme/gvc/dev/identity/x" }

  it("is the MD5 of that text in hex", () => {
    expect(specHash({ type: "cron" }, { withIdentity: false })).toBe("497962819f9756dd0349db91bd75b7cc")
  })

  it("counts the identity only where it was chosen", () => {
    expect(specHash(spec, { withIdentity: false })).toBe(specHash({ type: "cron" }, { withIdentity: false }))
    expect(specHash(spec, { withIdentity: true })).not.toBe(specHash(spec, { withIdentity: false }))
  })
})
