/** What is read from a CplnJob block, and how the end of its job reads. */
import { describe, expect, it } from "@effect/vitest"
import { Result } from "effect"
import { readJobBlock } from "../../src/cpln-job/block.ts"
import { completed } from "../../src/cpln-job/manifest.ts"
import { ending } from "../../src/cpln-job/watch.ts"
import { endingOf, isGood, stateOf, wordsOf } from "../../src/cpln-job/words.ts"

const nowhere = { org: undefined, gvc: undefined, location: undefined, hasToken: false }
const here = { org: "acme", gvc: "dev", location: "aws-us-west-2", hasToken: true }

describe("a CplnJob block", () => {
  it("names its place itself, as names or as links, and else takes the environment's", () => {
    const own = readJobBlock(
      {
        v1_job: {},
        org: "other",
        namespace: "/org/other/gvc/prod",
        credentials: { config: { token: "token" } },
        interval_seconds: 2,
        timeout_seconds: 60,
        delete_after_completion: false
      },
      here
    )
    expect(Result.getOrThrow(own)).toMatchObject({
      org: "other",
      gvc: "prod",
      location: "aws-us-west-2",
      token: "token",
      interval: 2_000,
      timeout: 60_000,
      deleteAfterCompletion: false
    })
    expect(Result.getOrThrow(readJobBlock({ v1_job: {} }, here))).toMatchObject({
      org: "acme",
      gvc: "dev",
      token: undefined,
      interval: 5_000,
      timeout: undefined,
      deleteAfterCompletion: true
    })
  })

  it("tells everything that is missing or wrong at once", () => {
    const read = readJobBlock({ v1_job: "text", timeout_seconds: 0, interval_seconds: "soon" }, nowhere)
    expect(Result.isFailure(read) && read.failure.map(({ path }) => path)).toEqual([
      "v1_job",
      "interval_seconds",
      "timeout_seconds",
      "org",
      "namespace",
      "credentials"
    ])
  })
})

describe("a manifest as for kubectl", () => {
  it("gets labels and a name to generate from", () => {
    expect(completed({ kind: "Job", metadata: { name: "hello" } })).toEqual({
      kind: "Job",
      metadata: { labels: {}, generateName: "hello-" }
    })
    expect(completed({})).toEqual({ metadata: { labels: {}, generateName: "job-" } })
  })

  it("keeps what it says, and what is of a wrong type is left to be refused", () => {
    const whole = { metadata: { generateName: "x-", labels: { a: "b" } } }
    expect(completed(whole)).toEqual(whole)
    const both = { metadata: { name: "y", ...whole.metadata } }
    expect(completed(both)).toEqual(both)
    expect(completed({ metadata: "text" })).toEqual({ metadata: "text" })
  })
})

describe("the end of a job", () => {
  const command = (lifecycleStage: string) => ({
    id: "c1",
    type: "runCronWorkload",
    created: "2026-03-01T04:00:00.000Z",
    lifecycleStage
  })

  it("of several containers is told by the one that failed", () => {
    const end = ending(command("failed"), {
      name: "command-c1",
      containers: { main: { restarts: { exitCode: 0 } }, side: { restarts: { exitCode: 3 } } }
    })
    expect(end).toMatchObject({ state: "failed", exitCode: 3, reason: "container side: exit code 3" })
  })

  it("without a word from the platform says so", () => {
    expect(ending(command("failed"), undefined)).toMatchObject({
      exitCode: undefined,
      reason: "the platform gave no reason"
    })
  })

  it("comes with advice when it failed, and without when somebody stopped it", () => {
    const failed = ending(command("failed"), undefined)
    expect(endingOf({ _tag: "Ended", commandId: "c1", ending: failed })?.advice).toBeDefined()
    const stopped = endingOf({ _tag: "Stopped", commandId: "c1", why: "interrupted", ending: failed })
    expect(stopped).toEqual({ ...failed, advice: undefined })
  })

  it("is good only when it completed, was left or was detached", () => {
    const completedJob = {
      _tag: "Ended",
      commandId: "c1",
      ending: ending(command("completed"), undefined)
    } as const
    const failedJob = { ...completedJob, ending: ending(command("failed"), undefined) }
    const stopped = { _tag: "Stopped", commandId: "c1", why: "interrupted", ending: undefined } as const
    expect([completedJob, failedJob, stopped].map(isGood)).toEqual([true, false, false])
    expect(isGood({ _tag: "Left", commandId: "c1" })).toBe(true)
    expect(isGood({ _tag: "Left", commandId: undefined })).toBe(false)
    expect([completedJob, failedJob, stopped].map(stateOf)).toEqual(["completed", "failed", "stopped"])
    expect(wordsOf(failedJob)).toBe(
      "Job c1 failed: the platform gave no reason.\n  [exit-code] The lines before the end say more: see the job's output."
    )
  })
})
