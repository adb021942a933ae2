import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Layer, Random, Result } from "effect"
import { cleanUpOnce } from "../../src/agent/cleanup-once.ts"
import { Access } from "../../src/cpln/control-plane.ts"
import { injected, startAgent } from "../runs/world/agents.ts"
import { broken, livesOf, overlapOf } from "../runs/world/audit.ts"
import { flow } from "../runs/world/jobs.ts"
import { controlPlaneFor } from "../runs/world/platform-service.ts"
import { prefectFor } from "../runs/world/prefect-service.ts"
import { pass, scenario, within } from "../runs/world/scenario.ts"
import { begin, gvc, makeWorld, org, poolId, poolName, type World } from "../runs/world/world.ts"

/** Six minutes; polls are seldom, so that hours of the world are seconds of the test. */
const settings = {
  cleanupTtl: "0.1",
  queryInterval: "10",
  cancelInterval: "30",
  watchInterval: "20",
  interval: "120",
  prefetch: "0"
} as const

const agentOf = (world: World, name: string) => startAgent(world, name, { settings })

/** The usual deployment reads a secret, so that there is an identity and a policy. */
const withSecret = (world: World) => {
  world.platform.secrets.set(`${org}/db`, { type: "dictionary", data: { password: "the-password" } })
  world.deploy({ job_variables: { env: { DB: "cpln://secret/db.password" } } })
}

const deleted = (world: World) =>
  world.chronicle.entries.flatMap((each) =>
    /^(?:identity|policy|workload) deleted$/u.test(each.what) ? [each.what] : []
  )

const removals = (world: World) =>
  world.chronicle.entries.flatMap((each) => (each.what === "workload deleted" ? [each] : []))

const ours = "p0f3b6a52-job-"
const names = (world: World) => [...world.platform.workloads.values()].map(({ ref }) => ref.name)

const makeAll = (world: World, all: Readonly<Record<string, Readonly<Record<string, string>>>>) =>
  Effect.forEach(Object.entries(all), ([name, tags]) => world.addWorkload(name, tags))

/** Jobs that lived when something was deleted under them. */
const cut = (world: World, runId: string) =>
  world.chronicle.of("job deleted").filter(({ at, commandId }) => {
    const life = livesOf(world, runId).find((each) => each.commandId === commandId)
    return life !== undefined && life.to === at && life.from < at
  }).length

describe("a workload that is used no more", () => {
  scenario("goes when its last job has been over for the TTL, then its policy and its identity", (world) =>
    Effect.gen(function* () {
      withSecret(world)
      yield* world.addRun("r1")
      yield* agentOf(world, "agent-a")
      yield* pass("2 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      const over = livesOf(world, "r1")[0]?.to ?? 0
      yield* pass("30 minutes")
      const [gone] = removals(world)
      expect((gone?.at ?? 0) - over).toBeGreaterThanOrEqual(6 * 60_000 + 120_000)
      expect((gone?.at ?? 0) - over).toBeLessThan(12 * 60_000)
      yield* pass("2 hours")
      expect(deleted(world)).toEqual(["workload deleted", "policy deleted", "identity deleted"])
      expect([world.platform.identities.size, world.platform.policies.size]).toEqual([0, 0])
    })
  )

  scenario("goes also where a list of all workloads takes longer than an hour", (world) =>
    Effect.gen(function* () {
      yield* agentOf(world, "agent-a")
      yield* pass("50 minutes")
      world.faults.onCall("findWorkloads", { kind: "slow", before: 0, after: 70 * 60_000 }, 1e9)
      yield* world.addRun("r1")
      yield* pass("2 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      yield* pass("6 hours")
      expect(removals(world)).toHaveLength(1)
    })
  )

  scenario("is made anew by the next run, with what it needs", (world) =>
    Effect.gen(function* () {
      withSecret(world)
      yield* world.addRun("r1")
      yield* agentOf(world, "agent-a")
      yield* pass("3 hours")
      expect(names(world)).toEqual([])
      yield* world.addRun("r2")
      yield* pass("3 minutes")
      expect(world.stateOf("r2")).toBe("COMPLETED")
      expect(names(world)).toHaveLength(1)
      expect([world.platform.identities.size, world.platform.policies.size]).toEqual([1, 1])
    })
  )

  scenario("stays for as long as a job lives in it, however long ago that was started", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 5_400 })
      yield* world.addRun("r1")
      yield* agentOf(world, "agent-a")
      yield* pass("80 minutes")
      expect(world.stateOf("r1")).toBe("RUNNING")
      expect(deleted(world)).toEqual([])
      yield* pass("40 minutes")
      const over = livesOf(world, "r1")[0]?.to ?? 0
      expect(over - begin).toBeGreaterThan(80 * 60_000)
      expect((removals(world)[0]?.at ?? 0) - over).toBeGreaterThanOrEqual(8 * 60_000)
    })
  )

  scenario("goes though no agent remembers it: what is idle at a start was made by others", (world) =>
    Effect.gen(function* () {
      yield* makeAll(world, { [`${ours}1`]: {}, [`${ours}2`]: {} })
      yield* agentOf(world, "agent-a")
      yield* pass("30 minutes")
      expect(names(world)).toEqual([])
    })
  )
})

describe("what is not ours", () => {
  scenario("is left alone, idle or not", (world) =>
    Effect.gen(function* () {
      const others = {
        "j-job-1": {},
        [`${ours}of-another-pool`]: { "prefect.io/work-pool-id": "another" },
        "copy-of-it": {},
        "pffffffff-job-1": {},
        [`${ours}protected`]: { "cpln/protected": "true" }
      }
      yield* makeAll(world, { ...others, [`${ours}1`]: {} })
      const object = (name: string, pool: string) => ({
        kind: "identity",
        name,
        tags: { "prefect.io/work-pool-id": pool }
      })
      const identities = [
        object(`${ours}x-identity`, "another"),
        object("of-a-person-identity", poolId),
        object(`${ours}linked-identity`, poolId),
        object(`${ours}shared-identity`, poolId),
        object(`${ours}gone-identity`, poolId)
      ]
      const path = (name: string) => `/org/${org}/gvc/${gvc}/identity/${name}`
      for (const body of identities) {
        world.platform.writeObject(begin, "person", "identity", path(body.name), body)
      }
      // Somebody's own workload links one of them, and a policy gives rights to others as well.
      yield* world.addWorkload("server", { "prefect.io/work-pool-id": "none" })
      world.editWorkload(`/org/${org}/gvc/${gvc}/workload/server`, () => ({
        spec: { identityLink: path(`${ours}linked-identity`) }
      }))
      world.platform.writeObject(begin, "person", "policy", `${org}/${ours}shared-reveal-policy`, {
        name: `${ours}shared-reveal-policy`,
        tags: { "prefect.io/work-pool-id": poolId },
        bindings: [
          { permissions: ["reveal"], principalLinks: [path("somebody"), path(`${ours}shared-identity`)] }
        ]
      })
      yield* agentOf(world, "agent-a")
      yield* pass("5 hours")
      expect(names(world).toSorted()).toEqual([...Object.keys(others), "server"].toSorted())
      expect([...world.platform.identities.keys()].toSorted()).toEqual(
        identities
          .slice(0, 4)
          .map(({ name }) => path(name))
          .toSorted()
      )
      expect(world.platform.policies.size).toBe(1)
    })
  )

  scenario("is what another pool of the same name finds", (world) =>
    Effect.gen(function* () {
      yield* makeAll(world, { [`${ours}1`]: {} })
      const agent = yield* agentOf(world, "agent-a")
      yield* pass("2 minutes")
      world.addPool(poolName, "11111111-97ea-4ffd-8d44-0cbf3d6e7b10")
      yield* pass("1 hour")
      expect(agent.hasEnded()).toBe(false)
      expect(deleted(world)).toEqual([])
      world.addPool(poolName, poolId)
      yield* pass("90 minutes")
      expect(names(world)).toEqual([])
    })
  )
})

describe("an answer that does not come", () => {
  for (const service of ["Prefect", "Control Plane"] as const) {
    scenario(`from ${service} keeps everything, until it comes`, (world) =>
      Effect.gen(function* () {
        yield* makeAll(world, { [`${ours}1`]: {}, [`${ours}2`]: {} })
        yield* agentOf(world, "agent-a")
        yield* pass("30 seconds")
        const end = world.faults.outage(service)
        yield* pass("40 minutes")
        expect(deleted(world)).toEqual([])
        end()
        yield* pass("2 hours")
        expect(names(world)).toEqual([])
      })
    )
  }

  scenario(
    "is not made up for by an incomplete one: a job that a list leaves out is seen elsewhere",
    (world) =>
      Effect.gen(function* () {
        const ref = (yield* makeAll(world, { [`${ours}1`]: {} }))[0]
        if (ref === undefined) throw new Error("no workload")
        // Of no run that is open: only the platform tells of it.
        yield* world.addCommand(ref, "r-unknown", { tags: { "prefect.io/work-pool-id": "another" } })
        world.faults.on(
          ({ name }) => name === "find" || name === "findRuns" || name === "findWorkloads",
          { kind: "lost page", from: 0, to: 0.9 },
          Number.POSITIVE_INFINITY
        )
        yield* agentOf(world, "agent-a")
        yield* pass("1 hour")
        expect(deleted(world)).toEqual([])
      })
  )

  scenario("to a delete that was done may come late: nobody deletes what was made anew since", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const agent = yield* agentOf(world, "agent-a")
      world.faults.onCall("removeWorkload", { kind: "503", commit: "after" })
      let removed = 0
      agent.onceAt(
        { service: "Control Plane", name: "removeWorkload", nth: 1, when: "after" },
        Effect.gen(function* () {
          removed = yield* Clock.currentTimeMillis
          yield* world.addRun("r2")
        })
      )
      yield* pass("1 hour")
      expect(removed).toBeGreaterThan(0)
      expect(world.stateOf("r2")).toBe("COMPLETED")
      expect(cut(world, "r2")).toBe(0)
    })
  )
})

const several = ["agent-a", "agent-b", "agent-c"]

/** A world in which a workload is about to go; the agents look for work every second. */
const idleWorld = Effect.fnUntraced(function* (world: World, agents: ReadonlyArray<string>) {
  world.usual = flow({ runs: 60 })
  world.faults.latency = { least: 10, most: 60 }
  yield* world.addRun("r1")
  return yield* Effect.forEach(agents, (each) =>
    startAgent(world, each, { settings: { ...settings, queryInterval: "1" } })
  )
})

/** When its workload went, in ms since the world began. */
const goesAt = (agents: ReadonlyArray<string>, seed: string) =>
  Effect.gen(function* () {
    const world = yield* makeWorld()
    yield* idleWorld(world, agents)
    yield* pass("12 minutes")
    return (removals(world)[0]?.at ?? 0) - begin
  }).pipe(Effect.scoped, Random.withSeed(seed))

/** A run comes that soon after (or, negative, before) its workload goes. */
const comesAround = (agents: ReadonlyArray<string>, seed: string, at: number) =>
  Effect.gen(function* () {
    const world = yield* makeWorld()
    yield* idleWorld(world, agents)
    yield* Effect.sleep(at).pipe(Effect.andThen(world.addRun("r2")), Effect.forkChild)
    yield* pass(at + 150_000)
    expect(world.stateOf("r2"), `at ${at} ms`).toBe("COMPLETED")
    expect(world.types("r2"), `at ${at} ms`).not.toContain("CRASHED")
    expect(cut(world, "r2"), `at ${at} ms`).toBe(0)
    expect(overlapOf(world, "r2")).toBe(0)
    expect(broken(world)).toEqual([])
  }).pipe(Effect.scoped, Random.withSeed(seed))

/** In ms after the workload goes. */
const moments: Readonly<Record<string, ReadonlyArray<number>>> = {
  "shortly before it": [-1_500, -1_200, -900, -700, -600],
  "right before it": [-500, -400, -300, -200, -100],
  "at it": [-50, 0, 50, 100, 200],
  "while it is marked": [-130_000, -121_500, -121_000, -120_000, -60_000, -10_000]
}

describe("a run that comes around the moment in which its workload goes", () => {
  for (const agents of [several.slice(0, 1), several]) {
    for (const [when, offsets] of Object.entries(moments)) {
      it.effect(`keeps its job: ${when}, with ${agents.length === 1 ? "one agent" : "three agents"}`, () =>
        Effect.gen(function* () {
          const seed = `around ${agents.length}`
          const at = yield* goesAt(agents, seed)
          expect(at).toBeGreaterThan(8 * 60_000)
          for (const offset of offsets) yield* comesAround(agents, seed, at + offset)
        })
      )
    }
  }
})

describe("a mark", () => {
  scenario(
    "is taken away by the launch that comes after it, so that the second look finds it in use",
    (world) =>
      Effect.gen(function* () {
        yield* world.addRun("r1")
        const agent = yield* agentOf(world, "agent-a")
        const before = agent.waitsFor()
        agent.onceAt({ service: "Control Plane", name: "tagWorkload", nth: 1, when: "after" }, Effect.void)
        for (let minute = 0; minute < 20 && agent.waitsFor() > before; minute++) yield* pass("1 minute")
        expect(agent.waitsFor()).toBe(before)
        world.usual = flow({ runs: 600 })
        yield* world.addRun("r2")
        yield* pass("2 minutes")
        expect(world.stateOf("r2")).toBe("RUNNING")
        const [there] = world.platform.workloads.values()
        expect(there?.tags["prefect.io/idle-since"]).toBeUndefined()
        yield* pass("9 minutes")
        expect(deleted(world)).toEqual([])
      })
  )
})

describe("clean-up by hand", () => {
  scenario("fails where the GVC is not there, which is no empty one", (world) =>
    Effect.gen(function* () {
      const line = { by: "person" as const, gate: Effect.void }
      const { endpoint, token } = injected
      const access = new Access({ endpoint, org, token })
      const lookIn = (name: string) =>
        cleanUpOnce({
          rules: { pool: poolName, poolId, ttl: 1, apart: 1 },
          corners: [{ access, gvc: name }],
          identities: "manage",
          dryRun: true,
          waiting: () => Effect.void
        }).pipe(Effect.provide(Layer.merge(prefectFor(world, line), controlPlaneFor(world, line))))
      expect(yield* within("1 minute", lookIn(gvc))).toEqual(Result.succeed([]))
      const there = yield* within("1 minute", Effect.flip(lookIn("nowhere")))
      expect(there).toMatchObject(Result.succeed({ _tag: "NotFound" }))
    })
  )
})

describe("the requests of clean-up", () => {
  for (const count of [20, 400]) {
    scenario(`stay within the idle budget with ${count} workloads that are in use now and then`, (world) =>
      Effect.gen(function* () {
        const refs = yield* makeAll(
          world,
          Object.fromEntries(Array.from({ length: count }, (_, n) => [`${ours}${n}`, {}]))
        )
        yield* Effect.forEach(refs, (ref) =>
          world.addCommand(ref, "r-over", { stage: "completed", created: begin })
        )
        const perMinute = new Map<number, number>()
        const now = () => Math.floor((world.faults.clock?.currentTimeMillisUnsafe() ?? 0) / 60_000)
        world.faults.clock = yield* Clock.clockWith(Effect.succeed)
        world.faults.on(
          ({ name }) => {
            // Without events nothing is sent.
            if (name === "emitEvents") return false
            perMinute.set(now(), (perMinute.get(now()) ?? 0) + 1)
            return false
          },
          { kind: "refused" }
        )
        yield* startAgent(world, "agent-a")
        yield* pass("65 minutes")
        // The first minutes belong to the start.
        const counts = [...perMinute.values()].slice(3, -1)
        expect(Math.max(...counts)).toBeLessThanOrEqual(75)
        expect(deleted(world)).toEqual([])
      })
    )
  }
})
