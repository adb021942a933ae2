import { describe, expect, it } from "@effect/vitest"
import type { Command } from "../../scripts/local/control-plane.ts"
import type { FlowRun, State } from "../../scripts/local/prefect-server.ts"
import { audit, leaks, type Recorded } from "../e2e/chaos/audit.ts"

const terms = { settle: 10_000, linger: 30_000 }
const time = (second: number) => new Date(Date.parse("2026-03-01T04:00:00Z") + second * 1000).toISOString()
const derived = "1b4e28ba-2fa1-51d2-883f-0016d3cca427"

const state = (second: number, type: string, more: Partial<State> = {}): State => ({
  id: `${type}-${second}`,
  type,
  name: type,
  timestamp: time(second),
  message: null,
  state_details: {},
  ...more
})
const byAgent = { state_details: { transition_id: derived } }

const job = (from: number, to: number, lifecycleStage = "completed"): Command => ({
  id: `job-${from}`,
  type: "runCronWorkload",
  lifecycleStage,
  created: time(from),
  lastModified: time(to),
  spec: { location: "aws-us-west-2" }
})

const record = (states: ReadonlyArray<State>, commands: ReadonlyArray<Command>): Recorded => {
  const last = states.at(-1)
  return {
    run: {
      id: "r1",
      infrastructure_pid: null,
      state_type: last?.type,
      state_name: last?.name,
      state: last
    } as FlowRun,
    states,
    commands,
    executions: new Map()
  }
}

const broken = (states: ReadonlyArray<State>, commands: ReadonlyArray<Command>) =>
  audit(record(states, commands), terms).map(({ promise }) => promise)

describe("the audit of the chaos tests", () => {
  it("finds nothing wrong with a run that its engine finished", () => {
    expect(broken([state(0, "SCHEDULED"), state(1, "RUNNING"), state(5, "COMPLETED")], [job(1, 6)])).toEqual(
      []
    )
  })

  it("finds a run that never ends, and a job that is left", () => {
    expect(broken([state(1, "RUNNING")], [job(1, 2, "running")])).toEqual([
      "every run is terminal",
      "no job is left"
    ])
  })

  it("finds an agent that changes a terminal state", () => {
    const states = [state(5, "COMPLETED"), state(9, "CRASHED", byAgent)]
    expect(broken(states, [job(1, 6)])).toContain("no agent changes a terminal state")
    const claimed = state(9, "PENDING", { message: "Claimed by a | attempt x | y | try 1" })
    expect(broken([state(5, "COMPLETED"), claimed, state(12, "COMPLETED")], [job(1, 6)])).toEqual([
      "no agent changes a terminal state"
    ])
  })

  it("lets a cancel by force open a run that was over, and judges what comes then", () => {
    const reopened = [state(5, "COMPLETED"), state(8, "CANCELLING")]
    const cancelled = state(9, "CANCELLED", byAgent)
    expect(broken([...reopened, cancelled], [job(1, 6)])).toEqual([])
    expect(broken([...reopened, cancelled], [job(1, 11)])).toEqual([
      "CANCELLED is written when the job is over"
    ])
    expect(broken([...reopened, cancelled, state(11, "CRASHED", byAgent)], [job(1, 6)])).toEqual([
      "no agent changes a terminal state"
    ])
    const swapped = [state(5, "CANCELLING"), state(6, "COMPLETED")]
    expect(broken([...swapped, cancelled], [job(1, 7)])).toEqual([])
  })

  it("finds CANCELLED that was written while the job ran, and CANCELLED that nobody asked for", () => {
    const states = [state(2, "CANCELLING"), state(5, "CANCELLED", byAgent)]
    expect(broken(states, [job(1, 8, "failed")])).toEqual(["CANCELLED is written when the job is over"])
    expect(broken([state(5, "CANCELLED", byAgent)], [job(1, 4, "failed")])).toEqual([
      "CANCELLED needs somebody who cancelled"
    ])
  })

  it("finds COMPLETED without a report of a job that failed", () => {
    expect(broken([state(9, "COMPLETED", byAgent)], [job(1, 4, "failed")])).toEqual([
      "without a report COMPLETED needs a job that completed"
    ])
  })

  it("finds a PID that names no command of the newest attempt", () => {
    const states = [state(1, "RUNNING"), state(30, "COMPLETED")]
    const of = (attempt: string, command: Command) => ({
      ...command,
      tags: { "prefect.io/attempt": attempt }
    })
    const jobs = [of("1_a", job(1, 4, "failed")), of("2_b", job(6, 31))]
    const withPid = (pid: string | null, more: ReadonlyArray<State> = []) => {
      const found = record([...more, ...states], jobs)
      return audit({ ...found, run: { ...found.run, infrastructure_pid: pid } }, terms)
    }
    expect(withPid(null)).toEqual([])
    expect(withPid("o:g:w:job-6")).toEqual([])
    expect(withPid("o:g:w:job-1").map(({ promise }) => promise)).toEqual([
      "the PID names a command of the newest attempt"
    ])
    expect(withPid("o:g:w:job-1", [state(0, "PENDING", { message: "x | adopts job-1" })])).toEqual([])
  })

  it("finds a secret that is said, and does not say it again", () => {
    expect(leaks(["all is well", "the token abc is refused"], ["abc", "xyz"])).toEqual(["the token …"])
  })

  it("finds two jobs at once, and one that outlives its run", () => {
    const states = [state(1, "RUNNING"), state(30, "COMPLETED")]
    expect(broken(states, [job(1, 30), job(5, 31)])).toEqual(["one command lives at a time"])
    expect(broken(states, [job(1, 90)])).toEqual(["no job outlives its run"])
  })
})
