import { describe, expect, it } from "@effect/vitest"
import { nextChange } from "../../../src/runs/decide/next-change.ts"
import type { Policy } from "../../../src/runs/decide/decide.ts"

const policy: Policy = {
  settle: 60_000,
  cancelGrace: 20_000,
  linger: 30_000,
  mainLinger: 120_000,
  startTimeout: 900_000,
  deadline: undefined,
  unreportedExit: "COMPLETED"
}
const exit = { code: 0, text: "exit code 0" }
const running = { phase: "running", phaseAge: 100_000, sinceStart: 100_000 } as const

describe("the next change by time alone", () => {
  it("is the end of the settle time for a job that ended without a report", () => {
    const seen = { _tag: "Final", stage: "completed", looks: 0, age: 25_000, exit, stopAsked: false } as const
    expect(nextChange(running, seen, policy)).toMatchObject({
      after: 35_000,
      decision: { _tag: "Propose", state: "COMPLETED" }
    })
  })

  it("is the deadline for a job that runs, and nothing without one", () => {
    const seen = { _tag: "Live", runner: true, stopWanted: false } as const
    expect(nextChange(running, seen, policy)).toBeUndefined()
    expect(nextChange(running, seen, { ...policy, deadline: 3_600_000 })).toMatchObject({
      after: 3_500_001,
      decision: { _tag: "Stop" }
    })
  })

  it("is the start timeout for one that does not start, then its second one", () => {
    const pending = { phase: "pending", phaseAge: 0, sinceStart: undefined } as const
    const seen = (age: number) => ({ _tag: "Pending", age, stopAsked: false }) as const
    expect(nextChange(pending, seen(60_000), policy)).toMatchObject({
      after: 840_000,
      decision: { _tag: "Stop" }
    })
    expect(nextChange(pending, seen(1_000_000), policy)).toMatchObject({
      after: 800_000,
      decision: { _tag: "Propose", state: "CRASHED" }
    })
  })

  it("is the end of the grace for a runner that cancels itself", () => {
    const seen = { _tag: "Live", runner: true, stopWanted: false } as const
    const cancelling = { phase: "cancelling", phaseAge: 5_000, sinceStart: 100_000 } as const
    expect(nextChange(cancelling, seen, policy)).toMatchObject({ after: 15_000, decision: { _tag: "Stop" } })
  })

  it("is none where only another look can tell", () => {
    const seen = { _tag: "Absent", gone: false, provenAbsent: false, whose: "ours" } as const
    expect(nextChange(running, seen, { ...policy, deadline: 3_600_000 })).toBeUndefined()
  })
})
