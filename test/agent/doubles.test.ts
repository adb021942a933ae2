import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { startAgent } from "../runs/world/agents.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import { attemptOf, begin, claimState, pid, stateAt, whereOf, type World } from "../runs/world/world.ts"

const where = whereOf("w1")

/** A run with two live jobs of one attempt: the first is the one that counts. */
const withDouble = Effect.fnUntraced(function* (world: World) {
  const ref = yield* world.addWorkload("w1")
  const tags = { "prefect.io/attempt": attemptOf("t1") }
  const first = yield* world.addCommand(ref, "r1", { tags, created: begin - 2_000, id: "first" })
  const second = yield* world.addCommand(ref, "r1", { tags, created: begin - 1_000, id: "second" })
  yield* world.addRun("r1", {
    run_count: 1,
    start_time: new Date(begin).toISOString(),
    infrastructure_pid: pid("w1", first),
    history: [claimState("t1", { where })],
    state: stateAt(begin, "RUNNING")
  })
  return { first, second }
})

describe("a double that was stopped", () => {
  for (const late of [false, true]) {
    scenario(
      `and whose engine reports CRASHED leaves the survivor alone${late ? ", also for an agent that comes later" : ""}`,
      (world) =>
        Effect.gen(function* () {
          const { first, second } = yield* withDouble(world)
          const agent = yield* startAgent(world, "agent-a")
          yield* pass("12 seconds")
          expect(world.stopped()).toEqual([second])
          yield* world.propose("r1", "CRASHED", { message: "terminated" })
          if (late) {
            yield* pass("20 seconds")
            yield* agent.kill
            yield* startAgent(world, "agent-b")
          }
          yield* pass("20 minutes")
          expect(world.stopped()).toEqual([second])
          expect(world.stageOf(first)).toBe("running")
          // Its own report wins.
          yield* world.propose("r1", "COMPLETED")
          yield* world.setStage(first, "completed", 0)
          yield* pass("10 minutes")
          expect(world.stateOf("r1")).toBe("COMPLETED")
        })
    )
  }

  scenario("long before the run crashed has nothing to do with it", (world) =>
    Effect.gen(function* () {
      const { first, second } = yield* withDouble(world)
      yield* startAgent(world, "agent-a")
      yield* pass("3 minutes")
      expect(world.stageOf(second)).toBe("cancelled")
      yield* world.propose("r1", "CRASHED")
      yield* pass("3 minutes")
      expect(world.stopped()).toEqual([second, first])
    })
  )

  scenario("does not keep a survivor alive of which only side containers are left", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const tags = { "prefect.io/attempt": attemptOf("t1") }
      const first = yield* world.addCommand(ref, "r1", {
        tags,
        created: begin - 2_000,
        id: "first",
        containers: 2
      })
      const second = yield* world.addCommand(ref, "r1", { tags, created: begin - 1_000, id: "second" })
      yield* world.addRun("r1", {
        run_count: 1,
        infrastructure_pid: pid("w1", first),
        history: [claimState("t1", { where })],
        state: stateAt(begin, "RUNNING")
      })
      yield* startAgent(world, "agent-a")
      yield* pass("12 seconds")
      yield* world.propose("r1", "CRASHED")
      world.platform.change(begin + 12_000, first, {
        execution: { containers: { "prefect-job": { restarts: { exitCode: 0 } } } }
      })
      yield* pass("3 minutes")
      expect(world.stopped()).toEqual([second, first])
    })
  )

  scenario("does not keep alive the job of a later attempt that crashed by itself", (world) =>
    Effect.gen(function* () {
      // The first attempt was over before the second began.
      const ref = yield* world.addWorkload("w1")
      const old = yield* world.addCommand(ref, "r1", {
        tags: { "prefect.io/attempt": attemptOf("t1") },
        created: begin - 60_000
      })
      yield* world.setStage(old, "failed", 1)
      yield* pass("5 seconds")
      const job = yield* world.addCommand(ref, "r1", {
        tags: { "prefect.io/attempt": attemptOf("t2", begin + 5_000) }
      })
      yield* world.addRun("r1", {
        run_count: 1,
        infrastructure_pid: pid("w1", job),
        history: [claimState("t1", { where }), claimState("t2", { where, at: begin + 5_000 })],
        state: stateAt(begin + 5_000, "RUNNING")
      })
      yield* startAgent(world, "agent-a")
      yield* pass("12 seconds")
      yield* world.propose("r1", "CRASHED")
      yield* pass("3 minutes")
      expect(world.stopped()).toEqual([job])
    })
  )
})

describe("a retry that another agent starts between two looks, and whose PID is not written yet", () => {
  scenario("is not judged by the job before it, nor its job taken for a double", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const before = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
      yield* world.addRun("r1", {
        run_count: 1,
        start_time: new Date(begin).toISOString(),
        infrastructure_pid: pid("w1", before),
        history: [claimState("t1", { where })],
        state: stateAt(begin, "RUNNING")
      })
      yield* startAgent(world, "agent-a")
      yield* pass("12 seconds")
      yield* world.setStage(before, "completed", 1)
      yield* pass("12 seconds")
      const at = begin + 24_000
      yield* world.propose("r1", "FAILED")
      yield* world.propose("r1", "SCHEDULED", {
        name: "AwaitingRetry",
        scheduledTime: new Date(at).toISOString()
      })
      yield* world.propose("r1", "PENDING", {
        message: `Claimed by agent-b | attempt t2 | ${where} | try 2`,
        transitionId: "t2"
      })
      const second = yield* world.addCommand(ref, "r1", {
        tags: { "prefect.io/attempt": attemptOf("t2", at) }
      })
      yield* world.propose("r1", "RUNNING")
      yield* pass("10 minutes")
      expect(world.stopped()).toEqual([])
      expect(world.stateOf("r1")).toBe("RUNNING")
      expect(world.run("r1").infrastructure_pid).toBe(pid("w1", second))
    })
  )
})

describe("a retry that nobody saw claimed, and whose job has vanished", () => {
  scenario("is not judged by the job before it, which was remembered as over", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const before = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
      yield* world.addRun("r1", {
        run_count: 1,
        start_time: new Date(begin).toISOString(),
        infrastructure_pid: pid("w1", before),
        history: [claimState("t1", { where })],
        state: stateAt(begin, "RUNNING")
      })
      yield* startAgent(world, "agent-a")
      yield* pass("12 seconds")
      yield* world.setStage(before, "completed", 0)
      yield* pass("12 seconds")
      yield* world.propose("r1", "SCHEDULED", { name: "AwaitingRetry" })
      yield* world.propose("r1", "PENDING", {
        message: `Claimed by agent-b | attempt t2 | ${where} | try 2`,
        transitionId: "t2"
      })
      yield* world.propose("r1", "RUNNING")
      yield* pass("20 minutes")
      expect(world.run("r1").state).toMatchObject({ type: "CRASHED" })
      expect(world.run("r1").state?.message).toContain("no longer exists")
    })
  )
})

/** Its own time is that of its asking, which was before the end: it waited in the server. */
describe("a RUNNING that landed on an end", () => {
  for (const [end, exit] of [
    ["CANCELLED", 0],
    ["COMPLETED", 1]
  ] as const) {
    scenario(`gives way to that again, ${end}, once the job is over with exit code ${exit}`, (world) =>
      Effect.gen(function* () {
        const ref = yield* world.addWorkload("w1")
        const job = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
        yield* world.addRun("r1", {
          run_count: 1,
          start_time: new Date(begin).toISOString(),
          infrastructure_pid: pid("w1", job),
          history: [claimState("t1", { where, at: begin - 3_000 }), stateAt(begin - 1_000, end)],
          state: stateAt(begin - 2_000, "RUNNING")
        })
        yield* startAgent(world, "agent-a")
        yield* pass("10 seconds")
        yield* world.setStage(job, exit === 0 ? "completed" : "failed", exit)
        yield* pass("5 minutes")
        expect(world.types("r1").slice(-1)).toEqual([end])
        expect(world.stateOf("r1")).toBe(end)
      })
    )
  }
})

describe("a stop whose reasons take long to be read", () => {
  scenario("is not sent once the engine has taken the run up", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const job = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
      yield* world.addRun("r1", {
        run_count: 1,
        start_time: new Date(begin).toISOString(),
        infrastructure_pid: pid("w1", job),
        history: [claimState("t1", { where })],
        state: stateAt(begin, "RUNNING")
      })
      yield* startAgent(world, "agent-a")
      yield* pass("12 seconds")
      yield* world.propose("r1", "CRASHED")
      const hung: Array<string> = []
      const hangs = { kind: "slow", before: 0, after: 8_000 } as const
      world.faults.on(({ name }) => name === "history" && hung.push(name) > 0, hangs)
      while (hung.length === 0) yield* pass("1 second")
      yield* world.propose("r1", "RUNNING")
      yield* pass("1 minute")
      expect(world.stopped()).toEqual([])
      yield* world.propose("r1", "CRASHED")
      yield* pass("3 minutes")
      expect(world.stopped()).toEqual([job])
    })
  )
})

describe("a double that was stopped, where the job that counted has vanished", () => {
  scenario("tells nothing of the run: the PID names another", (world) =>
    Effect.gen(function* () {
      const { first, second } = yield* withDouble(world)
      yield* world.setStage(second, "completed", 143)
      yield* world.vanish(first)
      yield* startAgent(world, "agent-a")
      yield* pass("10 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.run("r1").state?.message).toContain("no longer exists")
      expect(world.run("r1").infrastructure_pid).toBe(pid("w1", first))
    })
  )

  scenario("tells nothing of the run, whatever the PID names, to who saw that one", (world) =>
    Effect.gen(function* () {
      world.stopping.endsAs = "completed"
      const { first, second } = yield* withDouble(world)
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      expect(world.stages("r1")).toEqual(["running", "completed"])
      yield* world.change("r1", { infrastructure_pid: pid("w1", second) })
      yield* world.vanish(first)
      yield* pass("10 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.run("r1").state?.message).toContain("no longer exists")
    })
  )
})

describe("two jobs of one claim", () => {
  scenario("leave the older one, whoever looked before the PID named the younger", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const tags = { "prefect.io/attempt": attemptOf("t1") }
      const first = yield* world.addCommand(ref, "r1", { tags, created: begin - 2_000 })
      const second = yield* world.addCommand(ref, "r1", { tags, created: begin - 1_000 })
      yield* world.addRun("r1", {
        infrastructure_pid: pid("w1", second),
        state: claimState("t1", { where, at: begin - 3_000 })
      })
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      expect(world.stopped()).toEqual([second])
      expect(world.run("r1").infrastructure_pid).toBe(pid("w1", first))
    })
  )
})

describe("a job that is over", () => {
  scenario("ends no run that was claimed anew since, though its PID was never seen to change", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const first = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
      yield* world.setStage(first, "completed", 0)
      yield* world.addRun("r1", { state: claimState("t1", { where }) })
      const written = world.faults.onCall("changeRun", { kind: "503", commit: "never" }, 1e9)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      const at = begin + 20_000
      yield* world.propose("r1", "SCHEDULED", {
        name: "AwaitingRetry",
        scheduledTime: new Date(at).toISOString()
      })
      yield* world.propose("r1", "PENDING", {
        message: `Claimed by agent-b | attempt t2 | ${where} | try 2`,
        transitionId: "t2"
      })
      const second = yield* world.addCommand(ref, "r1", {
        tags: { "prefect.io/attempt": attemptOf("t2", at) }
      })
      yield* world.change("r1", { infrastructure_pid: pid("w1", second) })
      yield* world.propose("r1", "RUNNING")
      written()
      yield* pass("2 minutes")
      yield* world.setStage(second, "failed", 1)
      yield* pass("2 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.run("r1").state?.message).toContain(second)
    })
  )
})

describe("two claims that were accepted at once", () => {
  for (const named of ["first", "second"] as const) {
    scenario(`whose jobs both came leave one of them, when the PID names the ${named}`, (world) =>
      Effect.gen(function* () {
        const ref = yield* world.addWorkload("w1")
        const jobs = {
          first: yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } }),
          second: yield* world.addCommand(ref, "r1", {
            tags: { "prefect.io/attempt": attemptOf("t2", begin + 1) },
            created: begin + 5
          })
        }
        yield* world.addRun("r1", {
          infrastructure_pid: pid("w1", jobs[named]),
          history: [claimState("t1", { where, agent: "agent-b" })],
          state: claimState("t2", { where, at: begin + 1 })
        })
        yield* startAgent(world, "agent-a")
        yield* pass("8 seconds")
        yield* world.propose("r1", "RUNNING")
        yield* pass("10 minutes")
        expect(world.stopped()).toHaveLength(1)
        expect(world.stateOf("r1")).toBe("RUNNING")
        expect(world.stages("r1")).toContain("running")
      })
    )
  }
})
