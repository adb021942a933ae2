/** A job that is no flow run, from its workload to its end, in a modelled world. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Queue, Redacted, Result } from "effect"
import { TestClock } from "effect/testing"
import { readJobBlock } from "../../src/cpln-job/block.ts"
import { define } from "../../src/cpln-job/define.ts"
import { type Report, runJob, type RunOptions, type Wish } from "../../src/cpln-job/run.ts"
import { Access } from "../../src/cpln/control-plane.ts"
import type { JsonRecord } from "../../src/job/json.ts"
import { finalStages } from "../runs/world/platform-model.ts"
import type { Script } from "../runs/world/jobs.ts"
import { controlPlaneFor } from "../runs/world/platform-service.ts"
import { prefectFor } from "../runs/world/prefect-service.ts"
import { gvc, makeWorld, org, poolId, type World } from "../runs/world/world.ts"

const manifest = (metadata: JsonRecord = {}) => ({
  kind: "Job",
  metadata,
  spec: {
    template: {
      spec: { restartPolicy: "Never", containers: [{ name: "main", image: "i:1", command: ["work"] }] }
    }
  }
})

/** Lives that long, in s, and ends so. */
const job =
  (seconds: number, exitCode = 0): Script =>
  (it) =>
    Effect.sleep("2 seconds").pipe(
      Effect.andThen(it.live),
      Effect.andThen(Effect.sleep(`${seconds} seconds`)),
      Effect.andThen(it.end(exitCode))
    )

const usual: RunOptions = {
  interval: 5_000,
  timeout: undefined,
  detach: false,
  deleteAfterwards: false,
  identities: "manage",
  doubtHorizon: 30_000,
  launchDeadline: 120_000
}

const silent: Report = { tell: () => Effect.void, started: () => Effect.void, line: () => Effect.void }

const access = new Access({ endpoint: "http://cpln.test", org, token: Redacted.make("token") })

/** Starts a run in this world, and gives what one does with it. */
const begin = Effect.fnUntraced(function* (
  world: World,
  {
    leaves = false,
    manifest: given = manifest(),
    ...options
  }: Partial<RunOptions> & { readonly leaves?: boolean; readonly manifest?: JsonRecord } = {}
) {
  const line = { by: "agent a", gate: Effect.void } as const
  const layer = Layer.merge(controlPlaneFor(world, line), prefectFor(world, line))
  const wishes = yield* Queue.unbounded<Wish>()
  const told: Array<string> = []
  const asked = { times: 0 }
  const block = readJobBlock({ v1_job: given }, { org, gvc, location: undefined, hasToken: true })
  if (Result.isFailure(block)) throw new Error("the block is wrong")
  const fiber = yield* define(block.success, access).pipe(
    Effect.flatMap((defined) =>
      runJob(
        defined,
        { ...usual, ...options },
        { ...silent, tell: (text) => Effect.sync(() => void told.push(text)) },
        wishes,
        Effect.sync(() => ((asked.times += 1), leaves))
      )
    ),
    Effect.scoped,
    Effect.provide(layer),
    Effect.result,
    Effect.forkChild
  )
  return {
    told,
    asked,
    interrupt: Effect.forkChild(Fiber.interrupt(fiber)),
    wish: (wish: Wish) => Queue.offer(wishes, wish),
    /** The result, within so many minutes. */
    result: Effect.fnUntraced(function* (minutes = 5) {
      for (let second = 0; second < minutes * 60; second++) {
        yield* TestClock.adjust("1 second")
        if (fiber.pollUnsafe() !== undefined) return yield* Fiber.join(fiber)
      }
      throw new Error("it does not end")
    })
  }
})

const seconds = (count: number) =>
  Effect.forEach(Array.from({ length: count }), () => TestClock.adjust("1 second"), { discard: true })

const living = (world: World) =>
  world.platform.commands().filter((each) => !finalStages.has(each.lifecycleStage))

const workloads = (world: World) => [...world.platform.workloads.values()]

describe("a job that ends by itself", () => {
  it.effect("completes: its workload is made once, and is marked as nobody's pool's", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(30)
      const run = yield* begin(world)
      const result = yield* run.result()
      expect(result).toMatchObject({
        success: { _tag: "Ended", ending: { state: "completed", exitCode: 0 } }
      })
      const [made, ...others] = workloads(world)
      expect(others).toEqual([])
      expect(made?.ref.name).toMatch(/^j-job-[0-9a-f]{12}$/u)
      expect(made?.tags["prefect.io/work-pool-id"]).toBeUndefined()
      const again = yield* begin(world)
      yield* again.result()
      expect(workloads(world)).toHaveLength(1)
      expect(world.platform.commands()).toHaveLength(2)
    })
  )

  it.effect("fails with the exit code and what it means", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(5, 127)
      const result = yield* (yield* begin(world)).result()
      expect(result).toMatchObject({
        success: {
          ending: {
            state: "failed",
            exitCode: 127,
            reason: "exit code 127 (the command was not found)",
            category: "command-not-found"
          }
        }
      })
    })
  )

  it.effect("that is called failed and corrected within seconds has completed", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(5, 1)
      const run = yield* begin(world)
      for (let second = 0; second < 60; second++) {
        yield* TestClock.adjust("1 second")
        const [command] = world.platform.commands()
        if (command?.lifecycleStage === "failed") {
          yield* seconds(2)
          yield* world.setStage(command.id, "completed")
          break
        }
      }
      expect(yield* run.result()).toMatchObject({ success: { ending: { state: "completed" } } })
    })
  )

  it.effect("whose command vanishes is lost, but not before five looks over a minute", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(3600)
      const run = yield* begin(world)
      yield* seconds(10)
      const [command] = world.platform.commands()
      yield* world.vanish(command?.id ?? "")
      yield* seconds(55)
      expect(run.told.join("\n")).toContain("Got 404")
      expect(yield* run.result()).toMatchObject({ success: { ending: { state: "lost", category: "lost" } } })
    })
  )

  it.effect("labels that mark the jobs of flow runs never reach its command", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(1)
      const labels = { "prefect.io/flow-run-id": "run-1", "prefect.io/work-pool-id": poolId, team: "a" }
      yield* (yield* begin(world, { manifest: manifest({ labels }) })).result()
      const [command] = world.platform.commands()
      expect(Object.keys(command?.tags ?? {}).sort()).toEqual(["prefect.io/job-start", "team"])
    })
  )
})

describe("a start whose answer is lost", () => {
  it.effect.each([
    ["a reset after it took effect", { kind: "reset", commit: "after" }],
    ["a 503 after it took effect", { kind: "503", commit: "after" }],
    ["a timeout, and it takes effect late", { kind: "timeout", lands: 10_000 }],
    ["a reset, and it never took effect", { kind: "reset", commit: "before" }]
  ] as const)("is one job: %s", ([, fault]) =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(5)
      world.faults.onCall("start", fault)
      const result = yield* (yield* begin(world)).result()
      expect(result).toMatchObject({ success: { ending: { state: "completed" } } })
      expect(world.platform.commands()).toHaveLength(1)
      expect(world.faults.fired).toHaveLength(1)
    })
  )

  it.effect("and that cannot be looked for is told as a doubt, with the tag to look for", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(5)
      world.faults.onCall("start", { kind: "reset", commit: "after" })
      world.faults.onCall("find", { kind: "503", commit: "never" }, Number.POSITIVE_INFINITY)
      const result = yield* (yield* begin(world)).result()
      expect(result).toMatchObject({ failure: { _tag: "JobNotStarted", surely: false } })
      expect(Result.isFailure(result) && result.failure.message).toMatch(/prefect\.io\/job-start=/u)
      expect(world.platform.commands()).toHaveLength(1)
    })
  )
})

describe("a job that nobody waits for any longer", () => {
  it.effect("is stopped, and its end is waited for", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(3600)
      const run = yield* begin(world)
      yield* seconds(10)
      yield* run.wish("stop")
      expect(yield* run.result()).toMatchObject({
        success: { _tag: "Stopped", ending: { state: "cancelled" } }
      })
      expect(run.asked.times).toBe(0)
      expect(living(world)).toEqual([])
    })
  )

  it.effect("is stopped when it has no replica yet, as soon as it has one", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = (it) =>
        Effect.sleep("40 seconds").pipe(Effect.andThen(it.live), Effect.andThen(Effect.never))
      const run = yield* begin(world)
      yield* seconds(5)
      yield* run.wish("stop")
      expect(yield* run.result()).toMatchObject({ success: { _tag: "Stopped" } })
      expect(living(world)).toEqual([])
    })
  )

  it.effect("is stopped when the wish comes while its start is not answered yet", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(3600)
      world.faults.onCall("start", { kind: "slow", before: 0, after: 8_000 })
      const run = yield* begin(world)
      yield* seconds(4)
      expect(living(world)).toHaveLength(1)
      yield* run.wish("stop")
      expect(yield* run.result()).toMatchObject({ success: { _tag: "Stopped" } })
      expect(living(world)).toEqual([])
    })
  )

  it.effect("is asked about once, and left running when that is the answer", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(3600)
      const run = yield* begin(world, { leaves: true })
      yield* seconds(10)
      yield* run.wish("ask")
      expect(yield* run.result()).toMatchObject({ success: { _tag: "Left" } })
      expect(run.asked.times).toBe(1)
      expect(living(world)).toHaveLength(1)
      expect(world.stopped()).toEqual([])
    })
  )

  it.effect("is stopped although Control Plane is away for a while", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(3600)
      const run = yield* begin(world)
      yield* seconds(10)
      const back = world.faults.outage("Control Plane")
      yield* run.wish("stop")
      yield* seconds(30)
      expect(living(world)).toHaveLength(1)
      back()
      expect(yield* run.result()).toMatchObject({ success: { _tag: "Stopped" } })
      expect(living(world)).toEqual([])
    })
  )

  it.effect("a second wish ends the waiting, the stop being sent", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(3600)
      world.stopping.grace = 300
      const run = yield* begin(world)
      yield* seconds(10)
      yield* run.wish("stop")
      yield* seconds(5)
      yield* run.wish("ask")
      expect(yield* run.result()).toMatchObject({ success: { _tag: "Stopped", ending: undefined } })
      expect(world.stopped()).toHaveLength(1)
    })
  )

  it.effect("is stopped by the interruption of whoever runs it", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(3600)
      const run = yield* begin(world)
      yield* seconds(10)
      const interrupting = yield* run.interrupt
      yield* seconds(60)
      yield* Fiber.join(interrupting)
      expect(living(world)).toEqual([])
    })
  )

  it.effect("is stopped when its time is over", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(3600)
      const result = yield* (yield* begin(world, { timeout: 60_000 })).result()
      expect(result).toMatchObject({ success: { _tag: "Stopped", why: "not over after 60 s (timeout)" } })
      expect(living(world)).toEqual([])
    })
  )
})

describe("a detached job", () => {
  it.effect("lives on, and the platform ends it when its time is over", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(3600)
      const result = yield* (yield* begin(world, { detach: true, timeout: 600_000 })).result()
      expect(result).toMatchObject({ success: { _tag: "Detached" } })
      yield* seconds(30)
      expect(living(world)).toMatchObject([{ spec: { activeDeadlineSeconds: 600 } }])
    })
  )
})

describe("the workload afterwards", () => {
  it.effect("is deleted when that is wanted", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(5)
      yield* (yield* begin(world, { deleteAfterwards: true })).result()
      expect(workloads(world)).toEqual([])
    })
  )

  it.effect("stays while another job lives in it", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(3600)
      yield* (yield* begin(world, { detach: true })).result()
      world.usual = job(5)
      const second = yield* begin(world, { deleteAfterwards: true })
      yield* second.result()
      expect(workloads(world)).toHaveLength(1)
      expect(living(world)).toHaveLength(1)
      expect(second.told.at(-1)).toContain("1 other job lives in it")
    })
  )

  it.effect("one that was not made for such a job is neither used nor deleted", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      world.usual = job(5)
      yield* (yield* begin(world)).result()
      const [made] = workloads(world)
      if (made === undefined) throw new Error("no workload was made")
      world.platform.workloads.set(made.ref.path, { ...made, tags: { owner: "somebody" } })
      const result = yield* (yield* begin(world, { deleteAfterwards: true })).result()
      expect(result).toMatchObject({ failure: { _tag: "WorkloadUnfit" } })
      expect(workloads(world)).toHaveLength(1)
      expect(world.platform.commands()).toHaveLength(1)
    })
  )
})
