/** Faults of runs: what they wait for, and what happens to their pods. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { cron, gvc, runner, withRunner } from "../harness.ts"
import { end, execution, fault, isOver, isPlaced, isRunning, running, stage, stop, timed } from "./asked.ts"

const quick = { startDelay: 0, preStop: 20, grace: 200 }

describe("before the start", () => {
  it.live("a start delay keeps a run pending, without a replica", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "start-delay", seconds: 0.3, where: { tag: "slow=yes" } })
      const slow = yield* cpln.start("runner", {}, { slow: "yes" })
      yield* running(cpln, yield* cpln.start("runner", {}, { slow: "no" }))
      const seen = yield* cpln.get(slow)
      expect([stage(seen), isPlaced(seen)]).toEqual(["pending", false])
      const [took] = yield* timed(running(cpln, slow))
      expect(took).toBeGreaterThan(100)
      expect(yield* fired).toBe(1)
    })
  )

  it.live("an image that takes time is pulled for a replica that is not ready yet", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "image-pull", seconds: 0.3 })
      const path = yield* cpln.start("runner", { containerOverrides: [{ name: "main", image: "big:1" }] })
      const placed = yield* cpln.until(path, isPlaced)
      expect(stage(placed)).toBe("pending")
      const { replica } = placed.json.status
      expect(yield* execution(cpln, path)).toMatchObject({
        status: "pending",
        replica,
        containers: { main: { ready: false, message: `Pulling image "big:1"` } }
      })
      expect((yield* cpln.until(path, isRunning)).json.status.replica).toBe(replica)
      expect(yield* fired).toBe(1)
    })
  )

  it.live("an image that cannot be pulled leaves the run pending with the reason, until it is stopped", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "image-failure" })
      const path = yield* cpln.start("runner")
      const { replica } = (yield* cpln.until(path, isPlaced)).json.status
      yield* Effect.sleep(200)
      expect(stage(yield* cpln.get(path))).toBe("pending")
      expect((yield* execution(cpln, path)).containers.main.message).toContain("ImagePullBackOff")
      expect((yield* stop(cpln, replica)).status).toBe(201)
      expect(stage(yield* cpln.until(path, isOver))).toBe("failed")
      expect(yield* fired).toBe(1)
    })
  )

  it.live("a run waits for capacity without a replica, says so, and starts when there is room", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "capacity", seconds: 0.3 })
      const path = yield* cpln.start("runner")
      yield* Effect.sleep(100)
      const seen = yield* cpln.get(path)
      expect([stage(seen), isPlaced(seen)]).toEqual(["pending", false])
      expect((yield* execution(cpln, path)).containers.main.message).toContain("Insufficient cpu")
      yield* running(cpln, path)
      expect(yield* fired).toBe(1)
    })
  )
})

describe("deadlines", () => {
  it.live("are noticed at once, and the job is killed much later", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ ...quick, grace: 50 })
      const fired = yield* fault(cpln, { what: "late-kill", seconds: 0.5, jitter: 0.1 })
      const path = yield* cpln.start("runner", { activeDeadlineSeconds: 1 })
      yield* running(cpln, path)
      const noticed = yield* cpln.until(path, ({ json }) => json.status.messages !== undefined)
      expect([stage(noticed), noticed.json.status.messages[0]]).toEqual([
        "running",
        expect.stringContaining("deadline")
      ])
      const [took, over] = yield* timed(cpln.until(path, isOver))
      expect(took).toBeGreaterThan(400)
      expect(stage(over)).toBe("failed")
      expect((yield* execution(cpln, path)).conditions[0].reason).toBe("DeadlineExceeded")
      expect(yield* fired).toBe(1)
    })
  )
})

describe("pods", () => {
  it.live("run out of memory: exit code 137, reason OOMKilled", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "oom", seconds: 0.1 })
      const path = yield* cpln.start("runner")
      expect(stage(yield* cpln.until(path, isOver))).toBe("failed")
      expect((yield* execution(cpln, path)).containers.main).toMatchObject({
        restarts: { exitCode: 137, reason: "OOMKilled" },
        message: expect.stringContaining("out of memory")
      })
      expect(yield* fired).toBe(1)
    })
  )

  it.live("run out of memory when they are processes, too", () =>
    Effect.gen(function* () {
      const containers = [{ name: "main", image: "x", command: "sh", args: ["-c", "sleep 60"] }]
      const cpln = yield* withRunner({ ...quick, mode: "exec" }, { containers })
      yield* fault(cpln, { what: "oom", seconds: 0.1 })
      const path = yield* cpln.start("runner")
      expect(stage(yield* cpln.until(path, isOver))).toBe("failed")
      expect((yield* execution(cpln, path)).containers.main.restarts).toMatchObject({
        exitCode: 137,
        reason: "OOMKilled"
      })
    })
  )

  it.live("are evicted, with the reason", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "eviction", seconds: 0.1 })
      const path = yield* cpln.start("runner")
      const over = yield* cpln.until(path, isOver)
      expect([stage(over), over.json.status.messages[0]]).toEqual([
        "failed",
        "The node was low on resource: memory."
      ])
      expect((yield* execution(cpln, path)).containers.main.restarts.reason).toBe("Evicted")
      expect((yield* cpln.get(`/replicas${runner}`)).json.items).toEqual([])
      expect(yield* fired).toBe(1)
    })
  )

  it.live("vanish with their command, without a word", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "vanished", seconds: 0.1 })
      const path = yield* cpln.start("runner")
      expect((yield* cpln.until(path, ({ status }) => status === 404)).status).toBe(404)
      expect(yield* execution(cpln, path)).toBeUndefined()
      expect((yield* cpln.get("/emulator/jobs")).json.items).toEqual([])
      expect(yield* fired).toBe(1)
    })
  )

  it.live("have a side container that stays: the run goes on after its job, until it is stopped", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const containers = ["main", "side"].map((name) => ({ name, image: "x" }))
      yield* cpln.post(`${gvc}/workload`, cron("two", { containers }))
      const fired = yield* fault(cpln, { what: "sidecar" })
      const path = yield* cpln.start("two")
      const replica = yield* running(cpln, path)
      yield* end(cpln, path, 0)
      yield* Effect.sleep(100)
      expect(stage(yield* cpln.get(path))).toBe("running")
      yield* cpln.post(`${gvc}/workload/two/-command`, {
        type: "stopReplica",
        spec: { replica, location: "aws-us-west-2" }
      })
      expect(stage(yield* cpln.until(path, isOver))).toBe("failed")
      expect(yield* fired).toBe(1)
    })
  )
})

describe("ends", () => {
  it.live("failed is corrected to completed a while later", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "corrected", seconds: 0.2 })
      const path = yield* cpln.start("runner")
      yield* running(cpln, path)
      yield* end(cpln, path, 1)
      expect(stage(yield* cpln.get(path))).toBe("failed")
      expect(stage(yield* cpln.until(path, (answer) => stage(answer) === "completed"))).toBe("completed")
      expect(yield* fired).toBe(1)
    })
  )
})
