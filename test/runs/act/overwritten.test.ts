import { describe, expect, it } from "@effect/vitest"
import { endBefore, outrunBy } from "../../../src/runs/act/overwritten.ts"

const state = (type: string, second: number, transition?: string, name?: string) => ({
  type,
  ...(name === undefined ? {} : { name }),
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

describe("an end that a late claim replaced", () => {
  it("is found whatever the server called the run meanwhile", () => {
    const history = [
      state("SCHEDULED", 0),
      state("PENDING", 1, "ours"),
      state("SCHEDULED", 2, undefined, "Late"),
      state("PENDING", 3, "theirs"),
      state("COMPLETED", 4)
    ]
    expect(endBefore(history, "ours")?.type).toBe("COMPLETED")
  })

  it("may be CANCELLED, but is not the old way to ask for that", () => {
    const cancelled = (name: string) => [
      state("SCHEDULED", 0),
      state("PENDING", 1, "ours"),
      state("CANCELLED", 2, undefined, name)
    ]
    expect(endBefore(cancelled("Cancelled"), "ours")?.type).toBe("CANCELLED")
    expect(endBefore(cancelled("Cancelling"), "ours")).toBeUndefined()
  })
})

describe("a claim that waited in the server", () => {
  const claimed = (second: number, transition: string) => ({
    ...state("PENDING", second, transition),
    message: `Claimed by a | attempt ${transition} | o:g:w | try 1`
  })
  const first = [state("SCHEDULED", 0), claimed(1, "ours")]

  it("was outrun by nothing when only the server renamed the run, or another was accepted beside it", () => {
    const late = state("SCHEDULED", 2, undefined, "Late")
    expect(outrunBy([...first, late, claimed(3, "theirs"), state("RUNNING", 4)], "ours", 9_000)).toBe(
      "nothing"
    )
  })

  it("was outrun by an offer when the run was given back, moved or retried", () => {
    expect(outrunBy([...first, state("SCHEDULED", 2, undefined, "AwaitingRetry")], "ours", 9_000)).toBe(
      "an offer"
    )
  })

  it("was outrun by a newer claim when that was claimed anew", () => {
    const again = [state("SCHEDULED", 2, undefined, "AwaitingRetry"), claimed(3, "theirs")]
    expect(outrunBy([...first, ...again], "ours", 9_000)).toBe("a newer claim")
    expect(outrunBy([...first, ...again], "theirs", 9_000)).toBe("nothing")
  })

  it("was outrun by an offer where the newer claim was given back again", () => {
    const there = [state("SCHEDULED", 2, undefined, "AwaitingRetry"), claimed(3, "theirs")]
    const back = state("SCHEDULED", 4, undefined, "AwaitingRetry")
    expect(outrunBy([...first, ...there, back], "ours", 9_000)).toBe("an offer")
  })

  it("was outrun by nothing that is younger than it took: then the clock was set back", () => {
    const ahead = [claimed(1, "ours"), state("SCHEDULED", 50)]
    expect(outrunBy(ahead, "ours", 300)).toBe("nothing")
  })
})
