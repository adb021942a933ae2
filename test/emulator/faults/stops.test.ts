/** Faults of stops: how long they take, and what comes of them. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { type Client, withRunner } from "../harness.ts"
import { execution, fault, isOver, running, stage, stop, timed } from "./asked.ts"

const quick = { startDelay: 0, preStop: 0, grace: 100 }

/** Stops a new run; how long it took from there, and its end. */
const stopped = Effect.fnUntraced(function* (cpln: Client) {
  const path = yield* cpln.start("runner")
  yield* stop(cpln, yield* running(cpln, path))
  const [took, over] = yield* timed(cpln.until(path, isOver))
  const exitCode = (yield* execution(cpln, path)).containers.main.restarts.exitCode
  return { took, stage: stage(over), exitCode }
})

describe("a stop", () => {
  it.live("reaches the job only after preStop", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const [grace, preStop] = [
        yield* fault(cpln, { what: "grace", seconds: 5 }),
        yield* fault(cpln, { what: "pre-stop", seconds: 0.4 })
      ]
      const { took, exitCode } = yield* stopped(cpln)
      expect(took).toBeGreaterThan(350)
      expect(exitCode).toBe(143)
      expect([yield* grace, yield* preStop]).toEqual([1, 1])
    })
  )

  it.live("is not heard by a deaf job, which is killed when its grace is over", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "deaf" })
      yield* fault(cpln, { what: "grace", seconds: 0.4 })
      const { took, exitCode } = yield* stopped(cpln)
      expect(took).toBeGreaterThan(350)
      expect(exitCode).toBe(137)
      expect(yield* fired).toBe(1)
    })
  )

  it.live("kills at once when preStop fails", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ startDelay: 0, preStop: 3000, grace: 4000 })
      const fired = yield* fault(cpln, { what: "pre-stop-failure" })
      const { took, exitCode } = yield* stopped(cpln)
      expect(took).toBeLessThan(1500)
      expect(exitCode).toBe(137)
      expect(yield* fired).toBe(1)
    })
  )

  it.live("can be taken and ignored; the next one works", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "stop-ignored", times: 1 })
      const path = yield* cpln.start("runner")
      const replica = yield* running(cpln, path)
      const first = (yield* stop(cpln, replica)).headers.get("location") ?? ""
      expect(stage(yield* cpln.until(first, isOver))).toBe("completed")
      yield* Effect.sleep(200)
      expect(stage(yield* cpln.get(path))).toBe("running")
      expect((yield* stop(cpln, replica)).status).toBe(201)
      expect(stage(yield* cpln.until(path, isOver))).toBe("failed")
      expect(yield* fired).toBe(1)
    })
  )

  it.live("can be ignored for ever, so that a second one is refused", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "stop-ignored", stage: "pending" })
      const path = yield* cpln.start("runner")
      const replica = yield* running(cpln, path)
      yield* stop(cpln, replica)
      yield* Effect.sleep(200)
      const again = yield* stop(cpln, replica)
      expect([again.status, again.text]).toEqual([400, expect.stringContaining("already exists")])
      expect(stage(yield* cpln.get(path))).toBe("running")
      expect(yield* fired).toBe(1)
    })
  )

  it.live("leads through cancellation-requested to cancelled", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(quick)
      const fired = yield* fault(cpln, { what: "cancellation-requested", seconds: 0.3 })
      const path = yield* cpln.start("runner")
      yield* stop(cpln, yield* running(cpln, path))
      const requested = yield* cpln.until(path, (answer) => stage(answer) !== "running")
      expect(stage(requested)).toBe("cancellation-requested")
      expect((yield* execution(cpln, path)).status).toBe("active")
      expect(stage(yield* cpln.until(path, isOver))).toBe("cancelled")
      expect(yield* fired).toBe(1)
    })
  )
})
