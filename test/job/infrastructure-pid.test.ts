import { describe, expect, it } from "@effect/vitest"
import {
  flowRunTags,
  infrastructurePid,
  outOfScope,
  parseInfrastructurePid
} from "../../src/job/infrastructure-pid.ts"

const pid = { org: "acme", gvc: "dev", workload: "w", commandId: "11111111-2222-4333-8444-555555555555" }

describe("an infrastructure PID", () => {
  it("is read as it was written", () => {
    expect(parseInfrastructurePid(infrastructurePid(pid))).toEqual(pid)
    expect(flowRunTags(pid)[3]).toBe(`cpln:command:${pid.commandId}`)
  })

  it.each([undefined, null, "", "acme:dev:w", "acme:dev::c", ":dev:w:c", "acme:dev:w:", "a:b: :c"])(
    "%j is none: a part is missing",
    (text) => {
      expect(parseInfrastructurePid(text)).toBeUndefined()
    }
  )

  it.each(["ac?me:dev:w:c", "a:b/../x:w:c", "a:..:w:c", "a:b:w#x:c", "a:b:w:c%2f", "a:b:w:c\n", "a:b:\\w:c"])(
    "%j is none: it could change a request's path",
    (text) => {
      expect(parseInfrastructurePid(text)).toBeUndefined()
    }
  )

  it("points to a job of this org and GVC, or the reason says where else it runs", () => {
    expect(outOfScope(pid, { org: "acme", gvc: "dev" })).toBeUndefined()
    expect(outOfScope(pid, { org: "acme", gvc: "prod" })).toContain("namespace 'dev'")
    expect(outOfScope(pid, { org: "globex", gvc: "dev" })).toContain("another Control Plane organization")
  })
})
