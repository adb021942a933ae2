/** The state machine of a run, by itself. */
import { describe, expect, it } from "vitest"
import {
  isFinal,
  pending,
  type RunEvent,
  type RunState,
  transition
} from "../../src/emulator/jobs/run-state.ts"

const at = 1000
const after = (run: RunState, ...events: ReadonlyArray<RunEvent>): RunState =>
  events.reduce((state, event, index) => transition(state, event, at + index), run)

const started: RunEvent = { _tag: "Started", replica: "command-1-abcde" }
const ended = (exitCode: number, container = "main"): RunEvent => ({
  _tag: "ContainerEnded",
  container,
  exitCode
})
const stop = (endsAs: "failed" | "cancelled" | "completed"): RunEvent => ({ _tag: "StopAsked", endsAs })
const deadline: RunEvent = { _tag: "DeadlinePassed" }
const cancel: RunEvent = { _tag: "CancellationRequested" }
const evicted: RunEvent = { _tag: "Evicted", reason: "Evicted", message: "the node was low on memory" }
const corrected: RunEvent = { _tag: "Corrected" }
const one = pending(["main"])

const events: ReadonlyArray<RunEvent> = [
  { _tag: "Placed", replica: "command-1-abcde" },
  { _tag: "Held", container: "main", message: "waits" },
  started,
  ended(0),
  ended(1),
  { _tag: "ContainerRestarted", container: "main" },
  stop("failed"),
  stop("cancelled"),
  cancel,
  deadline,
  evicted,
  corrected
]

describe("a run", () => {
  it.each<readonly [string, ReadonlyArray<RunEvent>, RunState["stage"]]>([
    ["is pending before anything happened", [], "pending"],
    ["stays pending while it is held", [events[1]!], "pending"],
    ["runs once started", [started], "running"],
    ["completes with exit code 0", [started, ended(0)], "completed"],
    ["fails with any other", [started, ended(137)], "failed"],
    ["ends as the stop says, although it exits with 0", [started, stop("failed"), ended(0)], "failed"],
    ["runs on after a stop until its containers end", [started, stop("cancelled")], "running"],
    ["is over at once when stopped before it started", [stop("cancelled")], "cancelled"],
    ["fails past its deadline, although it exits with 0", [started, deadline, ended(0)], "failed"],
    ["fails at its deadline when it never started", [deadline], "failed"],
    ["is not over when cancellation is requested", [started, cancel], "cancellation-requested"],
    ["ends cancelled after such a request", [started, cancel, ended(0)], "cancelled"],
    ["fails when its pod is taken away", [started, evicted], "failed"],
    ["may be corrected from failed to completed", [started, ended(1), corrected], "completed"],
    ["is never corrected otherwise", [started, stop("cancelled"), ended(1), corrected], "cancelled"]
  ])("%s", (_, happened, stage) => {
    expect(after(one, ...happened).stage).toBe(stage)
  })

  it("ends with the last of its containers", () => {
    const two = after(pending(["main", "side"]), started, ended(0))
    expect(two.stage).toBe("running")
    expect(after(two, ended(2, "side")).stage).toBe("failed")
    expect(after(two, ended(0, "side")).stage).toBe("completed")
  })

  it("keeps the first end of a container", () => {
    const run = after(pending(["main", "side"]), started, ended(5), ended(0))
    expect(run.containers["main"]?.exitCode).toBe(5)
  })

  it("is the same object after an event that changes nothing", () => {
    const run = after(one, started)
    expect(transition(run, started, at)).toBe(run)
    expect(transition(run, ended(0, "unknown"), at)).toBe(run)
  })

  it("has its times and its message", () => {
    const run = after(one, started, ended(3))
    expect(run).toMatchObject({ replica: "command-1-abcde", startTime: at, completionTime: at + 1 })
    expect(run.containers["main"]).toMatchObject({
      ready: false,
      exitCode: 3,
      reason: "Error",
      message: expect.stringContaining("3")
    })
  })

  it("never leaves completed or cancelled, and failed only by correction, whatever happens", () => {
    const depth = 4
    const walk = (run: RunState, left: number): void => {
      if (left === 0) return
      for (const event of events) {
        const next = transition(run, event, at)
        if (isFinal(run.stage)) {
          expect([run.stage, event._tag, next.stage]).toEqual([
            run.stage,
            event._tag,
            run.stage === "failed" && event._tag === "Corrected" ? "completed" : run.stage
          ])
        }
        expect(isFinal(next.stage)).toBe(next.completionTime !== undefined)
        walk(next, left - 1)
      }
    }
    walk(one, depth)
  })
})
