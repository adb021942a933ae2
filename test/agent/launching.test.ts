import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { parseClaimMessage, parseHandBackMessage } from "../../src/job/claim-message.ts"
import { startAgent } from "../runs/world/agents.ts"
import { overlapOf, overwrites } from "../runs/world/audit.ts"
import { flow } from "../runs/world/jobs.ts"
import { pass, scenario } from "../runs/world/scenario.ts"
import { begin, gvc, org, pid, poolName, stateAt, type World } from "../runs/world/world.ts"

const claims = (world: World, runId: string) =>
  world.prefect.states(runId).flatMap((state) => parseClaimMessage(state.message ?? "") ?? [])

const handBacks = (world: World, runId: string) =>
  world.prefect.states(runId).flatMap((state) => parseHandBackMessage(state.message ?? "") ?? [])

describe("a due run", () => {
  for (const line of ["2", "3"] as const) {
    scenario(
      `is claimed, started and finished by its engine on a server of line ${line}`,
      (world) =>
        Effect.gen(function* () {
          yield* world.addRun("r1")
          yield* startAgent(world, "agent-a")
          yield* pass("2 minutes")
          expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"])
          expect(world.stages("r1")).toEqual(["completed"])
          expect(world.stopped()).toEqual([])
        }),
      { line }
    )
  }

  scenario("that was seen early is launched at its second, from a workload that is ready", (world) =>
    Effect.gen(function* () {
      world.platform.readyAfter = 5_000
      yield* world.addRun("r1", { due: begin + 12_000 })
      yield* startAgent(world, "agent-a")
      yield* pass("10 seconds")
      expect(world.chronicle.of("workload made")).toHaveLength(1)
      expect(world.types("r1")).toEqual(["SCHEDULED"])
      yield* pass("4 seconds")
      const [made] = world.chronicle.of("job made")
      expect(made?.at).toBeGreaterThanOrEqual(begin + 11_000)
      expect(made?.at).toBeLessThan(begin + 13_500)
    })
  )

  scenario("of many is each run once by three agents", (world) =>
    Effect.gen(function* () {
      world.faults.latency = { least: 5, most: 80 }
      const ids = Array.from({ length: 60 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id) => world.addRun(id))
      yield* Effect.forEach(["agent-a", "agent-b", "agent-c"], (name) => startAgent(world, name))
      yield* pass("3 minutes")
      for (const id of ids) {
        expect(world.stages(id)).toEqual(["completed"])
        expect(world.stateOf(id)).toBe("COMPLETED")
      }
    })
  )

  scenario(
    "that a concurrency limit holds back is tried again at growing pauses, and runs in the end",
    (world) =>
      Effect.gen(function* () {
        world.prefect.deploymentLimits.set("deployment-1", 1)
        world.usual = flow({ runs: 240 })
        yield* world.addRun("r1")
        yield* startAgent(world, "agent-a")
        yield* pass("5 seconds")
        yield* world.addRun("r2")
        yield* pass("4 minutes")
        // The server puts it off by 30 s each time: 8 times at most, were there no pauses of our own.
        const tries = world.types("r2").length - 1
        expect(tries).toBeGreaterThan(1)
        expect(tries).toBeLessThan(6)
        expect(world.logOf("r2").match(/Not launched yet/gu)).toHaveLength(1)
        yield* pass("10 minutes")
        expect(world.stateOf("r2")).toBe("COMPLETED")
      })
  )

  for (const what of ["pool", "queue"] as const) {
    scenario(`waits while its ${what} is paused, and nothing else does`, (world) =>
      Effect.gen(function* () {
        const stored = world.prefect.pools.get(poolName)
        if (stored === undefined) throw new Error("no pool")
        world.usual = flow({ runs: 3_600 })
        for (const id of ["fails", "cancelled", "done"]) yield* world.addRun(id)
        yield* startAgent(world, "agent-a")
        yield* pass("1 minute")
        world.prefect.pools.set(
          poolName,
          what === "pool"
            ? { ...stored, pool: { ...stored.pool, is_paused: true } }
            : { ...stored, queues: stored.queues.map((each) => ({ ...each, isPaused: true })) }
        )
        yield* world.addRun("new")
        const jobOf = (id: string) => world.platform.commandsOf(id)[0]?.id ?? ""
        yield* world.setStage(jobOf("fails"), "failed", 1)
        yield* world.propose("cancelled", "CANCELLING")
        yield* world.propose("done", "COMPLETED")
        yield* pass("5 minutes")
        expect(["fails", "cancelled", "done"].map(world.stateOf)).toEqual([
          "CRASHED",
          "CANCELLED",
          "COMPLETED"
        ])
        expect(world.platform.live("done")).toEqual([])
        expect(world.stages("new")).toEqual([])
        world.prefect.pools.set(poolName, stored)
        yield* pass("30 seconds")
        expect(world.stages("new")).toEqual(["running"])
      })
    )
  }

  scenario("waits in a queue that is not ours", (world) =>
    Effect.gen(function* () {
      const stored = world.prefect.pools.get(poolName)
      if (stored === undefined) throw new Error("no pool")
      world.prefect.pools.set(poolName, {
        ...stored,
        queues: [...stored.queues, { name: "other", priority: 2, isPaused: false }]
      })
      yield* world.addRun("r1")
      yield* world.addRun("r2", { work_queue_name: "other" })
      yield* startAgent(world, "agent-a", { queues: ["default"] })
      yield* pass("1 minute")
      expect([world.stateOf("r1"), world.stateOf("r2")]).toEqual(["COMPLETED", "SCHEDULED"])
    })
  )

  scenario("of another pool of the same place is left alone", (world) =>
    Effect.gen(function* () {
      world.addPool("other", "another-pool-id")
      yield* world.addRun("r1", { work_pool_id: "another-pool-id" })
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      expect(world.types("r1").every((type) => type === "SCHEDULED")).toBe(true)
    })
  )
})

describe("a claimant that dies", () => {
  scenario("right after its claim loses the run to another agent, once its deadline is over", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const a = yield* startAgent(world, "agent-a")
      world.faults.onCall("start", { kind: "slow", before: 1e9, after: 0 })
      yield* pass("5 seconds")
      yield* a.kill
      yield* startAgent(world, "agent-b")
      yield* pass("100 seconds")
      expect(claims(world, "r1").map(({ agent }) => agent)).toEqual(["agent-a"])
      yield* pass("3 minutes")
      expect(claims(world, "r1").map(({ agent }) => agent)).toEqual(["agent-a", "agent-b"])
      expect(handBacks(world, "r1")).toMatchObject([{ reason: "lost" }])
      expect(world.stateOf("r1")).toBe("COMPLETED")
    })
  )

  scenario("between the start and its answer leaves a job that the next agent writes down", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 30, runs: 60 })
      yield* world.addRun("r1")
      const a = yield* startAgent(world, "agent-a")
      world.faults.onCall("start", { kind: "slow", before: 0, after: 1e9 })
      yield* pass("5 seconds")
      yield* a.kill
      expect(world.stages("r1")).toEqual(["pending"])
      yield* startAgent(world, "agent-b")
      yield* pass("20 seconds")
      expect(world.run("r1").infrastructure_pid).toMatch(/:command1$/u)
      yield* pass("3 minutes")
      expect(world.stages("r1")).toEqual(["completed"])
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"])
    })
  )

  for (const { call, dies, hasPid, jobs } of [
    { dies: "between the start and the PID", call: ["Control Plane", "start"], jobs: 1, hasPid: false },
    { dies: "right after its claim", call: ["Prefect", "propose"], jobs: 0, hasPid: false },
    { dies: "while the job runs", call: undefined, jobs: 1, hasPid: true }
  ] as const) {
    scenario(
      `${dies}, before the pool's template is edited, costs no run and gives it no second job`,
      (world) =>
        Effect.gen(function* () {
          world.usual = flow({ pending: 5, runs: 60, reports: "nothing", exitCode: 3 })
          yield* world.addRun("r1")
          const a = yield* startAgent(world, "agent-a")
          if (call !== undefined) a.onceAt({ service: call[0], name: call[1], nth: 1, when: "after" }, a.kill)
          yield* pass("20 seconds")
          yield* a.kill
          expect(world.platform.commandsOf("r1")).toHaveLength(jobs)
          expect(Boolean(world.run("r1").infrastructure_pid)).toBe(hasPid)
          world.addSideContainer()
          yield* startAgent(world, "agent-b")
          yield* pass("6 minutes")
          const [job, ...more] = world.platform.commandsOf("r1")
          expect(more).toEqual([])
          // Only one that was not started before the edit is of the new template.
          expect(job?.spec?.containerOverrides).toHaveLength(2 - jobs)
          const [made] = world.chronicle.of("job made")
          const workload = made?.workload.split("/").at(-1) ?? ""
          expect(world.run("r1").infrastructure_pid).toBe(pid(workload, job?.id ?? ""))
          expect(world.stateOf("r1")).toBe("CRASHED")
          expect(world.run("r1").state?.message).toContain("exit code 3")
        })
    )
  }

  scenario("at any of its calls costs no run, and gives none two jobs", (world) =>
    Effect.gen(function* () {
      // One agent after another is killed at its n-th call of the launch; the last one lives.
      const ids = Array.from({ length: 12 }, (_, n) => `r${n}`)
      for (const [n, id] of ids.entries()) {
        yield* world.addRun(id)
        const agent = yield* startAgent(world, `agent-${n}`)
        let calls = 0
        world.faults.on(
          (call) => call.by === `agent agent-${n}` && call.subject !== poolName && ++calls === n + 1,
          { kind: "slow", before: n % 2 === 0 ? 1e9 : 0, after: 1e9 }
        )
        yield* pass("3 seconds")
        yield* agent.kill
      }
      yield* startAgent(world, "agent-last")
      yield* pass("8 minutes")
      for (const id of ids) {
        expect(`${id} ${world.stateOf(id)}`).toBe(`${id} COMPLETED`)
        expect(overlapOf(world, id)).toBe(0)
      }
    })
  )
})

describe("a start that takes effect after the doubt horizon", () => {
  scenario("is a double of the attempt, and one of the two is stopped", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 2, startUp: 20, runs: 300 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      world.faults.onCall("start", { kind: "timeout", lands: 70_000 })
      yield* pass("3 minutes")
      expect(world.platform.commandsOf("r1")).toHaveLength(2)
      expect(world.platform.live("r1")).toHaveLength(1)
      expect(overlapOf(world, "r1")).toBeLessThan(60_000)
      const [survivor] = world.platform.live("r1")
      expect(world.run("r1").infrastructure_pid?.split(":").at(-1)).toBe(survivor?.id)
    })
  )
})

describe("a claim that takes effect after it was given up", () => {
  scenario("does nothing to a run that was claimed anew and runs", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 200 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      world.faults.onCall("propose", { kind: "503", commit: "never" }, 3)
      world.faults.onCall("propose", { kind: "timeout", lands: 90_000 })
      yield* pass("10 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      expect(world.stages("r1")).toEqual(["completed"])
      expect(overwrites(world)).toEqual([])
    })
  )

  scenario("is handed back when nobody else had claimed the run, and the run goes on", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      world.faults.onCall("propose", { kind: "timeout", lands: 60_000 })
      yield* pass("10 seconds")
      yield* agent.kill
      yield* pass("1 minute")
      expect(claims(world, "r1")).toHaveLength(1)
      yield* startAgent(world, "agent-b")
      yield* pass("5 minutes")
      expect(handBacks(world, "r1")).toMatchObject([{ reason: "lost" }])
      expect(world.stateOf("r1")).toBe("COMPLETED")
      expect(overlapOf(world, "r1")).toBe(0)
    })
  )
})

describe("--limit", () => {
  scenario("is exact for one agent: never more jobs live than it says, and all runs are run", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 3, runs: 20 })
      world.faults.latency = { least: 20, most: 400 }
      const ids = Array.from({ length: 12 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id) => world.addRun(id))
      yield* startAgent(world, "agent-a", { settings: { limit: "3" } })
      let most = 0
      for (let second = 0; second < 400; second++) {
        yield* pass("1 second")
        most = Math.max(most, ids.flatMap(world.platform.live.bind(world.platform)).length)
      }
      expect(most).toBe(3)
      expect(ids.map(world.stateOf)).toEqual(ids.map(() => "COMPLETED"))
    })
  )

  scenario("counts the jobs that lived before the agent was started", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 600 })
      yield* world.addRun("r1")
      yield* world.addRun("r2")
      const first = yield* startAgent(world, "agent-a", { link: "the-agent" })
      yield* pass("20 seconds")
      yield* first.kill
      yield* world.addRun("r3")
      yield* startAgent(world, "agent-b", { link: "the-agent", settings: { limit: "2" } })
      yield* pass("2 minutes")
      expect(["r1", "r2", "r3"].map(world.stateOf)).toEqual(["RUNNING", "RUNNING", "SCHEDULED"])
    })
  )

  scenario("is not held up by a run whose PID points to where the agent may not look", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("elsewhere", {
        run_count: 1,
        infrastructure_pid: pid("not-for-us", "a-command"),
        state: stateAt(begin, "RUNNING")
      })
      world.faults.on(({ subject }) => subject === "not-for-us", { kind: "status", status: 403 }, 1e9)
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a", { settings: { limit: "3" } })
      yield* pass("5 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
      // And it is said, once.
      expect(agent.lines.filter((line) => line.includes("1 workload cannot be looked into"))).toHaveLength(1)
    })
  )

  scenario("holds while Control Plane does not answer: what may live there still counts", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 600 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a", { settings: { limit: "1" } })
      yield* pass("20 seconds")
      world.faults.on((call) => call.name === "find", { kind: "503", commit: "never" }, 1e9)
      yield* world.addRun("r2")
      yield* pass("5 minutes")
      expect(world.stateOf("r2")).toBe("SCHEDULED")
    })
  )
})

describe("a drain", () => {
  scenario("claims nothing any more, leaves jobs running, and takes the worker's row away", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 120 })
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("20 seconds")
      yield* agent.stop
      yield* world.addRun("r2")
      yield* pass("10 seconds")
      expect(agent.hasEnded()).toBe(true)
      expect(world.stateOf("r1")).toBe("RUNNING")
      expect(world.stateOf("r2")).toBe("SCHEDULED")
      expect(world.stopped()).toEqual([])
      expect(world.prefect.workers.size).toBe(0)
      yield* pass("5 minutes")
      expect(world.stateOf("r1")).toBe("COMPLETED")
    })
  )

  scenario("hands back what it had claimed and not yet started, and that does not count as lost", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      world.faults.onCall("propose", { kind: "slow", before: 0, after: 3_000 })
      yield* pass("2 seconds")
      expect(world.stateOf("r1")).toBe("PENDING")
      yield* agent.stop
      yield* pass("10 seconds")
      expect(agent.hasEnded()).toBe(true)
      expect(handBacks(world, "r1")).toMatchObject([{ reason: "drain" }])
      expect(world.platform.commands()).toEqual([])
    })
  )

  scenario("sees a start that is under way to its end", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      world.faults.onCall("start", { kind: "slow", before: 2_000, after: 3_000 })
      yield* pass("1 second")
      yield* agent.stop
      yield* pass("15 seconds")
      expect(agent.hasEnded()).toBe(true)
      expect(world.run("r1").infrastructure_pid).toMatch(/:command1$/u)
    })
  )

  scenario("ends within half a minute, even when no service answers", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const agent = yield* startAgent(world, "agent-a")
      world.faults.onCall("start", { kind: "slow", before: 1e9, after: 0 })
      yield* pass("3 seconds")
      world.faults.on(() => true, { kind: "timeout", lands: "never" }, 1e9)
      yield* agent.stop
      yield* pass("1 minute")
      expect(agent.hasEnded()).toBe(true)
      expect(world.stateOf("r1")).toBe("PENDING")
    })
  )

  scenario("of a rolling restart costs no run", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 60 })
      world.faults.latency = { least: 10, most: 300 }
      const ids = Array.from({ length: 40 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id, n) => world.addRun(id, { due: begin + n * 2_000 }))
      let agent = yield* startAgent(world, "agent-0")
      for (let n = 1; n < 6; n++) {
        yield* pass("17 seconds")
        const old = agent
        agent = yield* startAgent(world, `agent-${n}`)
        yield* old.stop
      }
      yield* pass("6 minutes")
      expect(ids.map(world.stateOf)).toEqual(ids.map(() => "COMPLETED"))
      for (const id of ids) expect(world.stages(id)).toEqual(["completed"])
    })
  )
})

describe("a concurrency lease", () => {
  scenario("of a run whose job does not start for long is renewed, also after a restart", (world) =>
    Effect.gen(function* () {
      world.prefect.deploymentLimits.set("deployment-1", 5)
      world.usual = flow({ pending: 700, runs: 10 })
      yield* world.addRun("r1")
      const first = yield* startAgent(world, "agent-a")
      yield* pass("4 minutes")
      yield* first.kill
      yield* startAgent(world, "agent-b")
      yield* pass("7 minutes")
      const [lease = "none"] = world.prefect.leases.keys()
      const renewals = world.chronicle.of("lease renewed").map(({ at }) => at - begin)
      expect(renewals.length).toBeGreaterThanOrEqual(5)
      const gaps = renewals.map((at, index) => at - (renewals[index - 1] ?? 0))
      expect(Math.max(...gaps)).toBeLessThan(200_000)
      expect(world.prefect.leases.get(lease)).toBeGreaterThan(begin + 11 * 60_000)
    })
  )

  const short = (world: World) =>
    Effect.gen(function* () {
      world.prefect.deploymentLimits.set("deployment-1", 1)
      world.prefect.leaseFor = 30_000
      yield* world.addRun("r1")
      yield* world.addRun("r2", { due: begin + 5_000 })
      yield* startAgent(world, "agent-a")
    })
  const firstOf = (world: World, runId: string, type: string) =>
    Date.parse(world.prefect.states(runId).find((state) => state.type === type)?.timestamp ?? "")

  scenario("that lives for half a minute outlives a slow pull, and lets no second run in", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 200, runs: 5 })
      yield* short(world)
      yield* pass("15 minutes")
      expect(firstOf(world, "r1", "RUNNING")).toBeGreaterThan(begin + 200_000)
      expect(firstOf(world, "r2", "PENDING")).toBeGreaterThan(firstOf(world, "r1", "COMPLETED"))
      expect(world.stateOf("r2")).toBe("COMPLETED")
    })
  )

  scenario("is kept also while the start is tried again and again", (world) =>
    Effect.gen(function* () {
      const over = world.faults.onCall("start", { kind: "refused" }, 1e9)
      yield* short(world)
      yield* pass("100 seconds")
      over()
      yield* pass("5 minutes")
      expect(claims(world, "r1")).toHaveLength(1)
      expect(firstOf(world, "r2", "PENDING")).toBeGreaterThan(firstOf(world, "r1", "COMPLETED"))
    })
  )

  scenario("is renewed as soon as the server answers again", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ pending: 100, runs: 5 })
      world.faults.onCall("renewLease", { kind: "503", commit: "never" }, 2)
      yield* short(world)
      yield* pass("10 minutes")
      expect(firstOf(world, "r2", "PENDING")).toBeGreaterThan(firstOf(world, "r1", "COMPLETED"))
    })
  )

  scenario("is not renewed any more once the run is RUNNING", (world) =>
    Effect.gen(function* () {
      world.prefect.deploymentLimits.set("deployment-1", 5)
      world.usual = flow({ runs: 1_000 })
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("15 minutes")
      expect(world.chronicle.of("lease renewed")).toEqual([])
    })
  )
})

describe("a start that has no place to go", () => {
  scenario("because Control Plane is away for an hour is made within an interval after that", (world) =>
    Effect.gen(function* () {
      const agent = yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      const back = world.faults.outage("Control Plane")
      yield* world.addRun("r1")
      // In the midst of a pause, if they were to grow to minutes.
      yield* pass("62 minutes")
      expect(agent.lines.filter((line) => line.includes("Not launched yet"))).toHaveLength(1)
      back()
      yield* pass("70 seconds")
      expect(world.platform.commandsOf("r1")).toHaveLength(1)
    })
  )

  scenario("because the GVC does not exist ends the run, with its name", (world) =>
    Effect.gen(function* () {
      world.platform.gvcs.delete(`${org}/${gvc}`)
      yield* world.addRun("r1")
      yield* startAgent(world, "agent-a")
      yield* pass("1 minute")
      expect(world.run("r1").state?.message).toContain(`GVC "${gvc}" does not exist`)
    })
  )
})

describe("runs that three agents launch and watch at the same time", () => {
  scenario("have their PID written once each, by their launcher", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 30, pending: 3 })
      world.faults.latency = { least: 50, most: 300 }
      const ids = Array.from({ length: 60 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id, n) => world.addRun(id, { due: begin + 20_000 + n * 1_370 }))
      let writes = 0
      world.faults.on(({ name }) => name === "changeRun" && ++writes < 0, { kind: "refused" })
      const names = ["agent-a", "agent-b", "agent-c"]
      yield* Effect.forEach(names, (name) => startAgent(world, name))
      yield* pass("4 minutes")
      expect(ids.map((id) => world.stateOf(id))).toEqual(ids.map(() => "COMPLETED"))
      expect(writes).toBe(ids.length)
    })
  )
})

describe("jobs that have not begun yet", () => {
  scenario("and are in no list of the platform for a minute are not started a second time", (world) =>
    Effect.gen(function* () {
      world.usual = flow({ runs: 60, pending: 600 })
      const ids = ["r1", "r2", "r3"]
      yield* Effect.forEach(ids, (id) => world.addRun(id))
      yield* startAgent(world, "agent-a")
      yield* pass("200 seconds")
      const lists = world.faults.on(({ name }) => name === "find", { kind: "lost page", from: 0, to: 1 }, 1e9)
      const reads = world.faults.on(({ name }) => name === "get", { kind: "status", status: 404 }, 1e9)
      yield* pass("60 seconds")
      lists()
      reads()
      yield* pass("15 minutes")
      for (const id of ids) expect(world.types(id)).toEqual(["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"])
      for (const id of ids) expect(world.stages(id)).toEqual(["completed"])
    })
  )
})
