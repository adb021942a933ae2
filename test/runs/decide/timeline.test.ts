import { describe, expect, it } from "@effect/vitest"
import { timeline } from "../../../src/runs/decide/timeline.ts"

const at = (second: number) => new Date(Date.UTC(2026, 10, 24, 12, 0, 0) + second * 1000).toISOString()
const run = {
  id: "r",
  name: "r",
  flow_id: "f",
  run_count: 1,
  tags: [],
  expected_start_time: at(0),
  start_time: at(24),
  end_time: at(214)
}
const execution = { name: "command-1", startTime: at(15), completionTime: at(216) }

describe("the line of where the time went", () => {
  it("goes from due to command, container, first RUNNING and end", () => {
    expect(timeline(run, at(0.8), execution, 0)).toBe(
      "queued 0.8 s · image 14 s · start 9 s · ran 3 m 10 s · exit 0"
    )
  })

  it("leaves out what no service said, and takes the container's end for an engine that reported none", () => {
    const unreported = { ...run, end_time: null }
    expect(timeline(unreported, undefined, execution, 137)).toBe("start 9 s · ran 3 m 12 s · exit 137")
    expect(timeline({ ...run, start_time: null }, undefined, undefined, undefined)).toBe("")
  })

  it("of a run that was started before tells of this job alone", () => {
    const again = { ...run, run_count: 2, start_time: at(-4000), expected_start_time: at(-5000) }
    expect(timeline(again, at(0.8), execution, 0)).toBe("image 14 s · ran 3 m 19 s · exit 0")
    // A retry by hand lets the server count anew, and keep the first start.
    expect(timeline({ ...again, run_count: 1 }, at(0.8), execution, 0)).toBe(
      "image 14 s · ran 3 m 19 s · exit 0"
    )
  })

  it("of a run that never started tells of no start, though 3.x gives it one with its end", () => {
    const never = { ...run, run_count: 0, start_time: run.end_time }
    expect(timeline(never, at(0.8), execution, 143)).toBe("queued 0.8 s · image 14 s · exit 143")
  })

  it("shows no negative time where two services' clocks disagree", () => {
    expect(timeline(run, at(-1), undefined, undefined)).toContain("queued 0 s")
  })
})
