import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { startAgent } from "../runs/world/agents.ts"
import { broken } from "../runs/world/audit.ts"
import { flow, type Script, stuck } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import { attemptOf, begin, claimState, pid, stateAt, whereOf, type World } from "../runs/world/world.ts"

const where = whereOf("w1")

/** A run that is RUNNING in a job that no script plays, claimed by our kind. */
const runningJob = Effect.fnUntraced(function* (
  world: World,
  job: NonNullable<Parameters<World["addCommand"]>[2]> = {}
) {
  const ref = yield* world.addWorkload("w1")
  const command = yield* world.addCommand(ref, "r1", {
    ...job,
    tags: { "prefect.io/attempt": attemptOf("t1"), ...job.tags }
  })
  yield* world.addRun("r1", {
    run_count: 1,
    start_time: new Date(begin).toISOString(),
    infrastructure_pid: pid("w1", command),
    history: [claimState("t1", { where })],
    state: stateAt(begin, "RUNNING")
  })
  return command
})

/** When the run got this state, in seconds since the world began. */
const reached = (world: World, type: string) => {
  const state = world.prefect.states("r1").find((each) => each.type === type)
  return state === undefined ? undefined : (Date.parse(state.timestamp) - begin) / 1000
}

describe("a job that ended", () => {
  scenario("well, and whose engine reported, is left as the engine said", (world) =>
    Effect.gen(function* () {
      for (const reports of ["COMPLETED", "FAILED", "CRASHED"] as const) {
        world.scripts.set(reports, flow({ reports, runs: 10 }))
        yield* world.addRun(reports)
      }
      yield* startAgent(world, "agent-a")
      yield* pass("5 minutes")
      for (const id of ["COMPLETED", "FAILED", "CRASHED"]) expect(world.stateOf(id)).toBe(id)
      expect(
        world.chronicle.of("state").filter(({ by, to }) => by !== "engine" && to.type !== "PENDING")
      ).toEqual([])
    })
  )

  scenario("as far as its containers tell, but is in a stage that nobody knows, counts as alive", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      yield* world.setStage(command, "rescheduling", 1)
      yield* pass("20 minutes")
      expect(world.types("r1")).toEqual(["PENDING", "RUNNING"])
      expect(world.stopped()).toEqual([])
      yield* world.setStage(command, "failed", 1)
      yield* pass("30 seconds")
      expect(world.stateOf("r1")).toBe("CRASHED")
    })
  )

  scenario("well without a report is given the settle time, and is then COMPLETED", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      yield* world.setStage(command, "completed", 0)
      yield* pass("55 seconds")
      expect(world.stateOf("r1")).toBe("RUNNING")
      yield* pass("25 seconds")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      expect(reached(world, "COMPLETED")).toBeGreaterThanOrEqual(80)
      expect(world.run("r1").state?.message).toContain("never reported")
    })
  )

  scenario("well without a report is CRASHED where the setting says so", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a", { settings: { unreportedExit: "crashed" } })
      yield* world.setStage(command, "completed", 0)
      yield* pass("3 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
    })
  )

  scenario("well, and whose report comes within the settle time, is as the engine said", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* world.setStage(command, "completed", 0)
      yield* pass("50 seconds")
      yield* world.propose("r1", "FAILED")
      yield* pass("5 minutes")
      expect(world.types("r1").slice(-2)).toEqual(["RUNNING", "FAILED"])
    })
  )

  scenario("with an exit code is CRASHED with it, with its place and with advice", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ reports: "nothing", exitCode: 137, runs: 10 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("2 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
      const message = world.run("r1").state?.message ?? ""
      expect(message).toContain("exit code 137")
      expect(message).toContain("command command1")
      expect(message).toContain("[killed]")
      expect(world.logOf("r1")).toContain("exit code 137")
    })
  )

  scenario("as failed is looked at twice: what the platform corrects in between is no crash", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a", { settings: { unreportedExit: "completed" } })
      yield* pass("20 seconds")
      yield* world.setStage(command, "failed", 0)
      yield* pass("4 seconds")
      yield* world.setStage(command, "completed", 0)
      yield* pass("3 minutes")
      expect(world.types("r1").slice(-2)).toEqual(["RUNNING", "COMPLETED"])
    })
  )

  scenario("as failed before its engine reported is CRASHED from PENDING as well", (world) =>
    Effect.gen(function* () {
      world.usual = (job) =>
        Effect.gen(function* () {
          yield* Effect.sleep("3 seconds")
          yield* job.live
          yield* Effect.sleep("2 seconds")
          yield* job.end(127)
        })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "CRASHED"])
      expect(world.run("r1").state?.message).toContain("[command-not-found]")
    })
  )

  scenario("because somebody stopped it at Control Plane is CANCELLED when it ran", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* world.setStage(command, "cancelled")
      yield* pass("50 seconds")
      expect(world.stateOf("r1")).toBe("RUNNING")
      yield* pass("1 minute")
      expect(world.stateOf("r1")).toBe("CANCELLED")
    })
  )

  scenario("because somebody stopped it before it reported is CRASHED", (world) =>
    Effect.gen(function* () {
      world.usual = stuck()
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("10 seconds")
      yield* world.setStage("command1", "cancelled")
      yield* pass("2 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
    })
  )

  scenario("beside others with side containers is looked for with one read for all of them", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 600, sides: 100_000 })
      world.addSideContainer()
      const ids = Array.from({ length: 20 }, (_, n) => `r${n}`)
      for (const id of ids) yield* world.addRun(id)
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      let reads = 0
      world.faults.on(({ name }) => name === "deployments" && ++reads < 0, { kind: "503", commit: "never" })
      yield* pass("1 minute")
      expect(reads).toBeGreaterThan(5)
      expect(reads).toBeLessThanOrEqual(14)
      yield* pass("15 minutes")
      for (const id of ids) expect(world.stateOf(id)).toBe("COMPLETED")
      expect(world.stopped()).toHaveLength(ids.length)
    })
  )

  scenario("in its main container is settled, and its side containers are stopped", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world, { containers: 2 })
      yield* startAgent(world, "agent-a")
      yield* pass("10 seconds")
      world.platform.change(begin + 10_000, command, {
        execution: { containers: { "prefect-job": { restarts: { exitCode: 3 } } } }
      })
      yield* pass("50 seconds")
      expect(world.stateOf("r1")).toBe("RUNNING")
      yield* pass("1 minute")
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.run("r1").state?.message).toContain("exit code 3")
      expect(world.stageOf(command)).toBe("cancelled")
    })
  )

  scenario(
    "in its main container, which the platform started again, is not settled while that works",
    (world) =>
      Effect.gen(function* () {
        const command = yield* runningJob(world, { containers: 2 })
        yield* startAgent(world, "agent-a")
        world.platform.change(begin, command, {
          execution: { containers: { "prefect-job": { ready: true, restarts: { exitCode: 3, count: 1 } } } }
        })
        yield* pass("5 minutes")
        expect(world.stateOf("r1")).toBe("RUNNING")
        expect(world.stageOf(command)).toBe("running")
      })
  )

  scenario("is settled once by two agents", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* startAgent(world, "agent-b")
      yield* world.setStage(command, "failed", 1)
      yield* pass("3 minutes")
      expect(world.types("r1").filter((type) => type === "CRASHED")).toHaveLength(1)
      expect(world.prefect.logs.filter(({ level }) => level === 40)).toHaveLength(1)
    })
  )

  scenario("is settled once by two agents of which one is slower, and told by the one that did it", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* startAgent(world, "agent-b")
      world.faults.on(
        (call) => call.by === "agent agent-b" && call.name === "readRun",
        { kind: "slow", before: 300, after: 0 },
        1e9
      )
      yield* world.setStage(command, "failed", 1)
      yield* pass("3 minutes")
      expect(world.types("r1").filter((type) => type === "CRASHED")).toHaveLength(1)
      expect(world.prefect.logs.filter(({ level }) => level === 40)).toMatchObject([{ by: "agent agent-a" }])
    })
  )

  scenario("is settled though the first answers of Prefect are lost", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      world.faults.onCall("propose", { kind: "reset", commit: "after" })
      world.faults.onCall("propose", { kind: "503", commit: "never" }, 2)
      yield* world.setStage(command, "failed", 1)
      yield* pass("3 minutes")
      expect(world.types("r1").filter((type) => type === "CRASHED")).toHaveLength(1)
    })
  )

  scenario("is not settled upon an answer that was long under way", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* world.setStage(command, "completed", 0)
      // Asked at the end of the settle time, answered nine seconds later; in between the run is ended by somebody.
      world.faults.onCall("readRun", { kind: "slow", before: 0, after: 9_000 })
      yield* pass("68 seconds")
      expect(world.faults.fired).toHaveLength(1)
      yield* world.propose("r1", "FAILED")
      yield* pass("5 minutes")
      expect(world.types("r1").slice(-2)).toEqual(["RUNNING", "FAILED"])
    })
  )

  scenario("is not settled upon an answer that was long under way while the clock was set back", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      const agent = yield* startAgent(world, "agent-a")
      yield* world.setStage(command, "completed", 0)
      // Asked at the end of the settle time, answered nine seconds later; in between the run is ended by somebody.
      world.faults.onCall("readRun", { kind: "slow", before: 0, after: 9_000 })
      yield* pass("64 seconds")
      yield* agent.setClock(-8_500)
      yield* pass("4 seconds")
      expect(world.faults.fired).toHaveLength(1)
      yield* world.propose("r1", "FAILED")
      yield* pass("5 minutes")
      expect(world.types("r1").slice(-2)).toEqual(["RUNNING", "FAILED"])
    })
  )

  scenario("is settled though every answer takes seconds", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      world.faults.latency = { least: 2_000, most: 3_000 }
      yield* world.setStage(command, "completed", 0)
      yield* pass("4 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
    })
  )

  scenario("is not judged while Control Plane forbids to look", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      world.faults.on(({ name }) => name === "get" || name === "find", { kind: "503", commit: "never" }, 1e9)
      yield* world.vanish(command)
      yield* pass("20 minutes")
      expect(world.stateOf("r1")).toBe("RUNNING")
    })
  )

  scenario("while the clocks of both services are a minute apart still has its whole settle time", (world) =>
    Effect.gen(function* () {
      world.skew.prefect = 90_000
      world.skew.platform = -30_000
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* pass("40 seconds")
      // Stamped with the platform's own clock.
      world.platform.change(begin + 40_000, command, { stage: "completed" })
      const made = world.platform.command(command)
      if (made === undefined) throw new Error("no command")
      Object.assign(made, { lastModified: new Date(begin + 10_000).toISOString() })
      yield* pass("50 seconds")
      expect(world.stateOf("r1")).toBe("RUNNING")
      yield* pass("30 seconds")
      expect(world.stateOf("r1")).toBe("COMPLETED")
    })
  )
})

describe("a job that does not start", () => {
  const pulling: Script = (job) =>
    Effect.sleep("10 seconds").pipe(
      Effect.andThen(job.pulling("Back-off pulling image: ImagePullBackOff")),
      Effect.andThen(Effect.never)
    )

  scenario("within the start timeout is stopped, and then CRASHED with the platform's reason", (world) =>
    Effect.gen(function* () {
      world.usual = pulling
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("14 minutes")
      expect(world.stateOf("r1")).toBe("PENDING")
      expect(world.stopped()).toEqual([])
      yield* pass("2 minutes")
      expect(world.stages("r1")).toEqual(["cancelled"])
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.run("r1").state?.message).toContain("ImagePullBackOff")
      expect(world.run("r1").state?.message).toContain("[image-pull]")
    })
  )

  scenario("within the start timeout but soon after it is left to run", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 1_000, runs: 60 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("20 minutes")
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"])
    })
  )

  scenario("at all is CRASHED after a second start timeout, and stopped should it start after all", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 2_000, startUp: 60, runs: 600 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      world.platform.change(begin + 20_000, "command1", { execution: { message: "Insufficient memory" } })
      yield* pass("29 minutes")
      expect(world.stateOf("r1")).toBe("PENDING")
      yield* pass("2 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.run("r1").state?.message).toContain("Insufficient memory")
      expect(world.run("r1").state?.message).toContain("[capacity]")
      yield* pass("4 minutes")
      expect(world.stages("r1")).toEqual(["cancelled"])
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "CRASHED"])
    })
  )
})

describe("a run past job_watch_timeout_seconds", () => {
  scenario("has its job stopped, and is CRASHED for its deadline whatever stage that led to", (world) =>
    Effect.gen(function* () {
      for (const endsAs of ["cancelled", "failed", "completed"] as const) {
        const id = `run ${endsAs}`
        world.stopping.endsAs = endsAs
        world.usual = flow({ runs: 3_600 })
        yield* world.addRun(id, { job_variables: { job_watch_timeout_seconds: 120 } })
        if (endsAs === "cancelled") yield* startAgent(world, "agent-a")
        yield* pass("100 seconds")
        expect(world.stateOf(id)).toBe("RUNNING")
        yield* pass("3 minutes")
        expect(world.stages(id)).toEqual([endsAs])
        expect(world.stateOf(id)).toBe("CRASHED")
        expect(world.run(id).state?.message).toMatch(/^Deadline/u)
      }
    })
  )

  scenario("is stopped by an agent that was started later as well", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 3_600 })
      yield* world.addRun("r1", { job_variables: { job_watch_timeout_seconds: 120 } })
      const first = yield* startAgent(world, "agent-a")
      yield* pass("60 seconds")
      yield* first.kill
      yield* startAgent(world, "agent-b")
      yield* pass("4 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
    })
  )

  scenario("is one whose own job takes too long: what its first job took days ago does not count", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 100, reports: "FAILED" })
      yield* world.addRun("r1", { job_variables: { job_watch_timeout_seconds: 120 } })
      yield* startAgent(world, "agent-a")
      yield* pass("10 minutes")
      expect(world.stateOf("r1")).toBe("FAILED")
      world.usual = flow({ runs: 100 })
      yield* world.propose("r1", "SCHEDULED", { name: "AwaitingRetry" })
      yield* pass("10 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      expect(world.stopped()).toEqual([])

      world.usual = flow({ runs: 3_600 })
      yield* world.propose("r1", "SCHEDULED", { name: "AwaitingRetry" })
      yield* pass("10 minutes")
      expect(world.run("r1").state?.message).toMatch(/^Deadline/u)
    })
  )

  scenario("that finished in time is not touched, however late it is looked at", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 100, reports: "nothing" })
      yield* world.addRun("r1", { job_variables: { job_watch_timeout_seconds: 120 } })
      const first = yield* startAgent(world, "agent-a")
      yield* pass("60 seconds")
      yield* first.kill
      yield* pass("10 minutes")
      yield* startAgent(world, "agent-b")
      yield* pass("2 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      expect(broken(world)).toEqual([])
    })
  )
})

describe("a job that is gone", () => {
  scenario("is CRASHED after five looks at the monitor interval got 404, and each is said", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      yield* world.vanish(command)
      yield* pass("225 seconds")
      expect(world.stateOf("r1")).toBe("RUNNING")
      yield* pass("2 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.run("r1").state?.message).toContain("[lost]")
      expect(agent.lines.filter((line) => line.includes("Got 404 ("))).toHaveLength(5)
    })
  )

  scenario("but still among the deployment's executions is not CRASHED", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      world.platform.deleteCommand(begin + 30_000, "person", command)
      yield* pass("30 minutes")
      expect(world.stateOf("r1")).toBe("RUNNING")
      world.platform.forgetExecution(begin + 1_830_000, command)
      yield* pass("5 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
    })
  )

  scenario("but among the executions, where only its side container lives, is CRASHED", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 50, reports: "nothing", sides: 100_000 })
      world.addSideContainer()
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      const [command] = world.platform.live("r1")
      world.platform.deleteCommand(begin + 30_000, "person", command?.id ?? "", true)
      yield* pass("10 minutes")
      expect(world.run("r1").state?.message).toContain("[lost]")
    })
  )

  scenario("but among the executions, where it has ended, is CRASHED", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 120, reports: "nothing", exitCode: 1 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      const [command] = world.platform.live("r1")
      world.platform.deleteCommand(begin + 30_000, "person", command?.id ?? "", true)
      yield* pass("90 seconds")
      expect(world.stateOf("r1")).toBe("RUNNING")
      yield* pass("8 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
    })
  )

  scenario("is CRASHED although somebody wrote the PID of another run's job on it", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      const other = yield* world.addCommand(yield* world.addWorkload("w2"), "r2", {
        tags: { "prefect.io/work-pool-id": "another-pool" }
      })
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      yield* world.change("r1", { infrastructure_pid: pid("w2", other) })
      yield* world.vanish(command)
      yield* pass("8 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.stageOf(other)).toBe("running")
    })
  )

  scenario("for a while and then there again is not CRASHED", (world) =>
    Effect.gen(function* () {
      yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      const [[path, stored] = ["", undefined]] = world.platform.workloads
      if (stored === undefined) throw new Error("no workload")
      for (let n = 0; n < 5; n++) {
        world.platform.workloads.delete(path)
        yield* pass("3 minutes")
        world.platform.workloads.set(path, stored)
        yield* pass("30 seconds")
      }
      expect(world.stateOf("r1")).toBe("RUNNING")
      expect(world.stopped()).toEqual([])
    })
  )

  scenario("with its whole workload is CRASHED too", (world) =>
    Effect.gen(function* () {
      yield* runningJob(world)
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      for (const path of world.platform.workloads.keys())
        world.platform.deleteWorkload(begin + 30_000, "person", path)
      yield* pass("7 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
    })
  )

  scenario("of which no claim and no PID tells is not judged at all", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", { run_count: 1, state: stateAt(begin, "RUNNING") })
      yield* world.addRun("r2", {
        run_count: 1,
        infrastructure_pid: "another:worker:pid",
        state: stateAt(begin, "RUNNING")
      })
      yield* world.addRun("r3", { state: stateAt(begin, "PENDING", { message: "of another worker" }) })
      yield* startAgent(world, "agent-a")
      yield* pass("30 minutes")
      expect(["r1", "r2", "r3"].map(world.stateOf)).toEqual(["RUNNING", "RUNNING", "PENDING"])
    })
  )
})

describe("a run that waits in its engine for a retry", () => {
  const waiting = Effect.fnUntraced(function* (world: World) {
    const ref = yield* world.addWorkload("w1")
    const command = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
    yield* world.addRun("r1", {
      run_count: 1,
      start_time: new Date(begin).toISOString(),
      infrastructure_pid: pid("w1", command),
      empirical_policy: { retries: 3, retry_delay: 600, retry_type: "in_process" },
      history: [claimState("t1", { where }), stateAt(begin, "RUNNING")],
      state: stateAt(begin, "SCHEDULED", {
        name: "AwaitingRetry",
        state_details: { scheduled_time: new Date(begin).toISOString() }
      })
    })
    return command
  })

  for (const end of ["failed", "completed", "cancelled", "vanished"] as const) {
    scenario(`and whose job ${end === "vanished" ? end : `is ${end}`} is offered again, and runs`, (world) =>
      Effect.gen(function* () {
        const command = yield* waiting(world)
        yield* startAgent(world, "agent-a")
        yield* pass("30 seconds")
        expect(world.stateOf("r1")).toBe("SCHEDULED")
        yield* end === "vanished" ? world.vanish(command) : world.setStage(command, end, 1)
        yield* pass("9 minutes")
        expect(world.run("r1").empirical_policy).toMatchObject({ retries: 3, retry_delay: 600 })
        expect(world.stateOf("r1")).toBe("COMPLETED")
        expect(world.stages("r1").at(-1)).toBe("completed")
      })
    )
  }

  scenario("and was given another time by a person is offered again once its job is over", (world) =>
    Effect.gen(function* () {
      const command = yield* waiting(world)
      yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      yield* world.propose("r1", "SCHEDULED", {
        name: "Scheduled",
        scheduledTime: new Date(begin + 40_000).toISOString()
      })
      yield* pass("1 minute")
      yield* world.setStage(command, "completed", 0)
      yield* pass("9 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
    })
  )

  scenario("is left alone while its job lives", (world) =>
    Effect.gen(function* () {
      const command = yield* waiting(world)
      yield* startAgent(world, "agent-a")
      yield* pass("30 minutes")
      expect(world.stateOf("r1")).toBe("SCHEDULED")
      expect(world.stageOf(command)).toBe("running")
      expect(world.run("r1").empirical_policy?.["retry_type"]).toBe("in_process")
    })
  )

  scenario("and retries there by itself needs nobody", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 10, reports: "FAILED" })
      yield* world.addRun("r1", { retries: 2 })
      yield* startAgent(world, "agent-a")
      yield* pass("3 minutes")
      expect(world.stages("r1")).toEqual(["completed"])
      expect(world.stateOf("r1")).toBe("FAILED")
      expect(world.types("r1").filter((type) => type === "PENDING")).toHaveLength(1)
    })
  )
})

describe("a paused run", () => {
  for (const suspended of [false, true]) {
    scenario(
      suspended ? "that is suspended may end its job" : "that waits in its job is CRASHED when that ends",
      (world) =>
        Effect.gen(function* () {
          const command = yield* runningJob(world)
          yield* world.propose("r1", "PAUSED", { pauseReschedule: suspended })
          yield* startAgent(world, "agent-a")
          yield* pass("1 minute")
          yield* world.setStage(command, "completed", 0)
          yield* pass("5 minutes")
          expect(world.stateOf("r1")).toBe(suspended ? "PAUSED" : "CRASHED")
        })
    )
  }

  scenario("that is suspended has a job that stays stopped after the linger", (world) =>
    Effect.gen(function* () {
      const command = yield* runningJob(world)
      yield* world.propose("r1", "PAUSED", { pauseReschedule: true })
      yield* startAgent(world, "agent-a")
      yield* pass("100 seconds")
      expect(world.stageOf(command)).toBe("running")
      yield* pass("1 minute")
      expect(world.stageOf(command)).toBe("cancelled")
    })
  )
})

describe("a job that failed", () => {
  for (const type of ["RUNNING", "FAILED"]) {
    scenario(`ends its run in time beside a hundred ${type} runs whose workload hangs`, (world) =>
      Effect.gen(function* () {
        const job = yield* runningJob(world)
        const hanging = yield* world.addWorkload("w2")
        for (let n = 1; n <= 100; n++) {
          const transition = `h${n}`
          const command = yield* world.addCommand(hanging, transition, {
            tags: { "prefect.io/attempt": attemptOf(transition) }
          })
          yield* world.addRun(transition, {
            run_count: 1,
            start_time: new Date(begin).toISOString(),
            infrastructure_pid: pid("w2", command),
            history: [claimState(transition, { where: whereOf("w2") })],
            state: stateAt(begin, type)
          })
        }
        // Those that are over are being stopped by then, and live on.
        world.platform.vainStops = 1e9
        yield* startAgent(world, "agent-a")
        yield* pass("4 minutes")
        const back = world.faults.on(
          ({ service, subject }) => service === "Control Plane" && subject === "w2",
          { kind: "timeout", lands: "never" },
          1e9
        )
        yield* pass("3 minutes")
        yield* world.setStage(job, "failed", 1)
        yield* pass("1 minute")
        expect(world.stateOf("r1")).toBe("CRASHED")
        back()
        yield* pass("2 minutes")
        expect(Array.from({ length: 100 }, (_, n) => world.stateOf(`h${n + 1}`))).toEqual(
          Array.from({ length: 100 }, () => type)
        )
        expect(world.stopped()).not.toContain(job)
      })
    )
  }
})
