import { describe, expect, it } from "@effect/vitest"
import { Redacted } from "effect"
import { Access } from "../../../src/cpln/control-plane.ts"
import type { Command } from "../../../src/cpln/schemas.ts"
import type { FlowRun } from "../../../src/prefect/schemas.ts"
import { blankRun, type RunMemory, type StopMemory } from "../../../src/runs/look/board.ts"
import { decide, type Observation, type Policy } from "../../../src/runs/decide/decide.ts"
import type { Look } from "../../../src/runs/look/look.ts"
import type { Located } from "../../../src/runs/decide/normalise.ts"
import { isQuiet, quietAfter } from "../../../src/runs/reconcile/quiet.ts"
import { org, pid, workload } from "../world/world.ts"

const access = new Access({ endpoint: "http://cpln.test", org, token: Redacted.make("token") })
const command: Command = {
  id: "c1",
  type: "runCronWorkload",
  created: "2026-03-01T00:00:00.000Z",
  lifecycleStage: "running"
}
const located = (of: Command = command): Located => ({
  place: { access, workload: workload("w") },
  command: of,
  at: 0
})
const run: FlowRun = {
  id: "r1",
  name: "n",
  flow_id: "f",
  run_count: 1,
  tags: [],
  state_type: "RUNNING",
  infrastructure_pid: pid("w", "c1")
}
const policy: Policy = {
  settle: 60_000,
  cancelGrace: 20_000,
  linger: 30_000,
  mainLinger: 120_000,
  startTimeout: 900_000,
  deadline: undefined,
  unreportedExit: "COMPLETED"
}
const view = { phase: "running", phaseAge: 60_000, sinceStart: 60_000 } as const
const live: Observation = { _tag: "Live", runner: true, stopWanted: false }

interface Case {
  readonly run?: FlowRun
  readonly looked?: Look
  readonly observation?: Observation
  readonly deadline?: number
  readonly memory?: Partial<RunMemory>
}

const found = (current = located(), strays: ReadonlyArray<Located> = []): Look => ({
  _tag: "Found",
  current,
  strays
})

const quietOf = (given: Case = {}) => {
  const observation = given.observation ?? live
  const used = { ...policy, deadline: given.deadline }
  return quietAfter(
    given.run ?? run,
    given.looked ?? found(),
    { view, observation, policy: used, decision: decide(view, observation, used) },
    { ...blankRun(), deadline: null, ...given.memory },
    1_000
  )
}

describe("a run whose job runs", () => {
  it("is quiet for as long as both rows are those of its last look", () => {
    const memory = { ...blankRun(), quiet: quietOf() }
    expect(isQuiet(memory, run, [located()], 1_000_000_000)).toBe(true)
    expect(isQuiet(memory, { ...run }, [located()], 2_000)).toBe(false)
    expect(isQuiet(memory, run, [located({ ...command })], 2_000)).toBe(false)
  })

  it("is not quiet where another job of it was seen, or none", () => {
    const memory = { ...blankRun(), quiet: quietOf() }
    expect(isQuiet(memory, run, [located(), located({ ...command, id: "c2" })], 2_000)).toBe(false)
    expect(isQuiet(memory, run, [], 2_000)).toBe(false)
    expect(isQuiet(memory, run, undefined, 2_000)).toBe(false)
  })

  it("is quiet until its deadline", () => {
    const memory = { ...blankRun(), quiet: quietOf({ deadline: 100_000 }) }
    expect(isQuiet(memory, run, [located()], 1_000 + 40_000)).toBe(true)
    expect(isQuiet(memory, run, [located()], 1_000 + 40_001)).toBe(false)
  })

  it("is not quiet before it was looked at", () => {
    expect(isQuiet(blankRun(), run, [located()], 2_000)).toBe(false)
  })
})

describe("a run is not quiet", () => {
  const sides = [{ name: "main" }, { name: "side" }]
  const cases: Readonly<Record<string, Case>> = {
    "in another state than RUNNING": { run: { ...run, state_type: "PENDING" } },
    "whose PID names another job": { run: { ...run, infrastructure_pid: pid("w", "c2") } },
    "whose job is not to be found": {
      looked: { _tag: "Absent", gone: false, provenAbsent: false, whose: "ours", strays: [] }
    },
    "with a job of an older attempt": { looked: found(located(), [located({ ...command, id: "c0" })]) },
    "whose side containers may outlive its main one": {
      looked: found(located({ ...command, spec: { containerOverrides: sides } }))
    },
    "whose job is pending": { observation: { _tag: "Pending", age: 0, stopAsked: false } },
    "whose deadline is over": { deadline: 30_000 },
    "whose deadline is not known yet": { memory: { deadline: undefined } },
    "with a stop of ours": {
      memory: { stops: new Map([["c0", {} as StopMemory]]) }
    }
  }
  it.each(Object.entries(cases))("%s", (_, given) => {
    expect(quietOf(given)).toBeUndefined()
  })
})
