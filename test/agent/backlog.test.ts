import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { backlogWords, type Due } from "../../src/agent/backlog.ts"
import { startAgent } from "../runs/world/agents.ts"
import { flow } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import { begin } from "../runs/world/world.ts"

const waits = (lines: ReadonlyArray<string>) => lines.filter((line) => /for a start/u.test(line))

describe("the line of what waits", () => {
  it("tells how many, for how long, and what each of them waits for", () => {
    const due: ReadonlyArray<Due> = [
      { overdue: 372_000, offered: { _tag: "Under way" } },
      { overdue: 5_000, offered: { _tag: "Held back", why: "a quota is reached" } },
      { overdue: 4_000, offered: { _tag: "No room" } },
      { overdue: 3_000, offered: { _tag: "No room" } }
    ]
    expect(backlogWords(due, 1_000)).toBe(
      "1000 due runs wait for a start, the oldest for 6 m 12 s: 1 under way, 1 held back (a quota is reached), 2 beyond --limit, 996 not looked at yet."
    )
    expect(backlogWords(due.slice(0, 1), 1)).toBe(
      "1 due run waits for a start, the oldest for 6 m 12 s: 1 under way."
    )
  })
})

describe("runs that became due while nobody looked", () => {
  scenario("are counted, all of them, and it is said when none waits any more", (world) =>
    Effect.gen(function* () {
      world.faults.latency = { least: 200, most: 400 }
      const ids = Array.from({ length: 450 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id) => world.addRun(id, { due: begin - 3_600_000 }))
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("5 minutes")
      const lines = waits(agent.lines)
      expect(lines[0]).toContain("450 due runs wait for a start, the oldest for 1 h 0 m: ")
      expect(lines[0]).toContain("200 under way, 250 not looked at yet.")
      expect(lines.at(-1)).toContain("No due run waits for a start any more.")
      expect(lines.length).toBeLessThan(5)
      expect(ids.every((id) => world.stateOf(id) === "COMPLETED")).toBe(true)
    })
  )

  scenario("are told of at growing pauses while --limit holds them up", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 3_000 })
      yield* Effect.forEach(["r1", "r2", "r3"], (id) => world.addRun(id))
      const agent = yield* startAgent(world, "agent-a", { settings: { limit: "1" } })
      yield* pass("40 minutes")
      const lines = waits(agent.lines)
      expect(lines[0]).toContain("2 due runs wait for a start, the oldest for 30 s: 2 beyond --limit.")
      expect(lines.length).toBeGreaterThan(8)
      expect(lines.length).toBeLessThan(13)
    })
  )

  scenario("at their second are not spoken of", (world) =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 20 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id, n) => world.addRun(id, { due: begin + n * 5_000 }))
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("5 minutes")
      expect(waits(agent.lines)).toEqual([])
    })
  )
})
