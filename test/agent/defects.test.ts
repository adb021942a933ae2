import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { startAgent } from "../runs/world/agents.ts"
import type { Fault } from "../runs/world/faults.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import { attemptOf, begin, claimState, pid, stateAt, whereOf, type World } from "../runs/world/world.ts"

const defect: Fault = {
  kind: "error",
  error: () => {
    throw new TypeError("a mistake in the program")
  }
}

const running = Effect.fnUntraced(function* (world: World, runId: string, workload: string) {
  const ref = yield* world.addWorkload(workload)
  const command = yield* world.addCommand(ref, runId, {
    tags: { "prefect.io/attempt": attemptOf(`t-${runId}`) }
  })
  yield* world.addRun(runId, {
    run_count: 1,
    start_time: new Date(begin).toISOString(),
    infrastructure_pid: pid(workload, command),
    history: [claimState(`t-${runId}`, { where: whereOf(workload) })],
    state: stateAt(begin, "RUNNING")
  })
  return command
})

describe("a defect of the program", () => {
  scenario("met with one run keeps nobody from looking at the others, and is said", (world) =>
    Effect.gen(function* () {
      const vanished = yield* running(world, "a-run", "w1")
      const failed = yield* running(world, "b-run", "w2")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("30 seconds")
      world.faults.on(({ name, subject }) => name === "history" && subject === "a-run", defect, 1e9)
      yield* world.vanish(vanished)
      yield* pass("10 seconds")
      yield* world.setStage(failed, "failed", 1)
      yield* pass("1 minute")
      expect(world.stateOf("b-run")).toBe("CRASHED")
      const said = agent.lines.filter((line) => line.includes("a mistake in the program"))
      expect(said.some((line) => line.includes("a-run"))).toBe(true)
      expect(said.length).toBeLessThan(20)
    })
  )

  scenario("met in a launch holds that run back with growing pauses, and is said", (world) =>
    Effect.gen(function* () {
      world.faults.on(({ name, subject }) => name === "history" && subject === "r1", defect, 1e9)
      yield* world.addRun("r1", { run_count: 1 })
      yield* world.addRun("r2")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("10 minutes")
      expect(world.stateOf("r2")).toBe("COMPLETED")
      expect(world.stateOf("r1")).toBe("SCHEDULED")
      expect(world.faults.fired.length).toBeLessThan(10)
      expect(
        agent.lines.filter((line) => line.includes("Not launched yet: a mistake of the agent"))
      ).toHaveLength(1)
    })
  )
})
