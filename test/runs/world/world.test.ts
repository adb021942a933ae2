import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Chronicle } from "./chronicle.ts"
import { PrefectModel } from "./prefect-model.ts"
import { pass, scenario } from "./scenario.ts"
import { begin } from "./world.ts"

/** Answers of real servers to an unforced proposal, as they were recorded: status, and the run's type afterwards. */
const answers = (line: "2" | "3", path: ReadonlyArray<string>, pid?: string) => {
  const model = new PrefectModel(new Chronicle(), line)
  model.add(0, { id: "r", ...(pid === undefined ? {} : { infrastructure_pid: pid }) })
  const last = path.map((type, index) => model.propose(index, "person", "r", { type })).at(-1)
  return `${last?.status} ${model.run("r")?.state_type}`
}

describe("the model of Prefect", () => {
  it("answers as the servers do", () => {
    for (const line of ["2", "3"] as const) {
      expect(answers(line, ["PENDING"])).toBe("ACCEPT PENDING")
      expect(answers(line, ["PENDING", "PENDING"])).toBe("ABORT PENDING")
      expect(answers(line, ["COMPLETED", "PENDING"])).toBe("ACCEPT PENDING")
      expect(answers(line, ["COMPLETED", "CRASHED"])).toBe("ABORT COMPLETED")
      expect(answers(line, ["COMPLETED", "CANCELLED"])).toBe("ACCEPT CANCELLED")
      expect(answers(line, ["RUNNING", "PENDING"])).toBe("ABORT RUNNING")
      expect(answers(line, ["CANCELLING"])).toBe("REJECT CANCELLED")
      expect(answers(line, ["CANCELLING"], "a:b:c:d")).toBe("ACCEPT CANCELLING")
      expect(answers(line, ["PENDING", "CANCELLING", "COMPLETED"])).toBe("REJECT CANCELLING")
      expect(answers(line, ["PENDING", "CANCELLING", "CANCELLED"])).toBe("ACCEPT CANCELLED")
      expect(answers(line, ["CANCELLED", "PENDING"])).toBe(
        line === "2" ? "REJECT CANCELLED" : "ABORT CANCELLED"
      )
      expect(answers(line, ["CANCELLED", "RUNNING"])).toBe(
        line === "2" ? "REJECT CANCELLED" : "ACCEPT RUNNING"
      )
    }
  })

  it("takes a transition id once", () => {
    const model = new PrefectModel(new Chronicle(), "3")
    model.add(0, { id: "r" })
    const claim = { type: "PENDING", transitionId: "t" }
    expect(model.propose(0, "person", "r", claim)?.status).toBe("ACCEPT")
    expect(model.propose(1, "person", "r", claim)).toMatchObject({
      status: "REJECT",
      state: { type: "PENDING" }
    })
  })

  it("lets a run start at its time only", () => {
    const model = new PrefectModel(new Chronicle(), "3")
    model.add(0, { id: "r", due: 60_000 })
    model.propose(0, "person", "r", { type: "PENDING" })
    expect(model.propose(0, "engine", "r", { type: "RUNNING" })).toMatchObject({
      status: "WAIT",
      details: { delay_seconds: 60 }
    })
    expect(model.propose(60_000, "engine", "r", { type: "RUNNING" })?.status).toBe("ACCEPT")
  })
})

/** The run as a page of the user interface would show it at that second. */
const at = (model: PrefectModel, second: number, id = "r") => {
  model.serve(second * 1000)
  return `${model.run(id)?.state_type} ${model.run(id)?.state_name}`
}

describe("what the model of Prefect does by itself", () => {
  it("calls an overdue run late, and keeps its time", () => {
    const model = new PrefectModel(new Chronicle(), "3")
    model.add(0, { id: "r" })
    expect(at(model, 14)).toBe("SCHEDULED Scheduled")
    expect(at(model, 16)).toBe("SCHEDULED Late")
    expect(model.run("r")?.next_scheduled_start_time).toBe(new Date(0).toISOString())
  })

  it("gives a cancellation up after five minutes on line 3, and never on line 2", () => {
    for (const line of ["2", "3"] as const) {
      const model = new PrefectModel(new Chronicle(), line)
      model.add(0, { id: "r" })
      model.propose(0, "person", "r", { type: "PENDING" })
      model.propose(0, "person", "r", { type: "CANCELLING" })
      expect(at(model, 299)).toBe("CANCELLING Cancelling")
      expect(at(model, 301)).toBe(line === "2" ? "CANCELLING Cancelling" : "CANCELLED Cancelled")
    }
  })

  it("fails a pause that nobody ends", () => {
    const model = new PrefectModel(new Chronicle(), "3")
    model.add(0, { id: "r" })
    model.propose(0, "engine", "r", { type: "RUNNING" })
    model.propose(0, "engine", "r", { type: "PAUSED", pauseTimeout: 60_000 })
    expect(at(model, 59)).toBe("PAUSED Paused")
    expect(at(model, 61)).toBe("FAILED Failed")
  })

  it("holds runs of a deployment to its limit, by leases that run out", () => {
    const model = new PrefectModel(new Chronicle(), "3")
    model.deploymentLimits.set("deployment-1", 1)
    for (const id of ["a", "b", "c"]) model.add(0, { id })
    expect(model.propose(0, "person", "a", { type: "PENDING" })?.status).toBe("ACCEPT")
    expect(model.propose(1, "person", "b", { type: "PENDING" })?.status).toBe("REJECT")
    expect(at(model, 2, "b")).toBe("SCHEDULED AwaitingConcurrencySlot")
    // Five minutes later its lease is gone, and another takes the slot: then it may not run any more.
    expect(model.propose(301_000, "person", "c", { type: "PENDING" })?.status).toBe("ACCEPT")
    expect(model.propose(302_000, "engine", "a", { type: "RUNNING" })?.status).toBe("REJECT")
    expect(model.run("a")?.state_type).toBe("CANCELLED")
    expect(model.propose(303_000, "engine", "c", { type: "RUNNING" })?.status).toBe("ACCEPT")
    model.cancelsNew.add("deployment-1")
    expect(model.propose(304_000, "person", "b", { type: "PENDING" })?.status).toBe("REJECT")
    expect(model.run("b")?.state_type).toBe("CANCELLED")
  })
})

describe("what people do to the model of Prefect", () => {
  const served = () => {
    const model = new PrefectModel(new Chronicle(), "3")
    const pool = { id: "pool-1", name: "cpln", type: "cpln", base_job_template: {} }
    const queues = [{ name: "default", priority: 1, isPaused: false }]
    model.pools.set("cpln", { pool, queues, concurrency: undefined })
    model.add(0, { id: "a" })
    model.add(10_000, { id: "b" })
    const offered = () =>
      model.scheduled(20_000, { pool: "cpln", queues: [], before: 20_000, limit: 200 })?.map(({ id }) => id)
    return { model, offered }
  }

  it("stops the offers of a paused pool or queue, and of a pool that was deleted", () => {
    const { model, offered } = served()
    expect(offered()).toEqual(["a", "b"])
    model.changePool(11_000, "cpln", { is_paused: true })
    expect(offered()).toEqual([])
    model.changePool(12_000, "cpln", { is_paused: false }, { isPaused: true })
    expect(offered()).toEqual([])
    model.changePool(13_000, "cpln", {}, { isPaused: false })
    expect(offered()).toEqual(["a", "b"])
    model.deletePool(14_000, "cpln")
    expect(offered()).toBeUndefined()
    expect(model.run("a")).toMatchObject({ work_pool_id: null, work_queue_name: null })
  })

  it("deletes the runs of a deployment that have not begun", () => {
    const { model } = served()
    model.propose(11_000, "person", "a", { type: "PENDING" })
    model.deleteDeployment(12_000, "deployment-1")
    expect(model.run("a")?.deployment_id).toBe("deployment-1")
    expect(model.run("b")).toBeUndefined()
    expect(model.run("b", 11_000)).toBeDefined()
  })

  it("puts an older database back, or an empty one", () => {
    const { model, offered } = served()
    model.propose(11_000, "person", "a", { type: "PENDING" })
    model.restore(5_000, 12_000)
    expect(model.run("a")?.state_type).toBe("SCHEDULED")
    expect(model.states("a")).toHaveLength(1)
    expect(model.run("b")).toBeUndefined()
    model.reset(13_000, (name) => `other ${name}`)
    expect(offered()).toEqual([])
    expect(model.pools.get("cpln")?.pool.id).toBe("other cpln")
  })
})

describe("a world", () => {
  scenario("with two servers behind one address answers by turns", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.split(begin, "another-pool")
      const four = [1, 2, 3, 4].map(() => world.server().run("r1")?.id)
      expect(four).toEqual(["r1", undefined, "r1", undefined])
      world.join(begin)
      expect(world.server().run("r1")?.id).toBe("r1")
      expect(world.chronicle.of("database").map(({ how }) => how)).toEqual(["split", "joined"])
    })
  )

  scenario("knows what was true at any time before", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      yield* pass("10 seconds")
      yield* world.propose("r1", "RUNNING")
      expect(world.prefect.run("r1", begin + 9_000)?.state_type).toBe("SCHEDULED")
      expect(world.prefect.run("r1", begin + 10_000)?.state_type).toBe("RUNNING")
    })
  )
})
