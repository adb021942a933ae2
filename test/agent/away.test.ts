/** Services that are away, refuse for a while, or ask to wait: what waits, and what comes of it when that is over. */
import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { parseClaimMessage, parseHandBackMessage } from "../../src/job/claim-message.ts"
import { startAgent } from "../runs/world/agents.ts"
import type { Fault } from "../runs/world/faults.ts"
import { flow } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import { begin, location, org, type World } from "../runs/world/world.ts"

const handBacks = (world: World, runId: string) =>
  world.prefect.states(runId).flatMap(({ message }) => parseHandBackMessage(message ?? "")?.reason ?? [])

const claims = (world: World, runId: string) =>
  world.prefect.states(runId).filter(({ message }) => parseClaimMessage(message ?? "") !== undefined).length

/** Ms from when the service is well again to the first job. */
const startedAfter = (world: World, since: number) =>
  (world.chronicle.of("job made")[0]?.at ?? Number.POSITIVE_INFINITY) - since

const hour = 3_600_000
/** The monitor interval, and the time that a start takes. */
const interval = 62_000

describe("Control Plane that refuses every start for an hour", () => {
  const faults: Readonly<Record<string, Fault>> = {
    "with 429": { kind: "429" },
    "with 429 and Retry-After": { kind: "429", retryAfterMillis: 3_000 },
    "because a quota is reached": { kind: "quota" },
    "with 503": { kind: "503", commit: "never" },
    "with broken connections": { kind: "reset", commit: "never" },
    "with refused connections": { kind: "refused" }
  }
  for (const [name, fault] of Object.entries(faults)) {
    scenario(`${name} ends no run, and starts it within one interval afterwards`, (world) =>
      Effect.gen(function* () {
        yield* world.addRun("r1")
        const over = world.faults.on((call) => call.name === "start", fault, 1e9)
        yield* startAgent(world, "agent-a")
        yield* pass(hour)
        expect(["SCHEDULED", "PENDING"]).toContain(world.stateOf("r1"))
        expect(handBacks(world, "r1")).not.toContain("lost")
        expect(world.logOf("r1").match(/Not launched yet/gu)).toHaveLength(1)
        over()
        yield* pass("5 minutes")
        expect(startedAfter(world, begin + hour)).toBeLessThan(interval)
        expect(world.stateOf("r1")).toBe("COMPLETED")
        expect(world.stages("r1")).toEqual(["completed"])
        // Two minutes of tries in each claim, and a minute of rest at most.
        expect(claims(world, "r1")).toBeLessThan(25)
      })
    )
  }
})

describe("Control Plane that is away for an hour", () => {
  scenario("ends no run, and starts those that are due within one interval afterwards", (world) =>
    Effect.gen(function* () {
      const over = world.faults.outage("Control Plane")
      const ids = Array.from({ length: 30 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id, n) => world.addRun(id, { due: begin + n * 100_000 }))
      yield* startAgent(world, "agent-a")
      yield* pass(hour)
      expect(ids.map((id) => claims(world, id))).toEqual(ids.map(() => 0))
      over()
      yield* pass(interval)
      for (const id of ids) expect(world.stages(id)).toHaveLength(1)
      yield* pass("5 minutes")
      expect(ids.map((id) => world.stateOf(id))).toEqual(ids.map(() => "COMPLETED"))
    })
  )
})

describe("a start that is refused while others of the same org go through", () => {
  scenario("is given back twice, and is the end of the run at the third time", (world) =>
    Effect.gen(function* () {
      world.platform.gvcs.set(`${org}/other`, [location])
      world.usual = flow({ runs: 5 })
      yield* world.addRun("r1", { job_variables: { namespace: "other" } })
      yield* Effect.forEach(Array.from({ length: 60 }), (_, n) =>
        world.addRun(`other-${n}`, { due: begin + n * 15_000 })
      )
      world.faults.on(
        ({ name, subject }) =>
          name === "start" && world.platform.workloads.has(`/org/${org}/gvc/other/workload/${subject}`),
        { kind: "refused" },
        1e9
      )
      yield* startAgent(world, "agent-a")
      yield* pass("15 minutes")
      expect(handBacks(world, "r1")).toEqual(["lost", "lost"])
      expect(claims(world, "r1")).toBe(3)
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.logOf("r1")).toContain("could not be started 3 times")
      expect(world.run("r1").state?.message).toContain("[lost]")
    })
  )
})
