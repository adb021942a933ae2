import { describe, expect, it } from "vitest"
import { type Grant, notRevealed } from "../../src/job/grants.ts"

const identity = "/org/acme/gvc/dev/identity/runner"

const grant = (more: Grant = {}): Grant => ({
  targetKind: "secret",
  targetLinks: ["//secret/db"],
  bindings: [{ permissions: ["reveal"], principalLinks: [identity] }],
  ...more
})

const lacking = (...policies: ReadonlyArray<Grant>) => notRevealed(policies, identity, ["db", "app"])

describe("what an identity may not reveal", () => {
  it("is everything that no policy names for it", () => {
    expect(lacking()).toEqual(["db", "app"])
    expect(lacking(grant())).toEqual(["app"])
    expect(lacking(grant(), grant({ targetLinks: ["/org/acme/secret/app"] }))).toEqual([])
    expect(lacking(grant({ target: "all", targetLinks: null }))).toEqual([])
  })

  it("is told by reveal and manage alone, for the identity in any form of its link", () => {
    const bound = (permission: string, link: string) =>
      lacking(grant({ bindings: [{ permissions: [permission], principalLinks: [link] }] })).includes("db")
    expect(bound("manage", "//gvc/dev/identity/runner")).toBe(false)
    expect(bound("view", identity)).toBe(true)
    expect(bound("use", identity)).toBe(true)
    expect(bound("reveal", "/org/acme/gvc/dev/identity/other")).toBe(true)
    expect(bound("reveal", "/org/acme/gvc/prod/identity/runner")).toBe(true)
  })

  it("is not told by policies of other objects, and nothing is where a query names them", () => {
    expect(lacking(grant({ targetKind: "workload", target: "all" }))).toEqual(["db", "app"])
    expect(lacking(grant({ targetLinks: [], targetQuery: { kind: "secret" } }))).toEqual([])
  })
})
