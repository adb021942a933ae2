import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { startAgent } from "../runs/world/agents.ts"
import { broken } from "../runs/world/audit.ts"
import { flow, type Script } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import {
  begin,
  claimState,
  gvc,
  handedBack,
  location,
  org,
  stateAt,
  whereOf,
  type World
} from "../runs/world/world.ts"

const deploy = (world: World, token: string) =>
  world.deploy({ job_variables: { org, namespace: gvc, location, config: { token } } })

/** Org, GVC, location and credential are the deployment's; the agent's own surroundings give none of them. */
const outside = (world: World) => {
  deploy(world, "token-of-the-block")
  return startAgent(world, "agent-a", { injects: false })
}

const sidecarStays: Script = (job) =>
  Effect.gen(function* () {
    yield* Effect.sleep("2 seconds")
    yield* job.live
    yield* job.report("RUNNING")
    yield* Effect.sleep("20 seconds")
    yield* job.report("COMPLETED")
    yield* job.mainEnds(0)
    yield* Effect.never
  })

describe("an agent whose credential and place are those of its deployments", () => {
  scenario("adopts its live runs after a restart, and sees their cancel to its end", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 3_000 })
      yield* world.addRun("r1")
      const first = yield* outside(world)
      yield* pass("1 minute")
      expect(world.stateOf("r1")).toBe("RUNNING")
      yield* first.kill
      yield* outside(world)
      yield* pass("1 minute")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("1 minute")
      expect(world.stages("r1")).toEqual(["cancelled"])
      expect(world.stateOf("r1")).toBe("CANCELLED")
      expect(broken(world)).toEqual([])
    })
  )

  scenario("takes a token that was exchanged, with nothing launched since", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 3_000 })
      yield* world.addRun("r1")
      yield* outside(world)
      yield* pass("1 minute")
      deploy(world, "the-next-token")
      world.refusedTokens.add("token-of-the-block")
      yield* pass("1 minute")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("1 minute")
      expect(world.stages("r1")).toEqual(["cancelled"])
      expect(world.stateOf("r1")).toBe("CANCELLED")
    })
  )

  scenario("says once of a run whose org it has no credential for that it is left as it is", (world) =>
    Effect.gen(function* () {
      world.deploy({ job_variables: { org, namespace: gvc, location } })
      yield* world.addRun("r1", {
        run_count: 1,
        history: [claimState("t1", { where: whereOf("w1") })],
        infrastructure_pid: `${whereOf("w1")}:a-command`,
        state: stateAt(begin, "RUNNING")
      })
      const agent = yield* startAgent(world, "agent-a", { injects: false })
      yield* pass("30 minutes")
      expect(world.stateOf("r1")).toBe("RUNNING")
      expect(agent.lines.filter((line) => line.includes("no credential"))[0]).toContain("left as it is")
      expect(agent.lines.filter((line) => line.includes("cannot be looked for"))).toHaveLength(1)
    })
  )

  scenario("goes on with a run that was handed back before its restart", (world) =>
    Effect.gen(function* () {
      deploy(world, "token-of-the-block")
      yield* world.addRun("r1", {
        run_count: 0,
        history: [claimState("t1", { where: whereOf("w1") })],
        state: handedBack("t1", { where: whereOf("w1") })
      })
      yield* outside(world)
      yield* pass("5 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
    })
  )

  scenario("cleans up with a token that was exchanged", (world) =>
    Effect.gen(function* () {
      deploy(world, "token-of-the-block")
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a", {
        injects: false,
        settings: { cleanupTtl: "1", queryInterval: "10", cancelInterval: "30", watchInterval: "20" }
      })
      yield* pass("10 minutes")
      expect(world.platform.workloads.size).toBe(1)
      deploy(world, "the-next-token")
      world.refusedTokens.add("token-of-the-block")
      yield* pass("1 minute")
      yield* world.addRun("r2")
      yield* pass("4 hours")
      expect(world.stateOf("r2")).toBe("COMPLETED")
      expect(world.platform.workloads.size).toBe(0)
    })
  )

  scenario("stops side containers of a run that ended while it was away", (world) =>
    Effect.gen(function* () {
      world.addSideContainer()
      world.usual = sidecarStays
      yield* world.addRun("r1")
      const first = yield* outside(world)
      yield* pass("10 seconds")
      yield* first.kill
      yield* pass("1 minute")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      expect(world.stages("r1")).toEqual(["running"])
      yield* outside(world)
      yield* pass("3 minutes")
      expect(world.stages("r1")).toEqual(["cancelled"])
    })
  )
})
