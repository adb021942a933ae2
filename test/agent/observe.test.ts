import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { readOnlyCommands, readOnlySecrets, readOnlyWorkloads } from "../../src/cpln/read-only.ts"
import { makeForeteller } from "../../src/observe/foresight.ts"
import type { Prefect } from "../../src/prefect/prefect.ts"
import { readOnlyPrefect } from "../../src/prefect/read-only.ts"
import { type Agent, startAgent } from "../runs/world/agents.ts"
import { flow } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import {
  attemptOf,
  begin,
  claimState,
  pid,
  poolId,
  poolName,
  stateAt,
  whereOf,
  type World
} from "../runs/world/world.ts"

/** A service of which every method succeeds, and what was called of it. */
const recording = <S extends object>() => {
  const called = new Set<string>()
  // Fits every kind of answer that is looked into: a list, an answer with its time, an object.
  const answer = Object.assign([] as Array<never>, { value: [], at: 0, id: "id", base_job_template: {} })
  const service = new Proxy({} as S, {
    get: (_, name) => {
      const succeed = Effect.sync(() => {
        called.add(String(name))
        return answer
      })
      const isEffect = ["version", "policies", "readOrg"].includes(String(name))
      return isEffect ? succeed : () => succeed
    }
  })
  return { service, called }
}

/** What reads of one service may be made; every other method of it is a write. */
const reads = {
  prefect: [
    "version",
    "readWorkPool",
    "queueNames",
    "pausedQueues",
    "workers",
    "readRun",
    "findRuns",
    "countRuns",
    "lastEnded",
    "history",
    "readDeployment",
    "readFlow",
    "readBlock",
    "readBlockByName",
    "readContext",
    "readVariable"
  ],
  commands: ["get", "find", "latest"],
  workloads: ["readOrg", "readGvc", "readLocation", "read", "find", "deployments"],
  secrets: ["look", "shape", "readIdentity", "identities", "readPolicy", "policies"]
}

/** Calls everything there is. */
const callAll = Effect.fnUntraced(function* (service: object) {
  const argument = { pool: "cpln", queues: [], before: begin, limit: 10, type: "CRASHED", transitionId: "t" }
  for (const value of Object.values(service)) {
    const effect = typeof value === "function" ? value(argument, argument, 1) : value
    if (Effect.isEffect(effect)) yield* Effect.exit(effect as Effect.Effect<unknown>)
  }
})

describe("a service in observe mode", () => {
  it.effect("of Prefect lets nothing but reads through, whatever is called", () =>
    Effect.gen(function* () {
      const { called, service } = recording<Prefect["Service"]>()
      const wrapped = yield* readOnlyPrefect(service, makeForeteller())
      yield* callAll(wrapped)
      expect([...called].filter((name) => name !== "url").toSorted()).toEqual(reads.prefect.toSorted())
    })
  )

  for (const [name, make] of [
    ["commands", readOnlyCommands],
    ["workloads", readOnlyWorkloads],
    ["secrets", readOnlySecrets]
  ] as const) {
    it.effect(`of Control Plane's ${name} lets nothing but reads through, whatever is called`, () =>
      Effect.gen(function* () {
        const { called, service } = recording<never>()
        const wrapped = make(service, makeForeteller())
        yield* callAll(wrapped)
        expect([...called].toSorted()).toEqual(reads[name].toSorted())
        // A write is refused, so that nobody takes it for done.
        for (const [method, value] of Object.entries(wrapped)) {
          if (reads[name].includes(method)) continue
          const write = value as (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, unknown>
          expect((yield* Effect.exit(write({}, {}, {})))._tag, method).toBe("Failure")
        }
      })
    )
  }
})

const observer = (world: World, more: Parameters<typeof startAgent>[2] = {}) =>
  startAgent(world, "observer", { ...more, settings: { observe: "true", ...more.settings } })

/** Everything that it wrote, to either service. */
const written = ({ chronicle, prefect }: World) => [
  ...chronicle.entries.filter(({ by }) => by === "agent observer"),
  ...prefect.logs.filter(({ by }) => by === "agent observer")
]

/** What it said that it would do. */
const foretold = ({ lines }: Agent) => lines.filter((line) => / > Would /u.test(line))

describe("an agent that observes", () => {
  scenario("tells of a due run what it would start, once, and leaves it in the pool", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const agent = yield* observer(world)
      yield* pass("10 minutes")
      expect(foretold(agent)).toHaveLength(1)
      expect(foretold(agent)[0]).toMatch(
        /^\[CPLN\] Job \| Flow: etl, RunID: r1, GVC: dev, Workload: p0f3b6a52-job-\w+ > Would claim the run and start it as a job in workload dev\/p0f3b6a52-job-\w+ \(which would be made\), location aws-us-west-2, image \S+, try 1\.$/u
      )
      expect(world.stateOf("r1")).toBe("SCHEDULED")
      expect(world.chronicle.of("worker seen")).toEqual([])
      expect(written(world)).toEqual([])
      expect(world.prefect.events).toEqual([])
      expect(world.platform.workloads.size).toBe(0)
    })
  )

  scenario("tells of one that comes soon when it would start it, and of one that cannot run why", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", { due: begin + 14_000 })
      const agent = yield* observer(world)
      yield* pass("5 seconds")
      expect(foretold(agent)[0]).toMatch(/try 1\. At its time, 2026-03-01T04:00:14/u)
      world.deploy({ job_variables: { location: "nowhere-1" } })
      yield* pass("70 seconds")
      yield* world.addRun("r2")
      yield* pass("2 minutes")
      expect(foretold(agent)).toHaveLength(2)
      expect(foretold(agent)[1]).toMatch(/RunID: r2 > Would set the run to CRASHED, because .*nowhere-1/u)
      expect(written(world)).toEqual([])
    })
  )

  scenario("offers nothing of a pool or a queue that is paused, as the server does", (world) =>
    Effect.gen(function* () {
      const stored = world.prefect.pools.get(poolName)
      if (stored === undefined) throw new Error("no pool")
      const set = (change: Partial<typeof stored>) =>
        world.prefect.pools.set(poolName, { ...stored, ...change })
      set({ queues: stored.queues.map((queue) => ({ ...queue, isPaused: true })) })
      yield* world.addRun("r1")
      const agent = yield* observer(world)
      yield* pass("2 minutes")
      expect(foretold(agent)).toEqual([])
      set({ pool: { ...stored.pool, is_paused: true } })
      yield* pass("2 minutes")
      expect(foretold(agent)).toEqual([])
      set({})
      yield* pass("2 minutes")
      expect(foretold(agent)).toHaveLength(1)
    })
  )

  scenario("tells once of every end, stop, hand-back and PID that it would write", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const claimed = (id: string, transition: string, state = stateAt(begin, "RUNNING")) =>
        world.addRun(id, {
          run_count: 1,
          start_time: new Date(begin).toISOString(),
          history: [claimState(transition, { where: whereOf("w1") })],
          state
        })
      const job = (id: string, transition: string, stage: string) =>
        world.addCommand(ref, id, { tags: { "prefect.io/attempt": attemptOf(transition) }, stage })
      // Its job has failed.
      yield* claimed("r-failed", "t1")
      yield* job("r-failed", "t1", "failed")
      // It is over, and its job lives.
      yield* claimed("r-over", "t2", stateAt(begin, "COMPLETED"))
      const alive = yield* job("r-over", "t2", "running")
      // It is being cancelled, and its job is deaf.
      yield* claimed("r-cancelled", "t3", stateAt(begin, "CANCELLING"))
      yield* job("r-cancelled", "t3", "running")
      // Its claimant died before it started anything.
      yield* world.addRun("r-lost", { state: claimState("t4", { where: whereOf("w1") }) })
      // Nobody wrote down where its job is.
      yield* claimed("r-without-pid", "t5")
      const unwritten = yield* job("r-without-pid", "t5", "running")
      const agent = yield* observer(world)
      yield* pass("15 minutes")
      const told = foretold(agent)
      const of = (id: string) => told.filter((line) => line.includes(`RunID: ${id}`))
      expect(of("r-failed").filter((line) => /Would set the run to CRASHED: /u.test(line))).toHaveLength(1)
      expect(of("r-over").filter((line) => /Would send stopReplica: /u.test(line))).toHaveLength(1)
      expect(of("r-cancelled").filter((line) => /Would send stopReplica: /u.test(line))).toHaveLength(1)
      expect(of("r-lost").filter((line) => /Would hand the run back to the pool: /u.test(line))).toHaveLength(
        1
      )
      expect(
        of("r-without-pid").filter((line) => line.includes(`infrastructure PID: ${pid("w1", unwritten)}`))
      ).toHaveLength(1)
      expect(new Set(told).size).toBe(told.length)
      expect(
        agent.lines.filter((line) => /Sending stopReplica|Run set to|Handed back to|PID written/u.test(line))
      ).toEqual([])
      expect(world.stageOf(alive)).toBe("running")
      expect(written(world)).toEqual([])
    })
  )

  scenario("tells of workloads that it would clean up, and marks none", (world) =>
    Effect.gen(function* () {
      yield* world.addWorkload("p0f3b6a52-job-1")
      world.platform.writeObject(
        begin,
        "person",
        "identity",
        "/org/acme/gvc/dev/identity/p0f3b6a52-job-2-identity",
        {
          kind: "identity",
          name: "p0f3b6a52-job-2-identity",
          tags: { "prefect.io/work-pool-id": poolId }
        }
      )
      const agent = yield* observer(world, { settings: { cleanupTtl: "0.1" } })
      yield* pass("3 hours")
      expect(foretold(agent).map((line) => line.replace(/for .*$/u, "for").replace(/^.* > /u, ""))).toEqual([
        "Would delete it, with its identity and policy: never used and unchanged for",
        "Would delete the identity and the policy of this workload, which is gone."
      ])
      expect(written(world)).toEqual([])
      expect(world.platform.workloads.size).toBe(1)
    })
  )

  scenario("beside one that works is not felt, whatever happens", (world) =>
    Effect.gen(function* () {
      world.faults.latency = { least: 5, most: 60 }
      world.usual = flow({ runs: 40 })
      const ids = Array.from({ length: 20 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id, n) => world.addRun(id, { due: begin + n * 7_000 }))
      yield* observer(world)
      const working = yield* startAgent(world, "agent-a")
      yield* pass("90 seconds")
      yield* world.propose("r3", "CANCELLING")
      yield* working.kill
      yield* pass("30 seconds")
      yield* startAgent(world, "agent-b")
      yield* pass("20 minutes")
      for (const id of ids) expect(["COMPLETED", "CANCELLED"]).toContain(world.stateOf(id))
      expect(written(world)).toEqual([])
    })
  )

  for (const line of ["2", "3"] as const) {
    scenario(
      `ends by itself with --run-once on a server of line ${line}, and has written nothing`,
      (world) =>
        Effect.gen(function* () {
          yield* world.addRun("r1")
          yield* world.addRun("r2")
          const agent = yield* observer(world, { settings: { runOnce: "true" }, queues: ["not-there"] })
          yield* pass("1 minute")
          expect(agent.hasEnded()).toBe(true)
          expect(agent.lines.join("\n")).toContain('Would create work queue "not-there"')
          const all = yield* observer(world, { settings: { runOnce: "true" } })
          yield* pass("1 minute")
          expect(all.lines.join("\n")).toContain("2 jobs would be started.")
          expect(written(world)).toEqual([])
        }),
      { line }
    )
  }
})
