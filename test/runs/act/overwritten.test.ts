import { describe, expect, it } from "@effect/vitest"
import { endBefore } from "../../../src/runs/act/overwritten.ts"

const state = (type: string, second: number, transition?: string) => ({
  type,
  timestamp: new Date(Date.UTC(2026, 10, 24, 12, 0, second)).toISOString(),
  ...(transition === undefined ? {} : { state_details: { transition_id: transition } })
})

describe("a claim that came too late", () => {
  it("is known by the end that stands right before it, in whatever order the history comes", () => {
    const history = [
      state("PENDING", 9, "ours"),
      state("SCHEDULED", 0),
      state("PENDING", 1, "theirs"),
      state("RUNNING", 2),
      state("COMPLETED", 3)
    ]
    expect(endBefore(history, "ours")?.type).toBe("COMPLETED")
    expect(endBefore(history.slice(1, 3), "theirs")).toBeUndefined()
  })

  it("is known also by an end that was reported between its asking and its landing", () => {
    const history = [
      state("SCHEDULED", 0),
      state("PENDING", 1, "theirs"),
      state("PENDING", 2, "ours"),
      state("RUNNING", 3),
      state("FAILED", 4)
    ]
    expect(endBefore(history, "ours")?.type).toBe("FAILED")
  })

  it("is none where the run was waiting, renamed Late, or retried after an end", () => {
    const waiting = [state("SCHEDULED", 0), state("SCHEDULED", 5), state("PENDING", 6, "ours")]
    expect(endBefore(waiting, "ours")).toBeUndefined()
    const retried = [state("FAILED", 0), state("SCHEDULED", 5), state("PENDING", 6, "ours")]
    expect(endBefore(retried, "ours")).toBeUndefined()
  })

  it("is none that is not in the history at all", () => {
    expect(endBefore([state("COMPLETED", 1)], "ours")).toBeUndefined()
    expect(endBefore([], "ours")).toBeUndefined()
  })
})
