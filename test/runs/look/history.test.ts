import { describe, expect, it } from "@effect/vitest"
import { claimMessage, handBackMessage } from "../../../src/job/claim-message.ts"
import { historyOf, rivalsOf } from "../../../src/runs/look/history.ts"

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
