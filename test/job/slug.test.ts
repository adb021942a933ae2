import { describe, expect, it } from "vitest"
import { labelKeySlug, labelValueSlug, nameSlug } from "../../src/job/slug.ts"

describe("the slug of a name", () => {
  it.each([
    ["Daily Report (EU)", "daily-report-eu"],
    ["R&amp;D &#65; &#x42; caf&eacute;s", "r-d-a-b-cafe-s"],
    ["1,000 rows", "1000-rows"],
    ["don't stop", "don-t-stop"],
    ["Straße»Übung", "strasse-ubung"],
    ["Москва 数据 보고서", "moskva-shu-ju-bogoseo"],
    ["5 € ½ №", "5-eur-1-2-no"],
    ["a\u08b0b\u{1f680}c\u0085d", "a-bcd"],
    ["x &#1114112; &#65;", "x-1114112-65"]
  ])("of %j is %j, as Prefect makes it", (text, slug) => {
    expect(nameSlug(text)).toBe(slug)
  })

  it("is cut at 45 characters and never ends in a dash", () => {
    expect(nameSlug(`${"a".repeat(44)}-bcd`)).toBe("a".repeat(44))
    expect(nameSlug("ab-".repeat(40))).toHaveLength(44)
  })

  it("is nothing where the name has nothing that a name may hold", () => {
    expect(["🚀🎉", "!?$%", "", "---"].map(nameSlug)).toEqual(Array(4).fill(undefined))
  })
})

describe("the slug of a label", () => {
  it("cuts prefix and name of a key apart, at the first slash", () => {
    expect(labelKeySlug("example.com/Cost Center/x")).toBe("example.com/cost-center-x")
    expect(labelKeySlug(`${"p".repeat(254)}/${"n".repeat(64)}`)).toBe(`${"p".repeat(253)}/${"n".repeat(63)}`)
    expect(labelKeySlug("/a b")).toBe("a-b")
  })

  it("keeps dots, dashes and underscores inside, and none at the ends", () => {
    expect(labelValueSlug("-_.2026-03-01T04:05:06.789000Z-_.")).toBe("2026-03-01t04-05-06.789000z")
  })

  it("is the text itself where nothing is left of it", () => {
    expect(labelValueSlug("!!!")).toBe("!!!")
    expect(labelKeySlug("x/")).toBe("x/")
  })
})
