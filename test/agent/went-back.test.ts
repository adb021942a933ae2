import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import type { State } from "../../src/prefect/schemas.ts"
import { startAgent } from "../runs/world/agents.ts"
import { flow } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import {
  attemptOf,
  begin,
  claimState,
  handedBack,
  pid,
  poolName,
  stateAt,
  whereOf,
  type World
} from "../runs/world/world.ts"

const where = whereOf("w1")

/**
 * A run as an older copy of the database has it, after its first attempt; and the live job of its second, which that copy
 * never heard of. Returns that job.
 */
const restored = Effect.fnUntraced(function* (world: World, state: State, stage = "running") {
  const ref = yield* world.addWorkload("w1")
  yield* world.addRun("r1", {
    run_count: 1,
    start_time: new Date(begin).toISOString(),
    infrastructure_pid: pid("w1", "first"),
    history: [claimState("t1", { where })],
    state
  })
  return yield* world.addCommand(ref, "r1", {
    tags: { "prefect.io/attempt": attemptOf("t2", begin + 1_000) },
    stage
  })
})

const saysIt = (world: World, lines: ReadonlyArray<string>) => {
  expect(lines.filter((line) => line.includes("has gone back in time"))).toHaveLength(1)
  expect(world.logOf("r1")).toContain("has gone back in time")
}

/** Runs whose state an agent wrote. */
const writtenByAgents = (world: World) =>
  world.chronicle.of("state").flatMap(({ by, runId }) => (by.startsWith("agent ") ? [runId] : []))

describe("a database that went back to before a job's attempt", () => {
  for (const type of ["FAILED", "COMPLETED", "CRASHED", "CANCELLED", "CANCELLING"]) {
    for (const stage of ["running", "pending"]) {
      scenario(`and has the run ${type} costs no job that is ${stage}, and that is said`, (world) =>
        Effect.gen(function* () {
          const job = yield* restored(world, stateAt(begin, type), stage)
          const agent = yield* startAgent(world, "agent-a")
          yield* pass("20 minutes")
          expect(world.stopped()).toEqual([])
          expect(world.stageOf(job)).toBe(stage)
          expect(writtenByAgents(world)).toEqual([])
          expect(world.run("r1").infrastructure_pid).toBe(pid("w1", "first"))
          saysIt(world, agent.lines)
        })
      )
    }
  }

  for (const [name, state] of [
    ["Suspended", { ...stateAt(begin, "PAUSED"), state_details: { pause_reschedule: true } }],
    ["AwaitingRetry", handedBack("t1", { where, at: begin + 3_600_000 })]
  ] as const) {
    scenario(`and has the run ${name} costs no job`, (world) =>
      Effect.gen(function* () {
        const job = yield* restored(world, state)
        yield* startAgent(world, "agent-a")
        yield* pass("20 minutes")
        expect(world.stopped()).toEqual([])
        expect(world.stageOf(job)).toBe("running")
      })
    )
  }

  scenario("and has the run RUNNING: the job is the run's from then on, and a cancel stops it", (world) =>
    Effect.gen(function* () {
      const job = yield* restored(world, stateAt(begin, "RUNNING"))
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      expect(world.run("r1").infrastructure_pid).toBe(pid("w1", job))
      yield* world.propose("r1", "CANCELLING")
      yield* pass("2 minutes")
      expect(world.stopped()).toEqual([job])
      expect(world.stateOf("r1")).toBe("CANCELLED")
    })
  )

  scenario("and has the run PENDING: the job is the run's from then on", (world) =>
    Effect.gen(function* () {
      const job = yield* restored(world, claimState("t1", { where }))
      const ref = world.platform.workloadOf(job)
      if (ref === undefined) throw new Error("no workload")
      const tags = { "prefect.io/attempt": attemptOf("t1") }
      yield* world.addCommand(ref, "r1", { id: "first", stage: "failed", tags })
      yield* startAgent(world, "agent-a")
      yield* pass("20 minutes")
      expect(writtenByAgents(world)).toEqual([])
      expect(world.run("r1").infrastructure_pid).toBe(pid("w1", job))
      expect(world.stopped()).toEqual([])
    })
  )

  for (const when of ["while the agent runs", "before the agent starts"]) {
    scenario(`and has the run as never started, ${when}: its job is taken over, and no other made`, (world) =>
      Effect.gen(function* () {
        world.usual = flow({ pending: 5, startUp: 5, runs: 900 })
        yield* world.addRun("r1")
        const first = yield* startAgent(world, "agent-a")
        yield* pass("1 minute")
        expect(world.stages("r1")).toEqual(["running"])
        if (when.startsWith("before")) yield* first.kill
        world.prefect.restore(begin)
        const agent = when.startsWith("before") ? yield* startAgent(world, "agent-b") : first
        yield* pass("2 minutes")
        expect(world.stages("r1")).toEqual(["running"])
        expect(world.run("r1").state?.message).toContain("| adopts ")
        saysIt(world, agent.lines)
        yield* pass("20 minutes")
        expect(world.stages("r1")).toEqual(["completed"])
        expect(world.stateOf("r1")).toBe("COMPLETED")
        expect(world.stopped()).toEqual([])
      })
    )
  }

  scenario("and does not know other runs any more costs none of their jobs", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 7_200 })
      for (let n = 1; n <= 12; n++) yield* world.addRun(`old${n}`)
      yield* startAgent(world, "agent-a")
      yield* pass("5 minutes")
      const then = begin + 5 * 60_000 - 1
      for (let n = 1; n <= 2; n++) yield* world.addRun(`new${n}`)
      yield* world.propose("old1", "PAUSED")
      yield* pass("1 minute")
      world.prefect.restore(then)
      yield* pass("25 minutes")
      expect(world.stateOf("new1")).toBe("deleted")
      expect(world.platform.live("new1")).toHaveLength(1)
      expect(world.platform.live("new2")).toHaveLength(1)
    })
  )
})

describe("two servers behind one address", () => {
  scenario("whose answers alternate cost no job", (world) =>
    Effect.gen(function* () {
      // The older copy has the run as it was after its first attempt; the other one runs it again.
      world.usual = flow({ runs: 3_600 })
      yield* world.addWorkload("w1")
      yield* world.addRun("r1", {
        run_count: 1,
        history: [claimState("t0", { where })],
        state: stateAt(begin, "FAILED")
      })
      yield* pass("10 seconds")
      yield* world.propose("r1", "SCHEDULED", { name: "AwaitingRetry" })
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      expect(world.stateOf("r1")).toBe("RUNNING")
      const reads = ["findRuns", "readRun"]
      for (let n = 0; n < 60; n++) {
        const age = 5_000 + 70_000 + n * 20_000
        const other = world.faults.on(({ name }) => reads.includes(name), { kind: "stale", by: age }, 1e9)
        yield* pass("10 seconds")
        other()
        yield* pass("10 seconds")
      }
      expect(world.stopped()).toEqual([])
      expect(world.stages("r1")).toEqual(["running"])
      expect(world.stateOf("r1")).toBe("RUNNING")
    })
  )
})

describe("a pool that was made anew under the same name", () => {
  scenario("is not served, nothing of the old one is stopped, and the agent says so", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 3_600 })
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      world.prefect.delete(begin + 60_000, "r1")
      world.addPool(poolName, "pool-of-a-new-database")
      yield* world.addRun("n1", { work_pool_id: "pool-of-a-new-database" })
      yield* world.addRun("n2", {
        work_pool_id: "pool-of-a-new-database",
        infrastructure_pid: pid("w1", "gone"),
        run_count: 1,
        history: [claimState("t9", { where })],
        state: stateAt(begin, "RUNNING")
      })
      yield* world.addRun("n3", {
        work_pool_id: "pool-of-a-new-database",
        state: stateAt(begin, "CANCELLING")
      })
      yield* pass("40 minutes")
      expect(world.platform.live("r1")).toHaveLength(1)
      expect(world.stages("n1")).toEqual([])
      expect(["n1", "n2"].map(world.stateOf)).toEqual(["SCHEDULED", "RUNNING"])
      expect(writtenByAgents(world)).toEqual(["r1"])
      expect(agent.lines.some((line) => line.includes("was deleted and made anew"))).toBe(true)
    })
  )
})
