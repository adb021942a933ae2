import { describe, expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Forbidden } from "../../../src/http/errors.ts"
import { parseClaimMessage } from "../../../src/job/claim-message.ts"
import { startAgent } from "../world/agents.ts"
import { makeBench } from "../world/bench.ts"
import type { Call, Fault } from "../world/faults.ts"
import { pass, scenario } from "../world/scenario.ts"
import type { World } from "../world/world.ts"

const forbidden: Fault = {
  kind: "error",
  error: (call: Call) => new Forbidden({ service: call.service, request: call.name, detail: "not permitted" })
}

const theWorkload = (world: World) => {
  const [workload, ...others] = world.platform.workloads.values()
  if (workload === undefined || others.length > 0) throw new Error("not one workload")
  return workload
}

const pathOf = (world: World) => theWorkload(world).ref.path

const jobOf = (world: World) => theWorkload(world).spec["job"] as Readonly<Record<string, unknown>>

const changed = (world: World) => world.chronicle.of("workload changed").length

/** A first run has made the workload; two minutes later nobody takes it for seen any more. */
const afterOneRun = Effect.fnUntraced(function* (world: World) {
  yield* world.addRun("r1")
  const agent = yield* startAgent(world, "agent-a")
  yield* pass("2 minutes")
  expect(world.stateOf("r1")).toBe("COMPLETED")
  return agent
})

const runAgain = Effect.fnUntraced(function* (world: World, id = "r2") {
  yield* world.addRun(id)
  yield* pass("2 minutes")
})

const restarts = (world: World) =>
  world.editWorkload(pathOf(world), ({ spec }) => ({
    spec: { ...spec, job: { ...(spec["job"] as object), restartPolicy: "OnFailure" } }
  }))

describe("a workload that somebody changed", () => {
  scenario("is put right before the next run, and that is said", (world) =>
    Effect.gen(function* () {
      const agent = yield* afterOneRun(world)
      restarts(world)
      yield* runAgain(world)
      expect(world.stateOf("r2")).toBe("COMPLETED")
      expect(jobOf(world)["restartPolicy"]).toBe("Never")
      expect(changed(world)).toBe(1)
      expect(agent.lines.filter((line) => line.includes("(spec.job.restartPolicy): put right"))).toHaveLength(
        1
      )
    })
  )

  scenario("keeps the tags that it was given, and has ours again", (world) =>
    Effect.gen(function* () {
      yield* afterOneRun(world)
      world.editWorkload(pathOf(world), ({ tags }) => ({
        tags: { ...tags, team: "data", "cpln/specHash": "another" }
      }))
      yield* runAgain(world)
      const { tags } = theWorkload(world)
      expect(tags).toMatchObject({ team: "data", "cpln/createdByPrefect": "true" })
      expect(tags["cpln/specHash"]).toMatch(/^[0-9a-f]{32}$/u)
    })
  )

  scenario("where it was left open stays as it is: defaults are nobody's edit", (world) =>
    Effect.gen(function* () {
      yield* afterOneRun(world)
      world.editWorkload(pathOf(world), ({ spec }) => ({
        spec: {
          ...spec,
          rolloutOptions: { terminationGracePeriodSeconds: 90 },
          identityLink: String(spec["identityLink"]).replace(/^.*\/identity\//u, "//identity/"),
          defaultOptions: {
            ...(spec["defaultOptions"] as object),
            timeoutSeconds: 5,
            debug: undefined
          }
        }
      }))
      yield* runAgain(world)
      expect(world.stateOf("r2")).toBe("COMPLETED")
      expect(changed(world)).toBe(0)
    })
  )

  scenario("and may not be put right is refused, with what was changed", (world) =>
    Effect.gen(function* () {
      yield* afterOneRun(world)
      restarts(world)
      world.faults.onCall("replaceWorkload", forbidden, Number.POSITIVE_INFINITY)
      yield* runAgain(world)
      expect(world.stateOf("r2")).toBe("CRASHED")
      expect(world.run("r2").state?.message).toContain("somebody changed it (spec.job.restartPolicy)")
      expect(world.stages("r2")).toEqual([])
    })
  )

  scenario("so that it is not this pool's any more is refused, and not written", (world) =>
    Effect.gen(function* () {
      yield* afterOneRun(world)
      world.editWorkload(pathOf(world), () => ({ tags: {} }))
      yield* runAgain(world)
      expect(world.stateOf("r2")).toBe("CRASHED")
      expect(world.run("r2").state?.message).toContain("without the tag prefect.io/work-pool-id")
      expect(changed(world)).toBe(0)
    })
  )

  scenario("is written once by agents that see it at the same moment", (world) =>
    Effect.gen(function* () {
      yield* afterOneRun(world)
      yield* startAgent(world, "agent-b")
      yield* startAgent(world, "agent-c")
      yield* pass("1 minute")
      restarts(world)
      yield* Effect.forEach(["r2", "r3", "r4", "r5"], (id) => world.addRun(id))
      yield* pass("2 minutes")
      expect(["r2", "r3", "r4", "r5"].map(world.stateOf)).toEqual(Array(4).fill("COMPLETED"))
      expect(changed(world)).toBe(1)
      expect(jobOf(world)["restartPolicy"]).toBe("Never")
    })
  )
})

describe("a spec that the service keeps in another form", () => {
  const cut = (world: World) =>
    world.editWorkload(pathOf(world), ({ spec }) => ({ spec: { ...spec, firewallConfig: {} } }))

  scenario("is written once more, then left as it is, and that is said once", (world) =>
    Effect.gen(function* () {
      const agent = yield* afterOneRun(world)
      cut(world)
      const write = world.platform.replaceWorkload.bind(world.platform)
      world.platform.replaceWorkload = (...args) => {
        const done = write(...args)
        cut(world)
        return done
      }
      yield* runAgain(world, "r2")
      yield* runAgain(world, "r3")
      expect(["r2", "r3"].map(world.stateOf)).toEqual(["COMPLETED", "COMPLETED"])
      expect(changed(world)).toBe(1)
      expect(agent.lines.filter((line) => line.includes("used as it is"))).toHaveLength(1)
    })
  )

  scenario("from the start is nobody's edit: nothing is written again", (world) =>
    Effect.gen(function* () {
      const make = world.platform.makeWorkload.bind(world.platform)
      world.platform.makeWorkload = (now, by, ref, body) =>
        make(now, by, ref, { ...body, spec: { ...body.spec, firewallConfig: {} } })
      const agent = yield* afterOneRun(world)
      yield* runAgain(world)
      expect(changed(world)).toBe(0)
      expect(agent.lines.some((line) => line.includes("changed it"))).toBe(false)
    })
  )
})

describe("a workload", () => {
  scenario("that many runs need at once is looked at once, and made once", (world) =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 30 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id) => world.addRun(id))
      let reads = 0
      world.faults.on((call) => {
        if (call.name === "readWorkload" || call.name === "deployments") reads++
        return false
      }, forbidden)
      yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      expect(world.platform.commands()).toHaveLength(30)
      expect(world.chronicle.of("workload made")).toHaveLength(1)
      expect(reads).toBeLessThanOrEqual(4)
    })
  )

  scenario("that goes away between the look and the start is made again, in the same attempt", (world) =>
    Effect.gen(function* () {
      const bench = yield* makeBench(world, "agent-a")
      yield* world.addRun("r1")
      world.faults.onCall("start", { kind: "slow", before: 2_000, after: 0 })
      const launched = yield* Effect.forkChild(bench.launchNow("r1"))
      yield* pass("1 second")
      world.platform.deleteWorkload(0, "person", pathOf(world))
      yield* pass("30 seconds")
      yield* Fiber.join(launched)
      expect(world.stages("r1")).toHaveLength(1)
      expect(world.types("r1").filter((type) => type === "PENDING")).toHaveLength(1)
      const claims = world.prefect
        .states("r1")
        .flatMap((state) => parseClaimMessage(state.message ?? "") ?? [])
      expect(claims).toHaveLength(1)
      expect(world.chronicle.of("workload made")).toHaveLength(2)
    })
  )
})
