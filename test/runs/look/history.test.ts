import { describe, expect, it } from "@effect/vitest"
import { claimMessage, handBackMessage } from "../../../src/job/claim-message.ts"
import { historyOf, isOutrun, rivalsOf } from "../../../src/runs/look/history.ts"

const claim = (transitionId: string) => ({
  type: "PENDING",
  timestamp: "2026-11-24T12:00:00Z",
  message: claimMessage({ agent: "a", transitionId, where: "acme:dev:w", tryNumber: 1 })
})
const other = (type: string, message = "") => ({ type, timestamp: "2026-11-24T12:00:00Z", message })
const rivals = (states: Parameters<typeof historyOf>[0], transitionId: string) =>
  rivalsOf(historyOf(states), transitionId).map((each) => each.transitionId)

describe("rivals of a claim", () => {
  it("are the claims with no other state between them, whichever of them is asked for", () => {
    const states = [other("SCHEDULED"), claim("first"), claim("second"), other("RUNNING")]
    expect(rivals(states, "first")).toEqual(["second"])
    expect(rivals(states, "second")).toEqual(["first"])
  })

  it("are never claims of an earlier try", () => {
    const handedBack = handBackMessage({
      agent: "a",
      transitionId: "first",
      where: "acme:dev:w",
      tryNumber: 1,
      reason: "lost"
    })
    const states = [other("SCHEDULED"), claim("first"), other("SCHEDULED", handedBack), claim("second")]
    expect(rivals(states, "second")).toEqual([])
  })

  it("are none for a claim that the history does not hold", () => {
    expect(rivals([other("SCHEDULED"), claim("first")], "unknown")).toEqual([])
  })
})

describe("a history", () => {
  const late = { ...other("SCHEDULED"), name: "Late" }

  it("is claimed while nothing but the server's renaming came after a claim", () => {
    expect(historyOf([other("SCHEDULED"), claim("ours"), late]).isClaimed).toBe(true)
    for (const then of ["CANCELLING", "SCHEDULED", "CRASHED", "RUNNING"]) {
      expect(historyOf([other("SCHEDULED"), claim("ours"), other(then)]).isClaimed, then).toBe(false)
    }
  })

  it("knows a claim of one round whatever the server called the run between them, and an older one that was outrun", () => {
    const renamed = [other("SCHEDULED"), claim("first"), late, claim("second")]
    expect(rivals(renamed, "second")).toEqual(["first"])
    expect(isOutrun(historyOf(renamed), "first")).toBe(false)
    const again = [other("SCHEDULED"), claim("first"), other("SCHEDULED"), claim("second")]
    expect(isOutrun(historyOf(again), "first")).toBe(true)
  })
})
