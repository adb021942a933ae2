import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { startAgent } from "../runs/world/agents.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import { begin, pid, poolId, stateAt, type World } from "../runs/world/world.ts"

const theirs = "/org/acme/gvc/dev/workload/python-agent"

/** A run that the Python agent started, with its live job: no pool, no attempt, no claim; a PID of four parts. */
const ofPython = Effect.fnUntraced(function* (
  world: World,
  type: string,
  more: {
    readonly stage?: string
    readonly agent?: string
    readonly pool?: string
    readonly pid?: string
  } = {}
) {
  const ref = yield* world.addWorkload("daily-report", { "prefect.io/work-pool-id": undefined as never })
  const command = yield* world.addCommand(ref, "r1", {
    stage: more.stage ?? "running",
    tags: {
      "prefect.io/work-pool-id": undefined as never,
      "cpln/prefectAgent": more.agent ?? theirs
    }
  })
  yield* world.addRun("r1", {
    run_count: 1,
    work_pool_id: more.pool ?? poolId,
    infrastructure_pid: more.pid ?? pid("daily-report", command),
    state: stateAt(begin, type),
    ...(type === "PENDING" ? {} : { start_time: new Date(begin).toISOString() })
  })
  return command
})

const adopting = { settings: { adopt: `/org/acme/gvc/dev/workload/other,${theirs}` } }
const writtenByAgents = (world: World) =>
  world.chronicle.of("state").filter(({ by }) => by.startsWith("agent "))

describe("a run of the Python agent", () => {
  for (const [name, options] of [
    ["in whose place this one runs, under the same link,", { link: theirs }],
    ["that is taken over with --adopt-agent", adopting]
  ] as const) {
    scenario(`${name} is cancelled as one of ours`, (world) =>
      Effect.gen(function* () {
        const job = yield* ofPython(world, "RUNNING")
        yield* startAgent(world, "agent-a", options)
        yield* pass("30 seconds")
        yield* world.propose("r1", "CANCELLING")
        yield* pass("1 minute")
        expect(world.stopped()).toEqual([job])
        expect(world.stateOf("r1")).toBe("CANCELLED")
      })
    )

    scenario(`${name} is CRASHED when its job is gone`, (world) =>
      Effect.gen(function* () {
        const job = yield* ofPython(world, "RUNNING")
        yield* startAgent(world, "agent-a", options)
        yield* pass("30 seconds")
        yield* world.vanish(job)
        yield* pass("3 minutes")
        expect(world.stateOf("r1")).toBe("RUNNING")
        yield* pass("3 minutes")
        expect(world.stateOf("r1")).toBe("CRASHED")
      })
    )

    scenario(`${name} is not stopped where the database went back to before its job`, (world) =>
      Effect.gen(function* () {
        yield* pass("10 seconds")
        const job = yield* ofPython(world, "FAILED", { pid: pid("daily-report", "an-earlier-one") })
        yield* startAgent(world, "agent-a", options)
        yield* pass("20 minutes")
        expect(world.stageOf(job)).toBe("running")
      })
    )
  }

  scenario("that is PENDING is CRASHED when its job failed, and never handed back when it is gone", (world) =>
    Effect.gen(function* () {
      const job = yield* ofPython(world, "PENDING", { stage: "pending" })
      yield* startAgent(world, "agent-a", adopting)
      yield* pass("1 minute")
      yield* world.vanish(job)
      yield* pass("4 minutes")
      expect(writtenByAgents(world)).toEqual([])
      yield* pass("3 minutes")
      expect(world.types("r1")).toEqual(["PENDING", "CRASHED"])
    })
  )

  scenario("that is PENDING and does not start in time is stopped, and CRASHED", (world) =>
    Effect.gen(function* () {
      const job = yield* ofPython(world, "PENDING", { stage: "pending" })
      world.platform.change(begin, job, { replica: `command-${job}-replica` })
      yield* startAgent(world, "agent-a", adopting)
      yield* pass("17 minutes")
      expect(world.stopped()).toEqual([job])
      expect(world.stateOf("r1")).toBe("CRASHED")
    })
  )
})

describe("a run of a Python agent that goes on beside this one", () => {
  scenario("is CRASHED when its job failed and it said nothing", (world) =>
    Effect.gen(function* () {
      const job = yield* ofPython(world, "RUNNING")
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      yield* world.setStage(job, "failed", 1)
      yield* pass("1 minute")
      expect(world.stateOf("r1")).toBe("CRASHED")
    })
  )

  scenario("has its job stopped once it is over, and not before", (world) =>
    Effect.gen(function* () {
      const job = yield* ofPython(world, "RUNNING")
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("4 minutes")
      expect(world.stopped()).toEqual([])
      yield* world.propose("r1", "CANCELLED")
      yield* pass("4 minutes")
      expect(world.stopped()).toEqual([job])
    })
  )

  scenario("and of another pool keeps its job", (world) =>
    Effect.gen(function* () {
      world.addPool("theirs", "their-pool-id")
      const job = yield* ofPython(world, "COMPLETED", { pool: "their-pool-id" })
      const own = yield* world.addCommand(
        world.platform.workloadOf(job) ?? (yield* world.addWorkload("none")),
        "r2",
        {}
      )
      yield* world.addRun("r2", {
        infrastructure_pid: pid("daily-report", own),
        state: stateAt(begin, "RUNNING")
      })
      yield* startAgent(world, "agent-a")
      yield* pass("20 minutes")
      expect(world.stageOf(job)).toBe("running")
    })
  )

  scenario("is not judged by the absence of its job", (world) =>
    Effect.gen(function* () {
      const job = yield* ofPython(world, "RUNNING")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      yield* world.vanish(job)
      yield* pass("40 minutes")
      expect(writtenByAgents(world)).toEqual([])
      expect(agent.lines.filter((line) => line.includes("no job of this run can be found"))).toHaveLength(1)
    })
  )
})

describe("--adopt-agent", () => {
  scenario("tells once what it takes over, and where there is nothing of that text", (world) =>
    Effect.gen(function* () {
      yield* ofPython(world, "RUNNING")
      const agent = yield* startAgent(world, "agent-a", adopting)
      yield* pass("20 minutes")
      expect(agent.lines.filter((line) => line.includes("--adopt-agent"))).toEqual([
        expect.stringMatching(
          /^\[CPLN\] Init > --adopt-agent \/org\/acme\/gvc\/dev\/workload\/other: .*nothing to take over/u
        ),
        `[CPLN] Init > --adopt-agent ${theirs}: 1 live job of it followed as our own.`
      ])
    })
  )

  scenario("waits with that for a look that saw everything", (world) =>
    Effect.gen(function* () {
      yield* ofPython(world, "RUNNING")
      world.faults.onCall("find", { kind: "slow", before: 0, after: 20_000 }, 1)
      const agent = yield* startAgent(world, "agent-a", adopting)
      yield* pass("20 minutes")
      expect(agent.lines.filter((line) => line.includes("1 live job of it followed"))).toHaveLength(1)
    })
  )
})

describe("a run of the older worker, whose PID has three parts", () => {
  for (const type of ["PENDING", "RUNNING", "CANCELLING", "PAUSED", "COMPLETED"]) {
    scenario(`is left to it while it is ${type}`, (world) =>
      Effect.gen(function* () {
        const job = yield* ofPython(world, type, { pid: "acme:dev:daily-report", agent: "worker" })
        // A run of ours in the same workload, so that it is looked into.
        const ref = world.platform.workloadOf(job)
        if (ref === undefined) throw new Error("no workload")
        const own = yield* world.addCommand(ref, "r2", {})
        yield* world.addRun("r2", {
          infrastructure_pid: pid("daily-report", own),
          state: stateAt(begin, "RUNNING")
        })
        yield* startAgent(world, "agent-a")
        yield* pass("20 minutes")
        expect(world.stopped()).toEqual([])
        expect(writtenByAgents(world)).toEqual([])
        expect(world.run("r1").infrastructure_pid).toBe("acme:dev:daily-report")
      })
    )
  }
})
