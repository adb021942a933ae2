import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { startAgent } from "../runs/world/agents.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import { attemptOf, begin, claimState, pid, stateAt, whereOf, type World } from "../runs/world/world.ts"

const where = whereOf("w1")

/** That many runs with a live job each that no script plays; returns their commands, by number from 1. */
const withJobs = Effect.fnUntraced(function* (world: World, count: number) {
  const ref = yield* world.addWorkload("w1")
  const commands: Array<string> = []
  for (let n = 1; n <= count; n++) {
    const command = yield* world.addCommand(ref, `r${n}`, {
      tags: { "prefect.io/attempt": attemptOf(`t${n}`) }
    })
    commands.push(command)
    yield* world.addRun(`r${n}`, {
      run_count: 1,
      start_time: new Date(begin).toISOString(),
      infrastructure_pid: pid("w1", command),
      history: [claimState(`t${n}`, { where })],
      state: stateAt(begin, "RUNNING")
    })
  }
  return commands
})

const remove = (world: World, count: number, from = 1) => {
  for (let n = from; n < from + count; n++) world.prefect.delete(begin + 20_000, `r${n}`)
}
const vanish = (world: World, commands: ReadonlyArray<string>) =>
  Effect.forEach(commands, (command) => world.vanish(command), { discard: true })
const crashed = (world: World, count: number) =>
  Array.from({ length: count }, (_, n) => world.stateOf(`r${n + 1}`)).filter((type) => type === "CRASHED")
    .length
const brakeLines = (lines: ReadonlyArray<string>) => lines.filter((line) => line.includes("Brake:"))

describe("runs that were deleted", () => {
  scenario("in a small number have their jobs stopped", (world) =>
    Effect.gen(function* () {
      const commands = yield* withJobs(world, 12)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      remove(world, 5)
      yield* pass("3 minutes")
      expect(world.stopped().toSorted()).toEqual(commands.slice(0, 5).toSorted())
    })
  )

  scenario("one of two has its job stopped: a single run that a person deletes is no mass action", (world) =>
    Effect.gen(function* () {
      const [first] = yield* withJobs(world, 2)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      remove(world, 1)
      yield* pass("3 minutes")
      expect(world.stopped()).toEqual([first])
    })
  )

  scenario("in a great number keep every job, until the agent starts anew with a higher limit", (world) =>
    Effect.gen(function* () {
      const commands = yield* withJobs(world, 12)
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      remove(world, 6)
      yield* pass("40 minutes")
      expect(world.stopped()).toEqual([])
      expect(brakeLines(agent.lines)).toHaveLength(1)
      expect(brakeLines(agent.lines)[0]).toContain("--max-disruption 6")
      yield* agent.kill
      yield* startAgent(world, "agent-b", { settings: { maxDisruption: "6" } })
      yield* pass("3 minutes")
      expect(world.stopped().toSorted()).toEqual(commands.slice(0, 6).toSorted())
    })
  )

  scenario("in a great number cost no reads of their own for as long as they are held", (world) =>
    Effect.gen(function* () {
      yield* withJobs(world, 12)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      remove(world, 6)
      yield* pass("2 minutes")
      let reads = 0
      world.faults.on(({ name }) => ["readRun", "readWorkPool"].includes(name) && ++reads < 0, {
        kind: "refused"
      })
      yield* pass("10 minutes")
      // The pool is read with each heartbeat.
      expect(reads).toBeLessThanOrEqual(21)
      expect(world.stopped()).toEqual([])
    })
  )

  scenario("one after another within fifteen minutes count together", (world) =>
    Effect.gen(function* () {
      yield* withJobs(world, 14)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      remove(world, 4)
      yield* pass("5 minutes")
      remove(world, 4, 5)
      yield* pass("40 minutes")
      expect(world.stopped()).toHaveLength(4)
    })
  )

  scenario("whose jobs end by themselves do not let the last ones be stopped", (world) =>
    Effect.gen(function* () {
      const commands = yield* withJobs(world, 12)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      remove(world, 8)
      yield* pass("10 minutes")
      for (const command of commands.slice(0, 6)) yield* world.setStage(command, "completed", 0)
      yield* pass("40 minutes")
      expect(world.stopped()).toEqual([])
    })
  )

  scenario("are held as before when Control Plane was away for a while", (world) =>
    Effect.gen(function* () {
      const commands = yield* withJobs(world, 12)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      remove(world, 8)
      yield* pass("10 minutes")
      for (const command of commands.slice(0, 6)) yield* world.setStage(command, "completed", 0)
      yield* pass("1 minute")
      const back = world.faults.outage("Control Plane")
      yield* pass("10 minutes")
      back()
      yield* pass("40 minutes")
      expect(world.stopped()).toEqual([])
    })
  )

  scenario("and show again after a 404 keep their jobs, as behind two servers", (world) =>
    Effect.gen(function* () {
      yield* withJobs(world, 12)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      const other = world.faults.on(
        ({ name, subject }) => name === "readRun" && subject === "r1",
        { kind: "stale", by: 1e12 },
        1e9
      )
      const lists = world.faults.on(({ name }) => name === "findRuns", { kind: "stale", by: 1e12 }, 1e9)
      yield* pass("20 seconds")
      lists()
      other()
      yield* pass("10 seconds")
      remove(world, 1)
      yield* pass("40 minutes")
      expect(world.stopped()).toEqual([])
    })
  )
})

describe("jobs that vanished", () => {
  scenario("in a small number end their runs after five looks", (world) =>
    Effect.gen(function* () {
      const commands = yield* withJobs(world, 12)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      yield* vanish(world, commands.slice(0, 5))
      yield* pass("6 minutes")
      expect(crashed(world, 12)).toBe(5)
    })
  )

  scenario("in a great number end theirs after fifteen more minutes of the same answers", (world) =>
    Effect.gen(function* () {
      const commands = yield* withJobs(world, 12)
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      yield* vanish(world, commands.slice(0, 6))
      yield* pass("18 minutes")
      expect(crashed(world, 12)).toBe(0)
      expect(brakeLines(agent.lines)).toHaveLength(1)
      // The end of the wait in a person's time: five looks a minute apart, and a quarter of an hour.
      expect(brakeLines(agent.lines)[0]).toContain(`ended from ${new Date(begin).toISOString().slice(0, 10)}`)
      yield* pass("4 minutes")
      expect(crashed(world, 12)).toBe(6)
      expect(brakeLines(agent.lines)).toHaveLength(2)
    })
  )

  scenario("and cannot be looked at for a moment wait no longer for that", (world) =>
    Effect.gen(function* () {
      const commands = yield* withJobs(world, 12)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      yield* vanish(world, commands.slice(0, 6))
      yield* pass("12 minutes")
      const back = world.faults.on(({ name }) => name === "get", { kind: "503", commit: "never" }, 1e9)
      yield* pass("30 seconds")
      back()
      yield* pass("10 minutes")
      expect(crashed(world, 12)).toBe(6)
    })
  )

  scenario("for ten minutes, all of them, end no run", (world) =>
    Effect.gen(function* () {
      const commands = yield* withJobs(world, 3)
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      const back = world.faults.on(
        ({ name }) => ["find", "get", "deployments"].includes(name),
        { kind: "stale", by: 1e12 },
        1e9
      )
      yield* pass("10 minutes")
      expect(brakeLines(agent.lines)).toHaveLength(1)
      back()
      yield* pass("10 minutes")
      expect(crashed(world, 3)).toBe(0)
      expect(commands.map(world.stageOf)).toEqual(["running", "running", "running"])
    })
  )

  scenario("after another one was seen again are given fifteen minutes more", (world) =>
    Effect.gen(function* () {
      const commands = yield* withJobs(world, 12)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      const hidden = world.faults.on(
        ({ name }) => ["find", "get", "deployments"].includes(name),
        { kind: "stale", by: 1e12 },
        1e9
      )
      yield* pass("30 seconds")
      hidden()
      yield* vanish(world, commands.slice(0, 1))
      yield* pass("14 minutes")
      expect(crashed(world, 12)).toBe(0)
      yield* pass("4 minutes")
      expect(crashed(world, 12)).toBe(1)
    })
  )
})

describe("what is seen", () => {
  scenario("is not braked: any number of jobs that failed end their runs", (world) =>
    Effect.gen(function* () {
      const commands = yield* withJobs(world, 12)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      for (const command of commands) yield* world.setStage(command, "failed", 1)
      yield* pass("1 minute")
      expect(crashed(world, 12)).toBe(12)
    })
  )
})
