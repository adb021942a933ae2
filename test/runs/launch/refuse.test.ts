import { describe, expect } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { parseClaimMessage } from "../../../src/job/claim-message.ts"
import { makeBench } from "../world/bench.ts"
import { scenario, within } from "../world/scenario.ts"

describe("a run that cannot run", () => {
  scenario("is ended with every problem at once, on its state and in its log", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", { job_variables: { location: "mars", job_watch_timeout_seconds: "soon" } })
      yield* within("10 seconds", (yield* makeBench(world, "agent-a")).launchNow("r1"))
      expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "CRASHED"])
      const { message } = world.run("r1").state ?? {}
      expect(message).toContain("job_watch_timeout_seconds")
      expect(world.logOf("r1")).toContain("job_watch_timeout_seconds")
      expect(world.platform.commands()).toEqual([])
      expect(world.platform.workloads.size).toBe(0)
    })
  )

  scenario("is claimed first, for no place, so that nobody else can be running it", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", { job_variables: { location: "mars" } })
      yield* within("10 seconds", (yield* makeBench(world, "agent-a")).launchNow("r1"))
      expect(parseClaimMessage(world.prefect.states("r1")[1]?.message ?? "")).toMatchObject({
        agent: "agent-a",
        where: "-"
      })
      expect(world.run("r1").state?.message).toContain('no location "mars"')
    })
  )

  scenario("because its deployment was deleted says so", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", { deployment_id: "gone" })
      yield* within("10 seconds", (yield* makeBench(world, "agent-a")).launchNow("r1"))
      expect(world.stateOf("r1")).toBe("CRASHED")
      expect(world.run("r1").state?.message).toContain("Its deployment was deleted.")
    })
  )

  scenario("without a deployment is run from its flow alone", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", { deployment_id: null })
      yield* within("10 seconds", (yield* makeBench(world, "agent-a")).launchNow("r1"))
      expect(world.stages("r1")).toEqual(["running"])
    })
  )

  scenario("in the eyes of an agent of another version is not ended by it once it is claimed", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const [able, unable] = [
        yield* makeBench(world, "agent-new"),
        yield* makeBench(world, "agent-old", { gvc: undefined })
      ]
      const offer = yield* unable.offerOf("r1")
      yield* within("5 seconds", able.launchNow("r1"))
      yield* within("5 seconds", Effect.result(unable.launch(offer)))
      expect(world.types("r1")).not.toContain("CRASHED")
      expect(world.stages("r1")).toHaveLength(1)
    })
  )

  scenario("in the eyes of one of two agents is either run or ended, never both", (world) =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 30 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id) => world.addRun(id))
      world.faults.latency = { least: 5, most: 60 }
      const able = yield* makeBench(world, "agent-new")
      const unable = yield* makeBench(world, "agent-old", { gvc: undefined })
      yield* within(
        "20 seconds",
        Effect.forEach(
          ids.flatMap((id) => [
            able.launchNow(id),
            Effect.delay(unable.launchNow(id), Duration.millis(20 * Number(id.slice(1))))
          ]),
          Effect.result,
          { concurrency: 60 }
        )
      )
      const ends = ids.map((id) => {
        const jobs = world.stages(id).length
        const crashed = world.types(id).includes("CRASHED")
        return `${jobs} jobs, ${crashed ? "refused" : "run"}`
      })
      expect(new Set(ends)).toEqual(new Set(["1 jobs, run", "0 jobs, refused"]))
    })
  )

  scenario(
    "in the eyes of one of two agents whose claims were accepted at once is left to the other one's job",
    (world) =>
      Effect.gen(function* () {
        world.prefect.acceptsTwo = true
        yield* world.addRun("r1")
        const benches = [yield* makeBench(world, "agent-a"), yield* makeBench(world, "agent-b")]
        world.faults.on(({ by, name }) => name === "start" && by === "agent agent-b", {
          kind: "status",
          status: 409
        })
        const launches = benches.map((bench) => bench.launchNow("r1"))
        yield* within("20 seconds", Effect.forEach(launches, Effect.result, { concurrency: 2 }))
        expect(world.types("r1")).toContain("PENDING")
        expect(world.types("r1")).not.toContain("CRASHED")
        expect(world.stages("r1")).toHaveLength(1)
      }),
    { line: "2" }
  )

  scenario(
    "because its start is refused, though one before it comes to a job late, is left to that",
    (world) =>
      Effect.gen(function* () {
        yield* world.addRun("r1")
        const bench = yield* makeBench(world, "agent-a")
        // Beyond the doubt horizon, so that it is sent again: then it is refused, and the first one lands later.
        world.faults.onCall("start", { kind: "timeout", lands: 60_000 })
        world.faults.onCall("start", { kind: "status", status: 409 })
        yield* within("2 minutes", bench.launchNow("r1"))
        expect(world.platform.commandsOf("r1")).toHaveLength(1)
        expect(world.types("r1")).not.toContain("CRASHED")
      })
  )

  scenario(
    "in the eyes of all whose claims were accepted at once is ended, once",
    (world) =>
      Effect.gen(function* () {
        world.prefect.acceptsTwo = true
        yield* world.addRun("r1")
        const benches = [yield* makeBench(world, "agent-a"), yield* makeBench(world, "agent-b")]
        world.faults.on(({ name }) => name === "start", { kind: "status", status: 409 }, 2)
        const launches = benches.map((bench) => bench.launchNow("r1"))
        yield* within("20 seconds", Effect.forEach(launches, Effect.result, { concurrency: 2 }))
        expect(world.types("r1")).toEqual(["SCHEDULED", "PENDING", "PENDING", "CRASHED"])
      }),
    { line: "2" }
  )

  scenario("only because a service does not answer now is not claimed at all", (world) =>
    Effect.gen(function* () {
      for (const [id, name] of [
        ["r1", "readFlow"],
        ["r2", "readGvc"],
        ["r3", "createWorkload"]
      ] as const) {
        yield* world.addRun(id)
        const bench = yield* makeBench(world, `agent of ${id}`)
        world.faults.onCall(name, { kind: "503", commit: "never" })
        const result = yield* within("10 seconds", bench.launchNow(id))
        expect(result).toMatchObject({ failure: { _tag: "Unavailable" } })
        expect(world.types(id)).toEqual(["SCHEDULED"])
      }
    })
  )

  scenario("because its workload belongs to somebody else leaves that workload alone", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      yield* within("5 seconds", bench.launchNow("r1"))
      const [[path, stored] = ["", undefined]] = world.platform.workloads
      if (stored === undefined) throw new Error("no workload")
      const theirs = { ...stored, tags: {} }
      world.platform.workloads.set(path, theirs)
      yield* world.addRun("r2")
      yield* within("5 seconds", (yield* makeBench(world, "agent-b")).launchNow("r2"))
      expect(world.stateOf("r2")).toBe("CRASHED")
      expect(world.run("r2").state?.message).toContain("without the tag prefect.io/work-pool-id")
      expect(world.run("r2").state?.message).toContain("[refused]")
      expect(world.platform.workloads.get(path)).toBe(theirs)
    })
  )

  scenario("because its workload does not become ready says what the platform says", (world) =>
    Effect.gen(function* () {
      world.platform.readyAfter = 1e9
      yield* world.addRun("r1", { job_variables: { pod_watch_timeout_seconds: 20 } })
      yield* within("1 minute", (yield* makeBench(world, "agent-a")).launchNow("r1"))
      expect(world.types("r1")).toEqual(["SCHEDULED", "SCHEDULED", "PENDING", "CRASHED"])
      expect(world.run("r1").state?.message).toContain("waiting for the image")
      expect(world.run("r1").state?.message).toContain("[not-started]")
      expect(world.platform.commands()).toEqual([])
    })
  )
})
