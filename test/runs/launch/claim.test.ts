import { describe, expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { parseClaimMessage } from "../../../src/job/claim-message.ts"
import { makeBench } from "../world/bench.ts"
import { pass, scenario, within } from "../world/scenario.ts"
import type { World } from "../world/world.ts"

const claimsOf = (world: World, runId: string) =>
  world.prefect.states(runId).flatMap((state) => parseClaimMessage(state.message ?? "") ?? [])

describe("a claim", () => {
  scenario("is won by one of four claimants, and the others start nothing", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const names = ["agent-a", "agent-b", "agent-c", "agent-d"]
      const benches = yield* Effect.forEach(names, (name) => makeBench(world, name))
      yield* within(
        "10 seconds",
        Effect.forEach(benches, (bench) => Effect.result(bench.launchNow("r1")), { concurrency: 4 })
      )
      const [claim, ...others] = claimsOf(world, "r1")
      expect(others).toEqual([])
      expect(world.platform.commandsOf("r1")).toMatchObject([{ tags: { "cpln/prefectAgent": claim?.agent } }])
    })
  )

  scenario("names the agent, the attempt, the place and the try", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      yield* within("1 second", (yield* makeBench(world, "agent-a")).launchNow("r1"))
      const { message, state_details, timestamp } = world.run("r1").state ?? { timestamp: "" }
      const transition = state_details?.transition_id ?? ""
      const [command] = world.platform.commandsOf("r1")
      const name = world.platform.workloadOf(command?.id ?? "")?.name
      expect(message).toBe(`Claimed by agent-a | attempt ${transition} | acme:dev:${name} | try 1`)
      expect(command?.tags?.["prefect.io/attempt"]).toBe(`${timestamp}_${transition}`)
    })
  )

  for (const [how, fault] of [
    ["before it was taken", { kind: "reset", commit: "never" }],
    ["after it was taken", { kind: "reset", commit: "after" }],
    ["as a 503 after it was taken", { kind: "503", commit: "after" }],
    ["as a timeout after it was taken", { kind: "timeout", lands: "at once" }],
    ["and takes effect once it was given up", { kind: "timeout", lands: 31_500 }]
  ] as const) {
    scenario(`whose answer is lost ${how} is settled by its id: one claim, one job`, (world) =>
      Effect.gen(function* () {
        yield* world.addRun("r1")
        world.faults.onCall("propose", fault)
        yield* within("1 minute", (yield* makeBench(world, "agent-a")).launchNow("r1"))
        expect(claimsOf(world, "r1")).toHaveLength(1)
        expect(world.platform.commandsOf("r1")).toHaveLength(1)
      })
    )
  }

  scenario("whose answer is lost goes to whoever the run names when it is read back", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const [a, b] = [yield* makeBench(world, "agent-a"), yield* makeBench(world, "agent-b")]
      world.faults.on((call) => call.name === "propose" && call.by === "agent agent-a", {
        kind: "reset",
        commit: "never"
      })
      const [first] = yield* within(
        "20 seconds",
        Effect.all([Effect.result(a.launchNow("r1")), Effect.result(b.launchNow("r1"))], { concurrency: 2 })
      ).pipe(Effect.flatMap(Effect.fromResult))
      expect(first).toMatchObject({ _tag: "Failure", failure: { _tag: "ClaimLost" } })
      expect(claimsOf(world, "r1").map(({ agent }) => agent)).toEqual(["agent-b"])
      expect(world.platform.commandsOf("r1")).toHaveLength(1)
    })
  )

  scenario("is not tried again for ever while the server does not answer", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.faults.onCall("propose", { kind: "503", commit: "never" }, Number.POSITIVE_INFINITY)
      const result = yield* within("2 minutes", (yield* makeBench(world, "agent-a")).launchNow("r1"))
      expect(result).toMatchObject({ _tag: "Failure", failure: { _tag: "Unavailable" } })
      expect(world.types("r1")).toEqual(["SCHEDULED"])
    })
  )

  scenario("never rests on an old offer: a run that finished meanwhile stays finished", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      const offer = yield* bench.offerOf("r1")
      yield* pass("1 second")
      yield* world.propose("r1", "RUNNING")
      yield* world.propose("r1", "COMPLETED")
      const result = yield* within("10 seconds", bench.launch(offer))
      expect(result).toMatchObject({ _tag: "Failure", failure: { _tag: "ClaimLost" } })
      expect(world.types("r1").at(-1)).toBe("COMPLETED")
      expect(world.platform.commands()).toEqual([])
    })
  )

  scenario("never rests on an offer that a server gave from its past, of a run that ran before", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", { run_count: 1 })
      const bench = yield* makeBench(world, "agent-a")
      const { run } = yield* bench.offerOf("r1")
      yield* pass("1 second")
      yield* world.propose("r1", "RUNNING")
      yield* world.propose("r1", "COMPLETED")
      yield* pass("20 seconds")
      const { seenAt } = yield* bench.offerOf("r1")
      const result = yield* within("10 seconds", bench.launch({ run, seenAt }))
      expect(result).toMatchObject({ _tag: "Failure", failure: { _tag: "ClaimLost" } })
      expect(world.stateOf("r1")).toBe("COMPLETED")
    })
  )

  scenario("never rests on an answer that was long under way", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", { run_count: 1 })
      const bench = yield* makeBench(world, "agent-a")
      const offer = yield* bench.offerOf("r1")
      yield* pass("1 second")
      world.faults.onCall("readRun", { kind: "slow", before: 0, after: 9_000 })
      const launched = yield* Effect.forkChild(Effect.result(bench.launch(offer)))
      yield* pass("3 seconds")
      yield* world.propose("r1", "RUNNING")
      yield* world.propose("r1", "COMPLETED")
      yield* pass("20 seconds")
      expect(yield* Fiber.join(launched)).toMatchObject({ failure: { _tag: "ClaimLost" } })
      expect(world.stateOf("r1")).toBe("COMPLETED")
    })
  )

  scenario(
    "of a run that was run and retried while its job was prepared is left to the next offer",
    (world) =>
      Effect.gen(function* () {
        const ref = yield* world.addWorkload("w1")
        yield* world.addRun("r1")
        const bench = yield* makeBench(world, "agent-a")
        world.faults.onCall("readGvc", { kind: "slow", before: 3_000, after: 0 })
        const launched = yield* Effect.forkChild(Effect.result(bench.launchNow("r1")))
        yield* pass("1 second")
        yield* world.addCommand(ref, "r1")
        yield* world.propose("r1", "RUNNING")
        yield* world.propose("r1", "FAILED")
        yield* world.propose("r1", "SCHEDULED")
        yield* pass("10 seconds")
        expect(yield* Fiber.join(launched)).toMatchObject({ failure: { _tag: "ClaimLost" } })
        expect(world.stages("r1")).toEqual(["running"])
      })
  )

  scenario("of a run that was cancelled while its job was prepared is not made", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      world.faults.onCall("readGvc", { kind: "slow", before: 700, after: 0 })
      const bench = yield* makeBench(world, "agent-a")
      const launched = yield* Effect.forkChild(Effect.result(bench.launchNow("r1")))
      yield* pass("300 millis")
      yield* world.propose("r1", "CANCELLING")
      yield* pass("10 seconds")
      expect(yield* Fiber.join(launched)).toMatchObject({ failure: { _tag: "ClaimLost" } })
      expect(world.types("r1")).toEqual(["SCHEDULED", "CANCELLED"])
    })
  )

  scenario("of a run that was put off while its job was prepared is not made", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      const offer = yield* bench.offerOf("r1")
      yield* pass("1 second")
      yield* world.propose("r1", "SCHEDULED", { scheduledTime: "2026-03-01T06:00:00.000Z" })
      expect(yield* within("10 seconds", bench.launch(offer))).toMatchObject({ _tag: "Failure" })
      expect(world.types("r1")).toEqual(["SCHEDULED", "SCHEDULED"])
    })
  )

  scenario("of a run whose job variables changed meanwhile starts the job that they describe", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", { job_variables: { image: "registry/flows:1" } })
      const bench = yield* makeBench(world, "agent-a")
      world.faults.onCall("readGvc", { kind: "slow", before: 700, after: 0 })
      const launched = yield* Effect.forkChild(bench.launchNow("r1"))
      yield* pass("300 millis")
      yield* world.change("r1", { job_variables: { image: "registry/flows:2" } })
      yield* pass("10 seconds")
      yield* Fiber.join(launched)
      expect(world.platform.commandsOf("r1")).toMatchObject([
        { spec: { containerOverrides: [{ image: "registry/flows:2" }] } }
      ])
    })
  )

  scenario("of a run that waits in its engine for a retry is not made", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1")
      const bench = yield* makeBench(world, "agent-a")
      const offer = yield* bench.offerOf("r1")
      yield* pass("1 second")
      yield* world.change("r1", { empirical_policy: { retry_type: "in_process" } })
      expect(yield* within("10 seconds", bench.launch(offer))).toMatchObject({ _tag: "Failure" })
      expect(world.types("r1")).toEqual(["SCHEDULED"])
    })
  )

  scenario("that a concurrency limit holds back is told from one that was lost", (world) =>
    Effect.gen(function* () {
      world.prefect.deploymentLimits.set("deployment-1", 1)
      yield* world.addRun("r1")
      yield* world.addRun("r2")
      const bench = yield* makeBench(world, "agent-a")
      yield* within("1 second", bench.launchNow("r1"))
      const second = yield* within("1 second", bench.launchNow("r2"))
      expect(second).toMatchObject({ _tag: "Failure", failure: { _tag: "ClaimDeferred" } })
      expect(world.run("r2").state_name).toBe("AwaitingConcurrencySlot")
      expect(world.platform.commandsOf("r2")).toEqual([])
    })
  )
})
