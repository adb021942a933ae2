import { describe, expect, it } from "@effect/vitest"
import { account, type Known } from "../../src/explain/account.ts"
import type { Sight } from "../../src/explain/look-now.ts"
import type { FlowRun } from "../../src/prefect/schemas.ts"
import { blankRun } from "../../src/runs/look/board.ts"
import { decide, type Observation } from "../../src/runs/decide/decide.ts"
import { viewOf } from "../../src/runs/decide/phase.ts"
import { makeFlight } from "../../src/runs/flight/flight.ts"

const begin = Date.UTC(2026, 10, 25)
const policy = {
  settle: 60_000,
  cancelGrace: 20_000,
  linger: 30_000,
  mainLinger: 120_000,
  startTimeout: 900_000,
  deadline: undefined,
  unreportedExit: "COMPLETED" as const
}
const settings = {
  ...policy,
  agentLink: "agent-a",
  pool: "cpln",
  server: { line: "3" as const, text: "3.8.8" }
}

const runIn = (type: string, name: string, details: NonNullable<FlowRun["state"]>["state_details"] = {}) => ({
  id: "r1",
  name: "light-falcon",
  flow_id: "f",
  run_count: 1,
  tags: [],
  work_pool_name: "cpln",
  state_id: "s1",
  state_type: type,
  state_name: name,
  state: { type, name, timestamp: new Date(begin).toISOString(), state_details: details }
})
const suspended = runIn("PAUSED", "Suspended", { pause_reschedule: true })
const running = runIn("RUNNING", "Running")

/** Nobody ever claimed it, and no job is there. */
const nobodys: Observation = { _tag: "Absent", gone: false, provenAbsent: false, whose: "nobody" }

const judged = (run: FlowRun) => {
  const view = viewOf(run, begin, false)
  return { view, observation: nobodys, policy, decision: decide(view, nobodys, policy) }
}

/** What stands under "Now" for somebody who looks from outside, and for one whom the running agent told. */
const nowOf = (run: FlowRun, by: "outside" | "agent"): string => {
  const judgement = judged(run)
  const flight = makeFlight()
  flight.note({
    ...judgement,
    now: begin,
    seen: { value: run, at: begin },
    ours: false,
    looked: { _tag: "Absent", gone: false, provenAbsent: false, whose: "nobody", strays: [] },
    job: undefined,
    memory: blankRun(),
    settings
  })
  const sight: Sight = { run, flow: "etl", pool: undefined, states: [], jobs: [], hidden: [], judgement }
  const known: Known = {
    runId: run.id,
    now: begin + 5_000,
    ...(by === "agent" ? { sight: undefined, record: flight.record(run.id) } : { sight, record: undefined })
  }
  return account(known).split("\nNow\n")[1] ?? ""
}

describe("the account of a run of which nothing is to be done", () => {
  it("says so in whole sentences where the run needs no job", () => {
    expect(nowOf(suspended, "outside")).toContain("would leave it: nothing is left to do.")
    expect(nowOf(suspended, "agent")).toContain("decided to leave it: nothing is left to do.")
  })

  it("says so in whole sentences where a person should know why", () => {
    const why = "no job of this run can be found, and no claim says where it was"
    expect(nowOf(running, "outside")).toContain(`would say this and do nothing: ${why}.`)
    expect(nowOf(running, "agent")).toContain(`decided to say this and do nothing: ${why}.`)
  })
})
