import { readdirSync, readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Random, Result } from "effect"
import type { FlowRun } from "../../../src/prefect/schemas.ts"
import { blankRun } from "../../../src/runs/look/board.ts"
import { decide, type Observation } from "../../../src/runs/decide/decide.ts"
import { Flight, type FlightRecorder, makeFlight, observedOnly } from "../../../src/runs/flight/flight.ts"
import type { Noted } from "../../../src/runs/flight/facts.ts"
import { flightVersion, readFlightRecord } from "../../../src/runs/flight/record.ts"
import { viewOf } from "../../../src/runs/decide/phase.ts"
import { replay } from "../../simulation/replay.ts"
import { startAgent } from "../world/agents.ts"
import { flow, stuck } from "../world/jobs.ts"
import { anyEvent, beginChaos } from "../world/chaos.ts"
import { pass, scenario } from "../world/scenario.ts"
import { makeWorld } from "../world/world.ts"

const policy = {
  settle: 60_000,
  cancelGrace: 20_000,
  linger: 30_000,
  mainLinger: 120_000,
  startTimeout: 900_000,
  unreportedExit: "COMPLETED" as const
}
const settings = {
  ...policy,
  agentLink: "agent-a",
  pool: "pool",
  server: { line: "3" as const, text: "3.8.8" }
}

const begin = Date.UTC(2026, 10, 25)

/** A look at a RUNNING run whose job is not to be seen. */
const lookAt = (
  id: string,
  second: number,
  change: Partial<FlowRun> = {},
  observation: Observation = { _tag: "Absent", gone: false, provenAbsent: false, whose: "ours" }
): Noted => {
  const at = begin + second * 1000
  const run: FlowRun = {
    id,
    name: "n",
    flow_id: "f",
    run_count: 1,
    tags: [],
    state_id: "s1",
    state_type: "RUNNING",
    state_name: "Running",
    state: { type: "RUNNING", timestamp: new Date(begin).toISOString() },
    ...change
  }
  const view = viewOf(run, at, true)
  return {
    now: at,
    seen: { value: run, at },
    ours: true,
    looked: { ...observation, strays: [] } as Noted["looked"],
    job: undefined,
    memory: blankRun(),
    view,
    observation,
    policy: { ...policy, deadline: undefined },
    settings,
    decision: decide(view, observation, { ...policy, deadline: undefined })
  }
}

const entriesOf = (flight: FlightRecorder, id: string) => flight.record(id)?.entries ?? []

describe("the flight recorder", () => {
  it("folds looks that saw the same into one entry with their number and the last one's time", () => {
    const flight = makeFlight()
    for (let second = 0; second < 300; second += 5) flight.note(lookAt("r1", second))
    flight.note(lookAt("r1", 300, { state_id: "s2" }))
    const [first, second, ...rest] = entriesOf(flight, "r1")
    expect(rest).toEqual([])
    expect(first).toMatchObject({ count: 60, view: { phaseAge: 0 } })
    expect(first!.last.agent - first!.first.agent).toBe(295_000)
    expect(second).toMatchObject({ count: 1, facts: { run: { stateId: "s2" } } })
  })

  it("says why what was decided last was not done, until it is", () => {
    const flight = makeFlight()
    flight.note(lookAt("r1", 0))
    flight.held("r1", "another agent's turn")
    flight.held("r2", "nobody knows that run")
    expect(entriesOf(flight, "r1")).toMatchObject([{ held: "another agent's turn" }])
    flight.note(lookAt("r1", 5))
    expect(entriesOf(flight, "r1")[0]).not.toHaveProperty("held")
  })

  it("of an agent that only observes says so of all that would be done, and of nothing else", () => {
    const flight = observedOnly(makeFlight())
    flight.note(lookAt("r1", 0))
    flight.note(lookAt("r1", 5, {}, { _tag: "Absent", gone: true, provenAbsent: true, whose: "ours" }))
    expect(entriesOf(flight, "r1").map(({ decision, held }) => [decision._tag, held])).toEqual([
      ["Wait", undefined],
      ["Propose", "this agent only observes"]
    ])
  })

  it("keeps the newest looks of a run, and says how many made room", () => {
    const flight = makeFlight({ entriesPerRun: 8, bytesPerRun: 1e6, bytes: 1e6, keep: 1e9 })
    for (let second = 0; second < 20; second += 1)
      flight.note(lookAt("r1", second, { state_id: `s${second}` }))
    const record = flight.record("r1")
    expect(record?.dropped).toBe(12)
    expect(record?.entries.map(({ facts }) => facts.run.stateId)).toEqual(
      Array.from({ length: 8 }, (_, n) => `s${n + 12}`)
    )
  })

  it("stays within its bytes, and forgets first what was not looked at for longest", () => {
    const flight = makeFlight({ entriesPerRun: 64, bytesPerRun: 64_000, bytes: 200_000, keep: 1e9 })
    for (let second = 0; second < 2_000; second += 1) {
      flight.note(lookAt(`r${second}`, second))
      flight.note(lookAt("steady", second))
      expect(flight.size().bytes).toBeLessThanOrEqual(200_000)
    }
    expect(entriesOf(flight, "r0")).toEqual([])
    expect(entriesOf(flight, "r1999")).toHaveLength(1)
    expect(entriesOf(flight, "steady")).toMatchObject([{ count: 2_000 }])
    expect(flight.size().runs).toBeGreaterThan(50)
  })

  it("holds a thousand runs through their life in less than two MiB", () => {
    const flight = makeFlight()
    for (let n = 0; n < 1_000; n += 1) {
      for (const [second, state] of ["s1", "s2", "s3"].entries()) {
        flight.note(lookAt(`${n}`, second, { state_id: state }))
      }
    }
    expect(flight.size()).toMatchObject({ runs: 1_000, entries: 3_000 })
    expect(flight.size().bytes).toBeLessThan(2 * 1024 * 1024)
  })

  it("forgets what was not looked at for hours", () => {
    const flight = makeFlight()
    flight.note(lookAt("old", 0))
    flight.note(lookAt("new", 3 * 3600))
    expect(entriesOf(flight, "old")).toEqual([])
    expect(entriesOf(flight, "new")).toHaveLength(1)
  })

  it("keeps no words but this program's and single ones of the services", () => {
    const flight = makeFlight()
    flight.note(
      lookAt("r1", 0, {
        name: "hunter2",
        state_name: "My hunter2: state!",
        state: {
          type: "RUNNING",
          name: "hunter2",
          message: "the password is hunter2",
          timestamp: new Date(begin).toISOString()
        },
        job_variables: { env: { KEY: "hunter2" } },
        tags: ["hunter2"],
        infrastructure_pid: "hunter2",
        empirical_policy: { retry_type: "hunter2!", other: "hunter2" }
      })
    )
    flight.note({
      ...lookAt("r2", 0),
      looked: { _tag: "Unreachable", why: "401: hunter2", kind: "Unauthorised" },
      observation: { _tag: "Unreachable", why: "401: hunter2" },
      decision: decide(
        lookAt("r2", 0).view,
        { _tag: "Unreachable", why: "401: hunter2" },
        {
          ...policy,
          deadline: undefined
        }
      )
    })
    const text = JSON.stringify([flight.record("r1"), flight.record("r2")])
    expect(text).not.toContain("hunter2")
    expect(text).toContain("not ours to judge: Unauthorised")
  })
})

describe("an exported flight", () => {
  const exported = () => {
    const flight = makeFlight()
    flight.note(lookAt("r1", 0))
    return JSON.stringify(flight.record("r1"))
  }
  const refused = (text: string) => {
    const read = readFlightRecord(text, "f.json")
    return Result.isFailure(read) ? read.failure.message : "read"
  }

  it("is read back whole", () => {
    expect(refused(exported())).toBe("read")
  })

  it("of another version, of another kind, or damaged is refused by name", () => {
    expect(refused("{")).toBe("f.json is no JSON.")
    expect(refused("{}")).toMatch(/^f\.json is no flight record: .*--export/u)
    const other = exported().replace(`"version":${flightVersion}`, `"version":${flightVersion + 1}`)
    expect(refused(other)).toMatch(/^f\.json has version 2, and this program reads 1/u)
    expect(refused(exported().replace(/"prefect":\d+/u, '"prefect":"x"'))).toMatch(/^f\.json is damaged: /u)
  })
})

describe("the flight of a run in a modelled world", () => {
  scenario("shows its way from claim to end, and is decided again as it was", (world) =>
    Effect.gen(function* () {
      const flight = makeFlight()
      world.usual = flow({ reports: "nothing", exitCode: 137, runs: 30 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a").pipe(Effect.provideService(Flight, flight))
      yield* pass("3 minutes")
      expect(world.stateOf("r1")).toBe("CRASHED")
      const record = flight.record("r1")!
      expect(record.entries.map(({ decision }) => decision._tag)).toContain("Propose")
      const proposed = record.entries.find(({ decision }) => decision._tag === "Propose")
      expect(proposed?.decision).toMatchObject({ state: "CRASHED", why: expect.stringContaining("137") })
      expect(replay(record)).toEqual({ entries: record.entries.length, differences: [], reworded: [] })
    })
  )

  scenario("whose end rests on absence says that it is weighed first", (world) =>
    Effect.gen(function* () {
      const flight = makeFlight()
      world.usual = flow({ runs: 3_000 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a").pipe(Effect.provideService(Flight, flight))
      yield* pass("1 minute")
      yield* world.vanish("command1")
      const held = new Set<string | undefined>()
      for (let n = 0; n < 360 && world.stateOf("r1") !== "CRASHED"; n += 1) {
        yield* pass("1 second")
        held.add(entriesOf(flight, "r1").at(-1)?.held)
      }
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect([...held]).toContain("the brake on ends by absence weighs it first")
    })
  )

  scenario("that waits for hours for its start costs a handful of entries", (world) =>
    Effect.gen(function* () {
      const flight = makeFlight()
      world.usual = stuck()
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a").pipe(Effect.provideService(Flight, flight))
      yield* pass("10 minutes")
      const { entries } = flight.record("r1")!
      expect(entries.length).toBeLessThan(5)
      expect(entries.at(-1)?.count).toBeGreaterThan(50)
    })
  )

  it.effect.each([1, 2, 3])("through any trouble is decided again as it was (seed %s)", (seed) =>
    Effect.gen(function* () {
      const flight = makeFlight({ entriesPerRun: 1e6, bytesPerRun: 1e9, bytes: 1e9, keep: 1e12 })
      const { runs, entries } = yield* Effect.gen(function* () {
        const world = yield* makeWorld()
        const chaos = yield* beginChaos(world)
        for (let n = 0; n < 40; n += 1) {
          yield* pass("12 seconds")
          yield* anyEvent(chaos)
        }
        for (const rule of world.faults.rules) rule.left = 0
        yield* pass("10 minutes")
        const all = chaos.runs.flatMap((id) => flight.record(id) ?? [])
        return { runs: all, entries: all.flatMap((each) => each.entries) }
      }).pipe(Effect.provideService(Flight, flight), Effect.scoped, Random.withSeed(seed))
      expect(entries.length).toBeGreaterThan(20)
      for (const record of runs) {
        // Through a file, as a report of a bug would come.
        const read = readFlightRecord(JSON.stringify(record), "f.json")
        if (Result.isFailure(read)) throw read.failure
        expect(replay(read.success)).toEqual({
          entries: record.entries.length,
          differences: [],
          reworded: []
        })
      }
    })
  )
})

describe("recorded flights", () => {
  const folder = new URL("../../simulation/recorded/", import.meta.url)
  const recorded = (name: string) => {
    const read = readFlightRecord(readFileSync(new URL(name, folder), "utf8"), name)
    if (Result.isFailure(read)) throw read.failure
    return read.success
  }

  it.each(readdirSync(folder))("are decided as they were: %s", (name) => {
    expect(replay(recorded(name)).differences).toEqual([])
  })

  it("are decided otherwise where the rules are others", () => {
    const record = recorded("ended-well-without-report.json")
    const strict = { ...record.policy, settle: 0, unreportedExit: "CRASHED" as const }
    expect(replay({ ...record, policy: strict }).differences).toMatchObject([
      { entry: 2, recorded: { _tag: "Wait" }, now: { _tag: "Propose", state: "CRASHED" } },
      { entry: 2, recorded: { _tag: "Wait" }, now: { _tag: "Propose", state: "CRASHED" } },
      { entry: 3, recorded: { state: "COMPLETED" }, now: { state: "CRASHED" } }
    ])
  })
})
