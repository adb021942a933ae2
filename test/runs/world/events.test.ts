import { describe, expect, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { type Agent, startAgent } from "./agents.ts"
import { applyEvent, drawEvent, type Event, type EventName, eventNames } from "./events.ts"
import type { Cast, Scene } from "./events/kind.ts"
import { flow } from "./jobs.ts"
import { pass, scenario } from "./scenario.ts"
import { poolName, type World } from "./world.ts"

const cast: Cast = { line: "3", runs: ["r1"], replicas: 1 }

/** One agent, and one run whose job runs for ten minutes. */
const scene = Effect.fnUntraced(function* (world: World) {
  world.usual = flow({ runs: 600 })
  const agents: Array<Agent> = []
  const all: Array<Agent> = []
  const beside = Effect.fnUntraced(function* (_: number, name: string) {
    const agent = yield* startAgent(world, name)
    all.push(agent)
    return agent
  })
  const replace = Effect.fnUntraced(function* (slot: number, name = `agent-${all.length + 1}`) {
    agents[slot] = yield* beside(slot, name)
  })
  yield* replace(0)
  yield* world.addRun("r1")
  yield* pass("30 seconds")
  expect(world.stateOf("r1")).toBe("RUNNING")
  return { world, agents, all, replace, beside } satisfies Scene & { readonly all: ReadonlyArray<Agent> }
})

/** What became of it after a time. */
const after = (
  name: string,
  event: Event,
  seconds: number,
  see: (world: World, all: ReadonlyArray<Agent>) => void
) =>
  scenario(name, (world) =>
    Effect.gen(function* () {
      const set = yield* scene(world)
      expect(yield* applyEvent(set, event)).toBe(true)
      yield* pass(`${seconds} seconds`)
      see(world, set.all)
    })
  )

describe("events of a world", () => {
  it("are plain data, whatever their kind", () => {
    const seen = new Set<EventName>()
    for (let seed = 0; seed < 600; seed++) {
      const event = Effect.runSync(Random.withSeed(drawEvent(cast), seed))
      expect(JSON.parse(JSON.stringify(event))).toEqual(event)
      seen.add(event.what)
    }
    // All but those that are only made on purpose.
    expect(eventNames.filter((name) => !seen.has(name))).toEqual([
      "job of the reference",
      "database reset",
      "database restored",
      "database split",
      "pool deleted",
      "deployment deleted"
    ])
  })

  after(
    "kill an agent at a call, and start it again",
    {
      what: "killed at a call",
      slot: 0,
      service: "Prefect",
      call: "findRuns",
      nth: 2,
      when: "after",
      within: 60,
      down: 3
    },
    60,
    (_, all) => {
      expect(all.map(({ name }) => name)).toEqual(["agent-1", "agent-1"])
      expect(all[0]?.waitsFor()).toBe(0)
    }
  )

  after(
    "pause an agent at a call, for a while",
    {
      what: "paused at a call",
      slot: 0,
      service: "Prefect",
      call: "scheduledRuns",
      nth: 1,
      when: "before",
      within: 60,
      seconds: 70
    },
    100,
    (world) => {
      const seen = world.chronicle.of("worker seen").map(({ at }) => at)
      const pauses = seen.slice(1).map((at, index) => at - (seen[index] ?? at))
      expect(Math.max(...pauses)).toBeGreaterThan(70_000)
    }
  )

  after(
    "bring a new agent up before the old one drains",
    { what: "rolling restart", slot: 0, seconds: 10, sameName: false },
    60,
    (world, all) => {
      expect(all.map((agent) => agent.hasEnded())).toEqual([true, false])
      expect([...world.prefect.workers.keys()]).toEqual(["agent-2"])
    }
  )

  after(
    "start a second agent of the same name",
    { what: "twin", slot: 0, seconds: 20, ends: "stopped" },
    60,
    (_, all) => {
      expect(all.map((agent) => [agent.name, agent.hasEnded()])).toEqual([
        ["agent-1", false],
        ["agent-1", true]
      ])
    }
  )

  after(
    "take a job's machine away",
    { what: "containers killed", run: "r1", reason: "Evicted" },
    120,
    (world) => {
      expect(world.stages("r1")).toEqual(["failed"])
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.logOf("r1")).toContain("eviction")
    }
  )

  after("end a run by force", { what: "state forced", run: "r1", type: "FAILED" }, 300, (world) => {
    expect(world.stateOf("r1")).toBe("FAILED")
    expect(world.stages("r1")).toEqual(["cancelled"])
  })

  after("move a run that runs", { what: "rescheduled", run: "r1", later: 20 }, 400, (world) => {
    // Its job is stopped, and another one runs it at its time.
    expect(world.stages("r1")).toEqual(["cancelled", "running"])
    expect(world.stateOf("r1")).toBe("RUNNING")
  })

  after(
    "suspend a run from outside",
    { what: "paused by hand", run: "r1", suspended: true },
    200,
    (world) => {
      expect(world.stateOf("r1")).toBe("PAUSED")
      expect(world.stages("r1")).toEqual(["cancelled"])
    }
  )

  for (const to of ["malformed", "of another worker", "nothing"] as const) {
    after(
      `make a PID ${to}, and the run keeps its job`,
      { what: "PID edited", run: "r1", to },
      300,
      (world) => {
        expect(world.stateOf("r1")).toBe("RUNNING")
        expect(world.stages("r1")).toEqual(["running"])
      }
    )
  }

  after(
    "pause the pool, which stops claims and nothing else",
    { what: "pool paused", which: "pool", seconds: 100 },
    90,
    (world) => {
      expect(world.prefect.pools.get(poolName)?.pool.is_paused).toBe(true)
      expect(world.stages("r1")).toEqual(["running"])
    }
  )

  after(
    "rotate a history, and edit a workload, and nothing is lost",
    { what: "workload edited", of: "spec" },
    300,
    (world) => {
      expect(world.stages("r1")).toEqual(["running"])
    }
  )

  after(
    "let stops come to nothing, until one does not",
    { what: "stops come to nothing", times: 2 },
    1,
    (world) => {
      expect(world.platform.vainStops).toBe(2)
    }
  )

  scenario("let a stop come to nothing, which is asked for again", (world) =>
    Effect.gen(function* () {
      const set = yield* scene(world)
      yield* applyEvent(set, { what: "stops come to nothing", times: 2 })
      yield* applyEvent(set, { what: "cancel", run: "r1", force: false, legacy: false })
      yield* pass("3 minutes")
      expect(world.stopped()).toHaveLength(3)
      expect(world.stateOf("r1")).toBe("CANCELLED")
      expect(world.stages("r1")).toEqual(["cancelled"])
    })
  )

  for (const listed of [false, true]) {
    after(
      `lose a command that is ${listed ? "still" : "not"} among the executions`,
      { what: "job vanishes", run: "r1", listed },
      480,
      (world) => {
        expect(world.stateOf("r1")).toBe(listed ? "RUNNING" : "CRASHED")
      }
    )
  }
})
