import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { startAgent } from "../runs/world/agents.ts"
import { flow } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import {
  attemptOf,
  begin,
  claimState,
  handedBack,
  pid,
  poolId,
  poolName,
  stateAt,
  whereOf,
  type World
} from "../runs/world/world.ts"

const where = whereOf("w1")

/** A run in this state, with a live job of its attempt that no script plays. */
const withJob = Effect.fnUntraced(function* (
  world: World,
  type: string,
  { containers = 1, stage = "running" }: { readonly containers?: number; readonly stage?: string } = {}
) {
  const ref = yield* world.addWorkload("w1")
  const command = yield* world.addCommand(ref, "r1", {
    tags: { "prefect.io/attempt": attemptOf("t1") },
    containers,
    stage
  })
  yield* world.addRun("r1", {
    run_count: 1,
    start_time: new Date(begin).toISOString(),
    infrastructure_pid: pid("w1", command),
    history: [claimState("t1", { where })],
    state: stateAt(begin, type)
  })
  return command
})

const stopAskedAt = (world: World) =>
  world.chronicle.of("job stop asked").map(({ at }) => (at - begin) / 1000)

describe("a job that outlives its run", () => {
  for (const type of ["COMPLETED", "FAILED", "CANCELLED", "CRASHED"]) {
    scenario(`that is ${type} may finish for two minutes, and is then stopped`, (world) =>
      Effect.gen(function* () {
        yield* withJob(world, "RUNNING")
        yield* startAgent(world, "agent-a")
        yield* pass("20 seconds")
        yield* world.propose("r1", type)
        yield* pass("3 minutes")
        expect(stopAskedAt(world)).toHaveLength(1)
        expect(stopAskedAt(world)[0]).toBeGreaterThanOrEqual(140)
        expect(stopAskedAt(world)[0]).toBeLessThan(150)
        expect(world.stateOf("r1")).toBe(type)
        expect(world.prefect.states("r1").at(-1)?.type).toBe(type)
      })
    )
  }

  scenario("and came too late to its start, but ran, may finish like any other", (world) =>
    Effect.gen(function* () {
      world.usual = (job) =>
        Effect.gen(function* () {
          yield* Effect.sleep("200 seconds")
          yield* job.live
          yield* job.report("RUNNING")
          yield* Effect.sleep("60 seconds")
          yield* job.report("COMPLETED")
          yield* Effect.sleep("60 seconds")
          yield* job.end(0)
        })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a", { settings: { startTimeout: "180" } })
      yield* pass("6 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      expect(world.stages("r1")).toEqual(["completed"])
      expect(world.stopped()).toEqual([])
    })
  )

  scenario("in nothing but its side containers has half a minute", (world) =>
    Effect.gen(function* () {
      const command = yield* withJob(world, "RUNNING", { containers: 2 })
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      yield* world.propose("r1", "COMPLETED")
      world.platform.change(begin + 20_000, command, {
        execution: { containers: { "prefect-job": { restarts: { exitCode: 0 } } } }
      })
      yield* pass("1 minute")
      expect(stopAskedAt(world)[0]).toBeGreaterThanOrEqual(50)
      expect(stopAskedAt(world)[0]).toBeLessThan(65)
    })
  )

  scenario("that ends by itself within that time is not stopped", (world) =>
    Effect.gen(function* () {
      const command = yield* withJob(world, "RUNNING")
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      yield* world.propose("r1", "COMPLETED")
      yield* pass("100 seconds")
      yield* world.setStage(command, "completed", 0)
      yield* pass("10 minutes")
      expect(world.stopped()).toEqual([])
    })
  )

  scenario("and has not started yet is stopped at once, so that nothing runs a finished run again", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 60, startUp: 30 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      yield* world.propose("r1", "CANCELLED")
      yield* pass("2 minutes")
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "CANCELLED"])
      expect(world.stages("r1")).toEqual(["cancelled"])
    })
  )

  scenario("and is shown as not started by an answer that is old has its time all the same", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 20, startUp: 1, runs: 10, flush: 600 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("32 seconds")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      world.faults.onCall("find", { kind: "stale", by: 30_000 }, 6)
      yield* pass("1 minute")
      expect(world.stopped()).toEqual([])
      yield* pass("3 minutes")
      expect(world.stopped()).toEqual(["command1"])
    })
  )

  scenario("is found by an agent that was started after both the run's end and its own start", (world) =>
    Effect.gen(function* () {
      const command = yield* withJob(world, "COMPLETED")
      yield* pass("1 hour")
      yield* startAgent(world, "agent-a")
      yield* pass("3 minutes")
      expect(world.stageOf(command)).toBe("cancelled")
    })
  )

  scenario("is asked to stop by one agent of two, and dies once", (world) =>
    Effect.gen(function* () {
      const command = yield* withJob(world, "COMPLETED")
      yield* startAgent(world, "agent-a")
      yield* startAgent(world, "agent-b")
      yield* pass("5 minutes")
      expect(world.stopped()).toEqual([command])
      expect(world.stageOf(command)).toBe("cancelled")
    })
  )

  scenario("is not stopped when the run is run again in that very moment", (world) =>
    Effect.gen(function* () {
      const command = yield* withJob(world, "RUNNING")
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      yield* world.propose("r1", "FAILED")
      yield* pass("115 seconds")
      // Its own engine takes it up again.
      yield* world.propose("r1", "RUNNING")
      yield* pass("10 minutes")
      expect(world.stageOf(command)).toBe("running")
    })
  )
})

describe("jobs beside the current one", () => {
  scenario("of older attempts are stopped, and the newest decides", (world) =>
    Effect.gen(function* () {
      const [w1, w2] = [yield* world.addWorkload("w1"), yield* world.addWorkload("w2")]
      const old = yield* world.addCommand(w1, "r1", {
        tags: { "prefect.io/attempt": attemptOf("t1") },
        created: begin - 60_000
      })
      const current = yield* world.addCommand(w2, "r1", {
        tags: { "prefect.io/attempt": attemptOf("t2", begin + 1) }
      })
      yield* world.addRun("r1", {
        run_count: 1,
        infrastructure_pid: pid("w2", current),
        history: [
          claimState("t1", { where }),
          handedBack("t1", { where }),
          claimState("t2", { where: whereOf("w2"), tryNumber: 2 })
        ],
        state: stateAt(begin, "RUNNING")
      })
      yield* startAgent(world, "agent-a")
      yield* pass("3 minutes")
      expect([world.stageOf(old), world.stageOf(current)]).toEqual(["cancelled", "running"])
      expect(world.stateOf("r1")).toBe("RUNNING")
    })
  )

  scenario("of the same attempt are stopped, but the oldest", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const tags = { "prefect.io/attempt": attemptOf("t1") }
      const second = yield* world.addCommand(ref, "r1", { tags, created: begin + 2_000, id: "aaa" })
      const first = yield* world.addCommand(ref, "r1", { tags, created: begin + 1_000, id: "bbb" })
      yield* world.addRun("r1", { state: claimState("t1", { where }) })
      yield* startAgent(world, "agent-a")
      yield* pass("2 minutes")
      expect([world.stageOf(first), world.stageOf(second)]).toEqual(["running", "cancelled"])
      expect(world.run("r1").infrastructure_pid).toBe(pid("w1", first))
    })
  )

  scenario("that a claim took over belong to the claim, not to the attempt that made them", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const adopted = yield* world.addCommand(ref, "r1", {
        tags: { "prefect.io/attempt": attemptOf("t1") }
      })
      yield* world.addRun("r1", {
        infrastructure_pid: pid("w1", adopted),
        history: [claimState("t1", { where }), handedBack("t1", { where })],
        state: claimState("t2", { where, tryNumber: 2, adopts: adopted })
      })
      yield* startAgent(world, "agent-a")
      yield* pass("2 minutes")
      yield* world.propose("r1", "RUNNING")
      yield* pass("5 minutes")
      expect(world.stageOf(adopted)).toBe("running")
      expect(world.stateOf("r1")).toBe("RUNNING")
    })
  )

  scenario("that live on are no reason to judge the newest, which is over", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const old = yield* world.addCommand(ref, "r1", {
        tags: { "prefect.io/attempt": attemptOf("t1") }
      })
      const current = yield* world.addCommand(ref, "r1", {
        stage: "failed",
        tags: { "prefect.io/attempt": attemptOf("t2", begin + 1) }
      })
      yield* world.addRun("r1", {
        run_count: 1,
        infrastructure_pid: pid("w1", current),
        history: [
          claimState("t1", { where }),
          handedBack("t1", { where }),
          claimState("t2", { where, tryNumber: 2 })
        ],
        state: stateAt(begin, "RUNNING")
      })
      yield* startAgent(world, "agent-a")
      yield* pass("3 minutes")
      expect(world.stageOf(old)).toBe("cancelled")
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.run("r1").state?.message).toContain(current)
    })
  )

  scenario("of other pools, and of other programs, are left alone", (world) =>
    Effect.gen(function* () {
      world.addPool("theirs", "their-pool-id")
      const ref = yield* world.addWorkload("w1")
      const ours = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
      yield* world.addRun("r1", {
        run_count: 1,
        infrastructure_pid: pid("w1", ours),
        history: [claimState("t1", { where })],
        state: stateAt(begin, "RUNNING")
      })
      const theirs = yield* world.addCommand(ref, "r2", {
        tags: { "prefect.io/work-pool-id": "their-pool-id", "cpln/prefectAgent": "theirs" }
      })
      yield* world.addRun("r2", { work_pool_id: "their-pool-id", state: stateAt(begin, "COMPLETED") })
      const unknown = yield* world.addCommand(ref, "r3", {
        tags: { "prefect.io/work-pool-id": "their-pool-id" }
      })
      yield* startAgent(world, "agent-a")
      yield* pass("30 minutes")
      expect([ours, theirs, unknown].map(world.stageOf)).toEqual(["running", "running", "running"])
      expect(world.stateOf("r2")).toBe("COMPLETED")
    })
  )
})

describe("a job of a finished run", () => {
  scenario("of another pool is left alone, though it carries no pool's tag", (world) =>
    Effect.gen(function* () {
      world.addPool("theirs", "their-pool-id")
      const ref = yield* world.addWorkload("w1")
      yield* withOther(world)
      const theirs = yield* world.addCommand(ref, "r2")
      const made = world.platform.command(theirs)
      Object.assign(made ?? {}, { tags: { "prefect.io/flow-run-id": "r2", "cpln/prefectAgent": "theirs" } })
      yield* world.addRun("r2", {
        work_pool_id: "their-pool-id",
        infrastructure_pid: pid("w1", theirs),
        state: stateAt(begin, "COMPLETED")
      })
      yield* startAgent(world, "agent-a")
      yield* pass("30 minutes")
      expect(world.stageOf(theirs)).toBe("running")
    })
  )

  scenario("that carries another pool's tag is left alone, though the run's id is one of ours", (world) =>
    Effect.gen(function* () {
      // As where a database was copied: two servers know the run, and one of them has it still running.
      const ref = yield* world.addWorkload("w1")
      const theirs = yield* world.addCommand(ref, "r1", {
        tags: { "prefect.io/work-pool-id": "pool-of-the-copy", "prefect.io/attempt": attemptOf("t1") }
      })
      yield* world.addRun("r1", {
        run_count: 1,
        history: [claimState("t1", { where })],
        state: stateAt(begin, "COMPLETED")
      })
      yield* withOther(world)
      yield* startAgent(world, "agent-a")
      yield* pass("30 minutes")
      expect(world.stageOf(theirs)).toBe("running")
    })
  )
})

/** A live run in the same workload, so that it is looked into. */
const withOther = Effect.fnUntraced(function* (world: World) {
  const [ref] = [...world.platform.workloads.values()].map((each) => each.ref)
  if (ref === undefined) throw new Error("no workload")
  const command = yield* world.addCommand(ref, "other", { tags: { "prefect.io/attempt": attemptOf("t9") } })
  yield* world.addRun("other", {
    run_count: 1,
    infrastructure_pid: pid("w1", command),
    history: [claimState("t9", { where })],
    state: stateAt(begin, "RUNNING")
  })
})

describe("a run that was deleted", () => {
  scenario("has its job stopped, after two reads at least 30 s apart", (world) =>
    Effect.gen(function* () {
      const command = yield* withJob(world, "RUNNING")
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      world.prefect.delete(begin + 20_000, "r1")
      yield* pass("28 seconds")
      expect(world.stopped()).toEqual([])
      yield* pass("1 minute")
      expect(world.stopped()).toEqual([command])
      expect(stopAskedAt(world)[0]).toBeGreaterThanOrEqual(50)
    })
  )

  scenario("with its whole pool has its job left alone", (world) =>
    Effect.gen(function* () {
      const command = yield* withJob(world, "RUNNING")
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      world.prefect.delete(begin + 20_000, "r1")
      world.prefect.pools.delete(poolName)
      yield* pass("30 minutes")
      expect(world.stageOf(command)).toBe("running")
    })
  )

  scenario("in a database where the pool of our name is another one has its job left alone", (world) =>
    Effect.gen(function* () {
      const command = yield* withJob(world, "RUNNING")
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      world.prefect.delete(begin + 20_000, "r1")
      world.addPool(poolName, "pool-of-a-new-database")
      yield* pass("30 minutes")
      expect(world.stageOf(command)).toBe("running")
    })
  )

  scenario("for a moment only, as by a server behind another, has its job left alone", (world) =>
    Effect.gen(function* () {
      const command = yield* withJob(world, "RUNNING")
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      for (let n = 0; n < 8; n++) {
        const back = world.faults.on(
          (call) => call.name === "readRun" || call.name === "findRuns",
          { kind: "stale", by: 1e12 },
          1e9
        )
        yield* pass("20 seconds")
        back()
        yield* pass("20 seconds")
      }
      expect(world.stageOf(command)).toBe("running")
      expect(world.stateOf("r1")).toBe("RUNNING")
    })
  )

  scenario("while Prefect does not answer is not concluded", (world) =>
    Effect.gen(function* () {
      const command = yield* withJob(world, "RUNNING")
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      world.faults.outage("Prefect")
      yield* pass("30 minutes")
      expect(world.stageOf(command)).toBe("running")
    })
  )

  scenario("whose job carries no pool of ours is left to whoever made it", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const ours = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
      yield* world.addRun("r1", {
        run_count: 1,
        infrastructure_pid: pid("w1", ours),
        history: [claimState("t1", { where })],
        state: stateAt(begin, "RUNNING")
      })
      const foreign = yield* world.addCommand(ref, "no such run", {
        tags: { "prefect.io/work-pool-id": `${poolId}-of-another-server` }
      })
      yield* startAgent(world, "agent-a")
      yield* pass("10 minutes")
      expect(world.stageOf(foreign)).toBe("running")
    })
  )
})

describe("an answer that is old", () => {
  scenario("about a job that would not start does not stop it once its run is in it", (world) =>
    Effect.gen(function* () {
      // From the start timeout on a stop is wanted, and there is no replica; then it starts, and the lists lag behind.
      world.usual = flow({ pending: 210, startUp: 1, runs: 120 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a", { settings: { startTimeout: "180" } })
      yield* pass("208 seconds")
      expect(world.stages("r1")).toEqual(["pending"])
      const over = world.faults.on(
        ({ name }) => name === "findRuns" || name === "find",
        { kind: "stale", by: 30_000 },
        1e9
      )
      yield* pass("25 seconds")
      expect(world.stateOf("r1")).toBe("RUNNING")
      over()
      yield* pass("5 minutes")
      expect(world.stopped()).toEqual([])
      expect(world.stateOf("r1")).toBe("COMPLETED")
    })
  )

  scenario("about a run whose PID is to be put right costs nobody's tags", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const command = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
      yield* world.addRun("r1", {
        run_count: 1,
        infrastructure_pid: null,
        history: [claimState("t1", { where })],
        state: stateAt(begin, "RUNNING")
      })
      yield* pass("30 seconds")
      world.faults.on(({ name }) => name === "findRuns", { kind: "stale", by: 20_000 }, 1e9)
      yield* world.change("r1", { tags: ["of-a-person"] })
      yield* startAgent(world, "agent-a")
      yield* pass("15 seconds")
      expect(world.run("r1").infrastructure_pid).toBe(pid("w1", command))
      expect(world.run("r1").tags).toContain("of-a-person")
    })
  )

  scenario("about a run that is run again does not stop its fresh job", (world) =>
    Effect.gen(function* () {
      // FAILED for hours; somebody retries it; for a minute the bulk answers still say FAILED.
      yield* world.addWorkload("w1")
      yield* world.addRun("r1", {
        run_count: 1,
        history: [claimState("t0", { where })],
        state: stateAt(begin, "FAILED")
      })
      world.usual = flow({ pending: 20, startUp: 20, runs: 200 })
      yield* startAgent(world, "agent-a")
      yield* pass("10 minutes")
      yield* world.propose("r1", "SCHEDULED", { name: "AwaitingRetry" })
      yield* pass("4 seconds")
      expect(world.stages("r1")).toEqual(["pending"])
      world.faults.on((call) => call.name === "findRuns", { kind: "stale", by: 60_000 }, 30)
      yield* pass("1 minute")
      expect(world.stopped()).toEqual([])
      yield* pass("6 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
    })
  )

  scenario("about a handed-back run does not stop the job that its next attempt has just started", (world) =>
    Effect.gen(function* () {
      yield* world.addWorkload("w1")
      yield* world.addRun("r1", {
        run_count: 1,
        due: begin + 10 * 60_000,
        history: [claimState("t0", { where })],
        state: handedBack("t0", { where })
      })
      world.usual = flow({ pending: 15, startUp: 100, runs: 200 })
      yield* startAgent(world, "agent-a")
      yield* startAgent(world, "agent-b")
      yield* pass("10 minutes")
      world.faults.on((call) => call.name === "findRuns", { kind: "stale", by: 40_000 }, 60)
      yield* pass("3 minutes")
      expect(world.stages("r1")).toHaveLength(1)
      expect(world.stopped()).toEqual([])
    })
  )

  scenario("about jobs does not make a second one, nor an end", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 10, runs: 120 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      world.faults.on(
        (call) => call.name === "find" || call.name === "get",
        { kind: "stale", by: 20_000 },
        1e9
      )
      yield* pass("5 minutes")
      expect(world.stages("r1")).toEqual(["completed"])
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"])
    })
  )
})

describe("a database that was restored", () => {
  scenario("to an hour ago costs no live job", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 7_200 })
      yield* world.addRun("r1", { due: begin })
      yield* startAgent(world, "agent-a")
      yield* pass("5 minutes")
      yield* world.addRun("r2")
      yield* pass("5 minutes")
      world.prefect.restore(begin + 60_000)
      yield* pass("10 minutes")
      expect(world.platform.live("r1")).toHaveLength(1)
      expect(world.stateOf("r1")).toBe("RUNNING")
    })
  )
})
