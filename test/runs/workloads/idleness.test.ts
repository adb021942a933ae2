import { describe, expect, it } from "@effect/vitest"
import type { Command, JobExecution, Workload } from "../../../src/cpln/schemas.ts"
import { type Evidence, judge, looksApart } from "../../../src/runs/workloads/idleness.ts"

const poolId = "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10"
const hour = 3_600_000
const at = Date.parse("2026-03-01T12:00:00.000Z")
const ago = (ms: number) => new Date(at - ms).toISOString()
const rules = { poolId, ttl: 24 * hour, apart: looksApart(24 * hour) }

const workload = (more: Partial<Workload> = {}): Workload => ({
  name: "p0f3b6a52-job-0123456789ab",
  tags: { "prefect.io/work-pool-id": poolId },
  created: ago(240 * hour),
  lastModified: ago(240 * hour),
  ...more
})
const markedAgo = (ms: number, more: Partial<Workload> = {}) =>
  workload({
    tags: { "prefect.io/work-pool-id": poolId, "prefect.io/idle-since": ago(ms) },
    lastModified: ago(ms - 200),
    ...more
  })
const command = (started: number, ended: number, stage = "completed"): Command => ({
  id: `c-${started}-${stage}`,
  type: "runCronWorkload",
  created: ago(started),
  lastModified: ago(ended),
  lifecycleStage: stage
})
const look = (evidence: Partial<Evidence>, ttl = rules.ttl) =>
  judge(
    { workload: workload(), commands: [], executions: [], at, ...evidence },
    { poolId, ttl, apart: looksApart(ttl) }
  )

describe("a workload of ours", () => {
  it("that is idle for the TTL is marked at a first look, and goes at a second one later", () => {
    const commands = [command(30 * hour, 25 * hour)]
    expect(look({ commands })._tag).toBe("Mark")
    expect(look({ commands, workload: markedAgo(1_000) })).toMatchObject({ _tag: "Stays", again: 119_000 })
    expect(look({ commands, workload: markedAgo(120_000) })._tag).toBe("Goes")
  })

  it("is counted from its last completion, never from a start", () => {
    expect(look({ commands: [command(90 * hour, 23 * hour)] })).toMatchObject({ _tag: "Stays", again: hour })
    // An older job that ended after a younger one.
    expect(look({ commands: [command(90 * hour, hour), command(60 * hour, 50 * hour)] })._tag).toBe("Stays")
    const execution: JobExecution = { name: "x", status: "successful", startTime: ago(90 * hour) }
    expect(look({ executions: [{ ...execution, completionTime: ago(2 * hour) }] })._tag).toBe("Stays")
    expect(look({ executions: [{ ...execution, completionTime: ago(25 * hour) }] })._tag).toBe("Mark")
  })

  it("that never had a command is counted from its creation or last change", () => {
    expect(look({})._tag).toBe("Mark")
    expect(look({ workload: workload({ lastModified: ago(hour) }) })._tag).toBe("Stays")
    expect(look({ workload: workload({ created: ago(hour), lastModified: null }) })._tag).toBe("Stays")
    // Its mark is no change of that kind.
    expect(look({ workload: markedAgo(121_000) })._tag).toBe("Goes")
  })

  it("stays while anything in it is not over, a stage that is not known included", () => {
    const idle = command(90 * hour, 80 * hour)
    for (const stage of ["pending", "running", "cancellation-requested", "something-new"]) {
      expect(look({ commands: [idle, command(90 * hour, 90 * hour, stage)] })._tag, stage).toBe("Stays")
    }
    for (const status of ["active", "pending", "", "something-new"]) {
      const running = { name: "scheduled-1", status, startTime: ago(90 * hour) }
      expect(look({ commands: [idle], executions: [running], workload: markedAgo(hour) })._tag, status).toBe(
        "Stays"
      )
    }
    // What is left behind of a command that is over is no job.
    const left = { name: `command-${idle.id}`, status: "pending", startTime: ago(90 * hour) }
    expect(look({ commands: [idle], executions: [left] })._tag).toBe("Mark")
  })

  it("that was used since it was marked begins anew", () => {
    // The mark is older than the idleness that it would speak of.
    expect(look({ commands: [command(26 * hour, 25 * hour)], workload: markedAgo(20 * hour) })._tag).toBe(
      "Mark"
    )
    expect(look({ commands: [command(2 * hour, hour)], workload: markedAgo(20 * hour) })._tag).toBe("Stays")
  })

  it("that somebody changed since it was marked begins anew, when that was a moment ago not at once", () => {
    const commands = [command(90 * hour, 80 * hour)]
    expect(look({ commands, workload: markedAgo(hour, { lastModified: ago(30_000) }) })).toMatchObject({
      _tag: "Stays",
      again: 90_000
    })
    expect(look({ commands, workload: markedAgo(hour, { lastModified: ago(130_000) }) })._tag).toBe("Mark")
  })

  it("with a mark of the future, or without any time, is not deleted", () => {
    expect(look({ commands: [command(90 * hour, 80 * hour)], workload: markedAgo(-hour) })._tag).not.toBe(
      "Goes"
    )
    expect(look({ workload: workload({ created: null, lastModified: null }) })._tag).toBe("Stays")
  })

  it("with a TTL below two minutes is looked at again after that", () => {
    const commands = [command(9_000, 8_000)]
    expect(look({ commands, workload: markedAgo(6_000) }, 5_000)._tag).toBe("Mark")
    expect(look({ commands, workload: markedAgo(3_000) }, 5_000)._tag).toBe("Stays")
    expect(look({ commands: [command(19_000, 18_000)], workload: markedAgo(5_000) }, 5_000)._tag).toBe("Goes")
  })
})

describe("a workload that is not ours", () => {
  const old = { commands: [command(90 * hour, 80 * hour)] }
  const stays = (more: Partial<Workload>) =>
    expect(look({ ...old, workload: markedAgo(hour, more) })._tag).toBe("Stays")

  it("stays, whatever its name", () => {
    stays({ tags: { "prefect.io/idle-since": ago(hour) } })
    stays({ tags: { "prefect.io/work-pool-id": "another", "prefect.io/idle-since": ago(hour) } })
  })

  it("stays, whatever its tags: a copy under another name, and a job that is no flow run", () => {
    stays({ name: "copy-of-p0f3b6a52-job-0123456789ab" })
    stays({ name: "j-job-0123456789ab" })
    stays({ name: "pffffffff-job-0123456789ab" })
  })

  it("stays when a person protected it, or switched its schedule on", () => {
    const tags = { "prefect.io/work-pool-id": poolId, "prefect.io/idle-since": ago(hour) }
    stays({ tags: { ...tags, "cpln/protected": "true" } })
    stays({ spec: { defaultOptions: { suspend: false } } })
    expect(
      look({ ...old, workload: markedAgo(hour, { spec: { defaultOptions: { suspend: true } } }) })._tag
    ).toBe("Goes")
  })
})
