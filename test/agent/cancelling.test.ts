import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { startAgent } from "../runs/world/agents.ts"
import { broken, livesOf } from "../runs/world/audit.ts"
import { flow, type Script, stuck } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import { attemptOf, begin, claimState, pid, stateAt, whereOf, type World } from "../runs/world/world.ts"

const where = whereOf("w1")

/** A run with a live job that no script plays, about which the options say what is known. */
const running = Effect.fnUntraced(function* (
  world: World,
  {
    infrastructurePid,
    claimed = true,
    args
  }: {
    readonly infrastructurePid?: (commandId: string) => string | null
    readonly claimed?: boolean
    readonly args?: ReadonlyArray<string>
  } = {}
) {
  const ref = yield* world.addWorkload("w1")
  const command = yield* world.addCommand(ref, "r1", {
    tags: { "prefect.io/attempt": attemptOf("t1") },
    ...(args === undefined ? {} : { args })
  })
  yield* world.addRun("r1", {
    run_count: 1,
    start_time: new Date(begin).toISOString(),
    infrastructure_pid: (infrastructurePid ?? ((id: string) => pid("w1", id)))(command),
    history: claimed ? [claimState("t1", { where })] : [],
    state: stateAt(begin, "RUNNING")
  })
  return command
})

const cancelledAt = (world: World, runId: string) => {
  const state = world.prefect.states(runId).find(({ type }) => type === "CANCELLED")
  return state === undefined ? undefined : (Date.parse(state.timestamp) - begin) / 1000
}

const stopAskedAt = (world: World) =>
  world.chronicle.of("job stop asked").map(({ at }) => (at - begin) / 1000)

describe("a run that was cancelled before it ever started, and is cancelled by force once more", () => {
  scenario("is CANCELLED soon, however many they are: none had a job that could be missed", (world) =>
    Effect.gen(function* () {
      yield* running(world)
      const others = ["r2", "r3", "r4", "r5"]
      yield* Effect.forEach(others, (id) => world.addRun(id, { due: begin + 3_600_000 }))
      yield* startAgent(world, "agent-a")
      yield* pass("10 seconds")
      for (const id of others) {
        yield* world.propose(id, "CANCELLING")
        expect(world.stateOf(id)).toBe("CANCELLED")
        yield* world.propose(id, "CANCELLING", { force: true })
        expect(world.stateOf(id)).toBe("CANCELLING")
      }
      yield* pass("2 minutes")
      expect(others.map(world.stateOf)).toEqual(others.map(() => "CANCELLED"))
      expect(world.stateOf("r1")).toBe("RUNNING")
    })
  )
})

describe("a cancelled run", () => {
  // At some of these times a cycle holds a list from before the cancel, and looks at it after the cancel watch did.
  for (const after of [31, 34, 37, 40, 43]) {
    scenario(
      `has its job stopped in time, whatever a slow cycle looks at (cancelled after ${after} s)`,
      (world) =>
        Effect.gen(function* () {
          const command = yield* running(world)
          world.faults.onCall("find", { kind: "slow", before: 0, after: 9_000 }, 1e9)
          yield* startAgent(world, "agent-a")
          yield* pass(`${after} seconds`)
          yield* world.propose("r1", "CANCELLING")
          yield* pass("30 seconds")
          expect(world.stopped()).toEqual([command])
          expect((stopAskedAt(world)[0] ?? 0) - after).toBeLessThan(25)
        })
    )
  }

  scenario("whose state was seen to go back and forth has its job stopped once that is over", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 600 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("60 seconds")
      expect(world.stateOf("r1")).toBe("RUNNING")
      const [, pending] = world.prefect.states("r1")
      expect(pending?.type).toBe("PENDING")
      const current = world.faults.on(
        ({ name }) => name === "findRuns",
        { kind: "stale", by: begin + 62_000 - Date.parse(pending?.timestamp ?? "") },
        1e9
      )
      yield* pass("6 seconds")
      yield* world.propose("r1", "CANCELLING", { force: true })
      current()
      yield* pass("20 seconds")
      expect(world.stopped()).toEqual([])
      yield* pass("30 seconds")
      expect(world.stopped()).toEqual(["command1"])
      expect(world.stateOf("r1")).toBe("CANCELLED")
    })
  )

  scenario("whose runner hears of it is left to the runner", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 600, hearsCancel: 10 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      yield* world.propose("r1", "CANCELLING", { force: true })
      yield* pass("2 minutes")
      expect(world.stopped()).toEqual([])
      expect(world.stages("r1")).toEqual(["completed"])
      expect(world.run("r1").state?.message).toBe("cancelled by the runner")
    })
  )

  scenario(
    "whose runner is deaf has its job stopped after the grace, and is CANCELLED when it is over",
    (world) =>
      Effect.gen(function* () {
        world.usual = flow({ runs: 600 })
        world.stopping.grace = 40
        yield* world.addRun("r1")
        yield* startAgent(world, "agent-a")
        yield* pass("30 seconds")
        yield* world.propose("r1", "CANCELLING", { force: true })
        yield* pass("19 seconds")
        expect(world.stopped()).toEqual([])
        yield* pass("5 seconds")
        expect(world.stopped()).toEqual(["command1"])
        yield* pass("30 seconds")
        expect(world.stateOf("r1")).toBe("CANCELLING")
        yield* pass("15 seconds")
        expect(world.stateOf("r1")).toBe("CANCELLED")
        expect(broken(world)).toEqual([])
      })
  )

  for (const endsAs of ["completed", "failed"] as const) {
    scenario(`whose stopped job ends as ${endsAs} is CANCELLED all the same`, (world) =>
      Effect.gen(function* () {
        world.stopping.endsAs = endsAs
        world.usual = flow({ runs: 600 })
        yield* world.addRun("r1")
        yield* startAgent(world, "agent-a")
        yield* pass("30 seconds")
        yield* world.propose("r1", "CANCELLING")
        yield* pass("1 minute")
        expect(world.stages("r1")).toEqual([endsAs])
        expect(world.stateOf("r1")).toBe("CANCELLED")
      })
    )
  }

  for (const endsAs of ["completed", "failed", "cancelled"] as const) {
    scenario(
      `that somebody sets to Running after its stop says that the agent stopped it (${endsAs})`,
      (world) =>
        Effect.gen(function* () {
          world.stopping.endsAs = endsAs
          world.usual = flow({ runs: 600 })
          yield* world.addRun("r1")
          yield* startAgent(world, "agent-a")
          yield* pass("30 seconds")
          yield* world.propose("r1", "CANCELLING")
          yield* pass("24 seconds")
          expect(world.stopped()).toHaveLength(1)
          yield* world.propose("r1", "RUNNING", { force: true })
          yield* pass("3 minutes")
          expect(world.stages("r1")).toEqual([endsAs])
          expect(world.stateOf("r1")).toBe("CRASHED")
          expect(world.run("r1").state?.message).toContain("[stopped] The agent stopped this job")
        })
    )
  }

  scenario(
    "that is set to Running after its stop is not COMPLETED because its main container ended well",
    (world) =>
      Effect.gen(function* () {
        world.addSideContainer()
        world.stopping.grace = 100
        world.usual = (job) =>
          Effect.gen(function* () {
            yield* job.live
            yield* job.report("RUNNING")
            yield* job.stopAsked
            yield* Effect.sleep("2 seconds")
            yield* job.mainEnds(0)
            yield* Effect.never
          })
        yield* world.addRun("r1")
        yield* startAgent(world, "agent-a")
        yield* pass("30 seconds")
        yield* world.propose("r1", "CANCELLING")
        yield* pass("24 seconds")
        expect(world.stopped()).toHaveLength(1)
        yield* world.propose("r1", "RUNNING", { force: true })
        yield* pass("5 minutes")
        expect(world.stateOf("r1")).toBe("CRASHED")
        expect(world.run("r1").state?.message).toContain("[stopped] The agent stopped this job")
      })
  )

  scenario("in whose job nobody can act has it stopped within three seconds", (world) =>
    Effect.gen(function* () {
      yield* running(world, { args: ["python", "-m", "prefect.engine"] })
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("3 seconds")
      expect(world.stopped()).toHaveLength(1)
    })
  )

  scenario("before its job has a replica has it stopped as soon as there is one", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 120, startUp: 60 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("80 seconds")
      expect(world.stateOf("r1")).toBe("CANCELLING")
      yield* pass("15 seconds")
      expect(stopAskedAt(world)[0]).toBeLessThan(125)
      yield* pass("30 seconds")
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "CANCELLING", "CANCELLED"])
    })
  )

  scenario(
    "whose job never gets a replica stays as it is, and is not called cancelled",
    (world) =>
      Effect.gen(function* () {
        world.usual = stuck()
        yield* world.addRun("r1")
        const agent = yield* startAgent(world, "agent-a")
        yield* pass("30 seconds")
        yield* world.propose("r1", "CANCELLING")
        yield* pass("30 minutes")
        expect(world.stateOf("r1")).toBe("CANCELLING")
        // It says so aloud, and not at every look.
        const aloud = agent.lines.filter((line) => line.includes("it has no replica that could be"))
        expect(aloud.length).toBeGreaterThan(5)
        expect(aloud.length).toBeLessThan(12)
      }),
    // A server of line 3 calls it cancelled itself after five minutes.
    { line: "2" }
  )

  scenario("whose stop has no effect is asked for again, and said aloud", (world) =>
    Effect.gen(function* () {
      const deaf: Script = (job) =>
        Effect.gen(function* () {
          yield* Effect.sleep("2 seconds")
          yield* job.live
          yield* job.report("RUNNING")
          yield* Effect.never
        })
      world.usual = deaf
      world.stopping.grace = 600
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("10 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("5 minutes")
      expect(agent.lines.filter((line) => line.includes("Sending stopReplica")).length).toBeGreaterThan(5)
      expect(agent.lines.some((line) => line.includes("Still running"))).toBe(true)
      expect(world.stateOf("r1")).toBe("CANCELLING")
      yield* pass("8 minutes")
      expect(world.stateOf("r1")).toBe("CANCELLED")
    })
  )

  scenario(
    "whose stop is refused is said to be, with what is missing, and is stopped once it may be",
    (world) =>
      Effect.gen(function* () {
        world.usual = flow({ runs: 900 })
        yield* world.addRun("r1")
        const agent = yield* startAgent(world, "agent-a")
        const over = world.faults.onCall("stopReplica", { kind: "status", status: 403 }, 1e9)
        yield* pass("10 seconds")
        yield* world.propose("r1", "CANCELLING")
        yield* pass("2 minutes")
        const aloud = agent.lines.filter((line) => line.includes("exec.stopReplica"))
        expect(aloud).toHaveLength(1)
        expect(aloud[0]).toContain("[CPLN] Kill")
        expect(agent.lines.filter((line) => line.includes("Sending stopReplica")).length).toBeLessThan(5)
        expect(world.stateOf("r1")).toBe("CANCELLING")
        over()
        yield* pass("1 minute")
        expect(world.stateOf("r1")).toBe("CANCELLED")
      })
  )

  scenario("whose job is gone is CANCELLED once that is proven", (world) =>
    Effect.gen(function* () {
      const command = yield* running(world)
      yield* world.vanish(command)
      yield* world.propose("r1", "CANCELLING")
      yield* startAgent(world, "agent-a")
      yield* pass("25 seconds")
      expect(world.stateOf("r1")).toBe("CANCELLING")
      yield* pass("6 minutes")
      expect(world.stateOf("r1")).toBe("CANCELLED")
    })
  )

  scenario("that was over when it was cancelled is CANCELLED at once", (world) =>
    Effect.gen(function* () {
      const command = yield* running(world)
      yield* world.setStage(command, "completed", 0)
      yield* world.propose("r1", "CANCELLING")
      yield* startAgent(world, "agent-a")
      yield* pass("10 seconds")
      expect(world.stateOf("r1")).toBe("CANCELLED")
    })
  )

  scenario("without a PID has its job found where its claim says", (world) =>
    Effect.gen(function* () {
      const command = yield* running(world, { infrastructurePid: () => null })
      yield* world.propose("r1", "CANCELLING", { force: true })
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      expect(world.stageOf(command)).toBe("cancelled")
      expect(world.stateOf("r1")).toBe("CANCELLED")
      expect(broken(world)).toEqual([])
    })
  )

  scenario("with a PID that means nothing has its job found by its tags, and that is said once", (world) =>
    Effect.gen(function* () {
      const command = yield* running(world, { infrastructurePid: () => "not a pid" })
      yield* startAgent(world, "agent-a")
      yield* pass("10 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("2 minutes")
      expect(world.stageOf(command)).toBe("cancelled")
      expect(world.stateOf("r1")).toBe("CANCELLED")
      expect(world.logOf("r1").match(/is not of the form org:gvc:workload:command/gu)).toHaveLength(1)
    })
  )

  scenario("with a PID that means nothing, which cannot be put right, is told so once", (world) =>
    Effect.gen(function* () {
      // A job of another program carries no attempt: its run's PID is not ours to write.
      const command = yield* running(world, { infrastructurePid: () => "not a pid" })
      const made = world.platform.command(command)
      Object.assign(made ?? {}, { tags: { "prefect.io/flow-run-id": "r1", "cpln/prefectAgent": "agent-a" } })
      yield* startAgent(world, "agent-a")
      yield* pass("5 minutes")
      expect(world.run("r1").infrastructure_pid).toBe("not a pid")
      expect(world.logOf("r1").match(/is not of the form org:gvc:workload:command/gu)).toHaveLength(1)
    })
  )

  scenario("before it was launched never launches", (world) =>
    Effect.gen(function* () {
      // With a PID of an earlier attempt the server does not cancel it by itself.
      yield* world.addRun("r1", {
        due: begin + 30_000,
        history: [claimState("t0", { where, at: begin - 600_000 }), stateAt(begin - 60_000, "CRASHED")],
        infrastructure_pid: pid("w1", "of-before"),
        run_count: 1
      })
      yield* startAgent(world, "agent-a")
      yield* pass("10 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("5 minutes")
      expect(world.platform.commands()).toEqual([])
      expect(world.types("r1").slice(-3)).toEqual(["SCHEDULED", "CANCELLING", "CANCELLED"])
    })
  )

  scenario("between its claim and its start never starts, and is CANCELLED at once", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      world.faults.onCall("propose", { kind: "slow", before: 0, after: 6_000 })
      yield* pass("2 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("10 seconds")
      expect(world.platform.commands()).toEqual([])
      expect(world.stateOf("r1")).toBe("CANCELLED")
    })
  )

  scenario("while its start is in doubt is CANCELLED only after the job that showed up is over", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 5, startUp: 60 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      world.faults.onCall("start", { kind: "timeout", lands: 35_000 })
      yield* pass("20 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("4 minutes")
      expect(world.stages("r1")).toEqual(["cancelled"])
      expect(world.stateOf("r1")).toBe("CANCELLED")
      const [life] = livesOf(world, "r1")
      expect(cancelledAt(world, "r1")).toBeGreaterThanOrEqual(((life?.to ?? 0) - begin) / 1000)
    })
  )

  scenario("whose job shows up just after its claimant had given up looking is seen to its end", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 5, startUp: 60 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      // The last search is 46.5 s after the start, and the run is read a second later.
      world.faults.onCall("start", { kind: "timeout", lands: 47_000 })
      yield* pass("20 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("4 minutes")
      expect(world.stages("r1")).toEqual(["cancelled"])
      expect(world.stateOf("r1")).toBe("CANCELLED")
      expect(broken(world)).toEqual([])
    })
  )

  scenario("with a double that has not started yet is CANCELLED only when that is over too", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const tags = { "prefect.io/attempt": attemptOf("t1") }
      const first = yield* world.addCommand(ref, "r1", { tags, created: begin + 1_000 })
      const double = yield* world.addCommand(ref, "r1", { tags, created: begin + 2_000, stage: "pending" })
      yield* world.addRun("r1", {
        infrastructure_pid: pid("w1", first),
        state: claimState("t1", { where })
      })
      yield* startAgent(world, "agent-a")
      yield* pass("10 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("1 minute")
      expect([world.stageOf(first), world.stageOf(double)]).toEqual(["cancelled", "pending"])
      expect(world.stateOf("r1")).toBe("CANCELLING")
      world.platform.change(begin + 70_000, double, { stage: "running", replica: "of-the-double" })
      yield* pass("1 minute")
      expect(world.stageOf(double)).toBe("cancelled")
      expect(world.stateOf("r1")).toBe("CANCELLED")
      expect(broken(world)).toEqual([])
    })
  )

  scenario("with a job of an earlier attempt where nobody looked has that stopped first", (world) =>
    Effect.gen(function* () {
      // Not among the workloads of the pool, which are looked into in turn.
      const other = yield* world.addWorkload("w2", { "prefect.io/work-pool-id": "of-before" })
      yield* world.addCommand(other, "r1", {
        tags: { "prefect.io/attempt": attemptOf("t1", begin - 60_000) },
        created: begin - 60_000
      })
      const ref = yield* world.addWorkload("w1")
      const command = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t2") } })
      yield* world.setStage(command, "completed", 0)
      yield* world.addRun("r1", {
        run_count: 1,
        infrastructure_pid: pid("w1", command),
        history: [
          claimState("t1", { where: whereOf("w2"), at: begin - 60_000 }),
          stateAt(begin - 30_000, "SCHEDULED"),
          claimState("t2", { where, tryNumber: 2 }),
          stateAt(begin, "RUNNING")
        ],
        state: stateAt(begin, "CANCELLING")
      })
      yield* startAgent(world, "agent-a")
      yield* pass("3 minutes")
      expect(world.stages("r1")).toEqual(["cancelled", "completed"])
      expect(world.stateOf("r1")).toBe("CANCELLED")
      expect(broken(world)).toEqual([])
    })
  )

  scenario("in the old way, type CANCELLED and name Cancelling, is seen to its end as well", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 600 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      yield* world.propose("r1", "CANCELLED", { name: "Cancelling" })
      yield* pass("1 minute")
      expect(world.stages("r1")).toEqual(["cancelled"])
      expect(world.run("r1")).toMatchObject({ state_type: "CANCELLED", state_name: "Cancelled" })
      expect(broken(world)).toEqual([])
    })
  )

  scenario("in the old way before it was launched is CANCELLED, however often the syncs come", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", { due: begin + 30_000 })
      yield* world.propose("r1", "CANCELLED", { name: "Cancelling" })
      yield* startAgent(world, "agent-a", { settings: { interval: "30" } })
      yield* pass("5 minutes")
      expect(world.run("r1")).toMatchObject({ state_type: "CANCELLED", state_name: "Cancelled" })
    })
  )

  scenario(
    "that the server calls CANCELLED after its own patience has its job stopped all the same",
    (world) =>
      Effect.gen(function* () {
        world.usual = flow({ runs: 900 })
        world.stopping.grace = 5
        yield* world.addRun("r1")
        const agent = yield* startAgent(world, "agent-a")
        yield* pass("30 seconds")
        yield* agent.pause
        yield* world.propose("r1", "CANCELLING")
        yield* pass("5 minutes")
        yield* world.propose("r1", "CANCELLED")
        yield* agent.resume
        yield* pass("3 minutes")
        expect(world.stages("r1")).toEqual(["cancelled"])
      })
  )

  scenario("waits while Control Plane does not answer, and is cancelled when it does", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 900 })
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      const back = world.faults.outage("Control Plane")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("5 minutes")
      expect(world.stateOf("r1")).toBe("CANCELLING")
      back()
      yield* pass("1 minute")
      expect(world.stateOf("r1")).toBe("CANCELLED")
      const told = agent.lines.filter((line) => line.includes("looked into"))
      expect(told.filter((line) => /workload cannot be looked into/u.test(line))).toHaveLength(1)
      expect(told.filter((line) => /answer again/u.test(line))).toHaveLength(1)
      expect(broken(world)).toEqual([])
    })
  )

  scenario("beside one whose workload hangs is not kept waiting", (world) =>
    Effect.gen(function* () {
      yield* running(world, { args: ["python"] })
      const ref = yield* world.addWorkload("w2")
      const other = yield* world.addCommand(ref, "r2", {
        tags: { "prefect.io/attempt": attemptOf("t2") },
        args: ["python"]
      })
      yield* world.addRun("r2", {
        run_count: 1,
        infrastructure_pid: pid("w2", other),
        history: [claimState("t2", { where: whereOf("w2") })],
        state: stateAt(begin, "RUNNING")
      })
      world.faults.on(
        (call) => call.service === "Control Plane" && call.subject === "w2",
        { kind: "timeout", lands: "never" },
        1e9
      )
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      yield* world.propose("r1", "CANCELLING")
      yield* world.propose("r2", "CANCELLING")
      yield* pass("4 seconds")
      expect(world.stopped()).toEqual(["given1"])
    })
  )

  scenario("with the PID of a stranger's job does not cost that job", (world) =>
    Effect.gen(function* () {
      const theirs = yield* world.addWorkload("theirs", { "prefect.io/work-pool-id": "another-pool" })
      const job = yield* world.addCommand(theirs, "a-strangers-run", {
        tags: { "prefect.io/work-pool-id": "another-pool" }
      })
      yield* world.addRun("r1", { due: begin + 3_600_000, infrastructure_pid: pid("theirs", job) })
      yield* startAgent(world, "agent-a")
      yield* pass("10 seconds")
      yield* world.propose("r1", "CANCELLING")
      expect(world.stateOf("r1")).toBe("CANCELLING")
      yield* pass("4 minutes")
      expect(world.stateOf("r1")).toBe("CANCELLED")
      expect(world.stopped()).toEqual([])
      expect(world.stageOf(job)).toBe("running")
    })
  )
})
