import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { parseClaimMessage } from "../../../src/job/claim-message.ts"
import { makeBench } from "../world/bench.ts"
import { pass, scenario, within } from "../world/scenario.ts"
import {
  attemptOf,
  begin,
  claimState,
  handedBack,
  pid,
  stateAt,
  whereOf,
  type World
} from "../world/world.ts"

const where = whereOf("w1")

/** A run whose first attempt was given back, and a live job of that attempt. */
const handedBackWithJob = Effect.fnUntraced(function* (world: World) {
  const ref = yield* world.addWorkload("w1")
  const command = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
  yield* world.addRun("r1", {
    history: [stateAt(begin, "SCHEDULED"), claimState("t1", { where })],
    state: handedBack("t1", { where })
  })
  return command
})

describe("a run that was claimed before", () => {
  scenario("takes over the live job of the attempt that was handed back, and starts none", (world) =>
    Effect.gen(function* () {
      const command = yield* handedBackWithJob(world)
      yield* within("10 seconds", (yield* makeBench(world, "agent-b")).launchNow("r1"))
      expect(world.platform.commandsOf("r1").map(({ id }) => id)).toEqual([command])
      expect(parseClaimMessage(world.run("r1").state?.message ?? "")).toMatchObject({
        agent: "agent-b",
        where,
        tryNumber: 2,
        adopts: command
      })
      expect(world.run("r1").infrastructure_pid).toBe(pid("w1", command))
      expect(world.stopped()).toEqual([])
    })
  )

  scenario("takes over a job without any loss when the claim's answer is lost", (world) =>
    Effect.gen(function* () {
      const command = yield* handedBackWithJob(world)
      world.faults.onCall("propose", { kind: "reset", commit: "after" })
      yield* within("20 seconds", (yield* makeBench(world, "agent-b")).launchNow("r1"))
      expect(world.run("r1").infrastructure_pid).toBe(pid("w1", command))
      expect(world.types("r1").filter((type) => type === "PENDING")).toHaveLength(2)
    })
  )

  scenario("is not claimed while the live job of another attempt is there", (world) =>
    Effect.gen(function* () {
      const ref = yield* world.addWorkload("w1")
      const command = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
      yield* world.addRun("r1", {
        run_count: 1,
        infrastructure_pid: pid("w1", command),
        history: [claimState("t1", { where }), stateAt(begin, "CRASHED")],
        state: stateAt(begin, "SCHEDULED", { name: "AwaitingRetry" })
      })
      const bench = yield* makeBench(world, "agent-a")
      const first = yield* within("10 seconds", bench.launchNow("r1"))
      expect(first).toMatchObject({ failure: { _tag: "EarlierJobLives", command } })
      expect(world.stateOf("r1")).toBe("SCHEDULED")
      // Once it is over, nothing is in the way.
      yield* world.setStage(command, "failed")
      yield* within("1 second", bench.launchNow("r1"))
      expect(world.stages("r1")).toEqual(["failed", "pending"])
      expect(parseClaimMessage(world.run("r1").state?.message ?? "")?.tryNumber).toBe(2)
    })
  )

  scenario("is not claimed while the place of an earlier job does not answer", (world) =>
    Effect.gen(function* () {
      yield* handedBackWithJob(world)
      world.faults.onCall("find", { kind: "503", commit: "never" })
      const bench = yield* makeBench(world, "agent-a")
      expect(yield* within("10 seconds", bench.launchNow("r1"))).toMatchObject({
        failure: { _tag: "Unavailable" }
      })
      expect(world.stateOf("r1")).toBe("SCHEDULED")
    })
  )

  scenario("is claimed anew where the workload of the earlier job is gone", (world) =>
    Effect.gen(function* () {
      yield* world.addRun("r1", {
        history: [stateAt(begin, "SCHEDULED"), claimState("t1", { where })],
        state: handedBack("t1", { where })
      })
      yield* within("1 second", (yield* makeBench(world, "agent-a")).launchNow("r1"))
      expect(world.stages("r1")).toEqual(["pending"])
    })
  )

  scenario("finds a job that a late start made, though it has no PID", (world) =>
    Effect.gen(function* () {
      // An hour ago agent-a claimed, posted, and died before it learnt of the job.
      const ref = yield* world.addWorkload("w1")
      const command = yield* world.addCommand(ref, "r1", { tags: { "prefect.io/attempt": attemptOf("t1") } })
      yield* world.addRun("r1", {
        history: [
          claimState("t0", { where }),
          handedBack("t0", { where }),
          claimState("t1", { where, tryNumber: 2 })
        ],
        state: handedBack("t1", { where, tryNumber: 2 })
      })
      yield* pass("1 hour")
      yield* within("10 seconds", (yield* makeBench(world, "agent-b")).launchNow("r1"))
      expect(parseClaimMessage(world.run("r1").state?.message ?? "")).toMatchObject({
        tryNumber: 3,
        adopts: command
      })
    })
  )
})
