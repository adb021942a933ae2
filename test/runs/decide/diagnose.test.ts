import { readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import { crashLog, crashMessage } from "../../../src/runs/decide/crash.ts"
import {
  advice,
  categories,
  categoryOf,
  categoryOfRefusal,
  exitOf,
  remedyOf,
  silence
} from "../../../src/runs/decide/diagnose.ts"

const pages = readFileSync(new URL("../../../docs/troubleshooting.md", import.meta.url), "utf8")
const still = { deadline: false, gone: false }
const ended = (code: number, more: { reason?: string; message?: string } = {}) =>
  exitOf(
    {
      name: "command-1",
      status: "failed",
      containers: {
        "prefect-job": {
          message: more.message ?? null,
          restarts: { exitCode: code, reason: more.reason ?? null }
        }
      }
    },
    "prefect-job"
  )

describe("a category", () => {
  it.each(categories)("has a remedy and a heading in the troubleshooting page: %s", (category) => {
    expect(remedyOf(category).length).toBeGreaterThan(10)
    expect(pages).toContain(`### ${category}\n`)
    expect(advice(category)).toContain(`[${category}] ${remedyOf(category)}`)
    expect(advice(category)).toMatch(new RegExp(`\\(docs/troubleshooting\\.md#${category}\\)$`, "u"))
  })

  it("has every heading of its page's own, and no other", () => {
    const headings = [...pages.matchAll(/^### (.+)$/gmu)].map(([, heading]) => heading)
    expect([...headings].sort()).toEqual([...categories].sort())
  })

  it("takes the platform's own word before an exit code, which every kill shares", () => {
    expect(categoryOf(ended(137, { reason: "OOMKilled" }), still)).toBe("out-of-memory")
    expect(categoryOf(ended(137, { message: "Evicted: the node was low on disk" }), still)).toBe("eviction")
    expect(categoryOf(ended(137), still)).toBe("killed")
    expect(categoryOf({ code: undefined, text: "ImagePullBackOff: manifest unknown" }, still)).toBe(
      "image-pull"
    )
    expect(categoryOf(ended(127), still)).toBe("command-not-found")
    expect(categoryOf(ended(143), still)).toBe("terminated")
    expect(categoryOf(ended(3), still)).toBe("exit-code")
    expect(categoryOf(ended(0), still)).toBe("unreported")
    expect(categoryOf(undefined, { deadline: false, gone: true })).toBe("lost")
    expect(categoryOf(ended(137), { deadline: true, gone: false })).toBe("deadline")
    expect(categoryOf({ code: undefined, text: 'secret "db" not found' }, still)).toBe("refused-secret")
    expect(categoryOf({ code: undefined, text: "exec format error" }, still)).toBe("command-not-found")
  })

  it.each([
    ["NodeLost", "eviction"],
    ["NodeShutdown", "eviction"],
    ["Pod was terminated in response to imminent node shutdown.", "eviction"],
    ["The node was lost", "eviction"],
    ["ErrImageNeverPull", "image-pull"],
    ["ErrImagePull", "image-pull"],
    ["CreateContainerConfigError", "refused-secret"],
    ["couldn't find key password in Secret default/db", "refused-secret"]
  ] as const)("takes the platform's word %s before the code of a kill: %s", (words, category) => {
    expect(categoryOf(ended(137, { reason: words }), still)).toBe(category)
    expect(categoryOf(ended(137, { message: words }), { ...still, neverStarted: true })).toBe(category)
  })

  it("of an end without words and code is that of what is known beside them", () => {
    const silent = { code: undefined, text: "the platform gave no reason" }
    expect(categoryOf(silent, { ...still, neverStarted: true })).toBe("not-started")
    expect(categoryOf(undefined, { ...still, neverStarted: true })).toBe("not-started")
    expect(categoryOf(silent, { ...still, stage: "cancelled" })).toBe("terminated")
    expect(categoryOf(silent, { ...still, stage: "completed" })).toBe("unreported")
    expect(categoryOf(silent, { ...still, stage: "failed" })).toBe("exit-code")
  })

  it("of a job that the agent stopped is that, however it ended, but for what the platform says and its start", () => {
    const stopped = { ...still, stopAsked: true }
    for (const stage of ["completed", "failed", "cancelled"] as const) {
      for (const code of [0, 1, 137, 143]) {
        expect(categoryOf(ended(code), { ...stopped, stage })).toBe("stopped")
      }
    }
    expect(categoryOf(ended(137, { reason: "OOMKilled" }), stopped)).toBe("out-of-memory")
    expect(categoryOf(undefined, { ...stopped, neverStarted: true })).toBe("not-started")
    expect(categoryOf(ended(143), { ...stopped, deadline: true })).toBe("deadline")
  })

  it("of a refusal is what its workload waits for, a secret, or else a definition to be mended", () => {
    const notReady = (words: string) =>
      `The workload cannot be used: not ready in "l" after 60 s (pod_watch_timeout_seconds): ${words}`
    expect(categoryOfRefusal(notReady(silence))).toBe("not-started")
    expect(categoryOfRefusal(notReady("ErrImagePull"))).toBe("image-pull")
    expect(categoryOfRefusal("its service account s may not reveal secret db. Apply this:")).toBe(
      "refused-secret"
    )
    expect(categoryOfRefusal("spec.containers[0].image: is missing")).toBe("refused")
    expect(categoryOfRefusal("spec.activeDeadlineSeconds: its deadline is no number")).toBe("refused")
  })
})

describe("the words of a crash", () => {
  const crash = {
    why: "the job failed: exit code 3",
    workload: "w",
    command: "c",
    category: "exit-code" as const,
    lines: Array.from({ length: 20 }, (_, index) => `line ${index} ${"x".repeat(1000)}`)
  }

  it("say what, where, which kind of trouble, and the last lines, within bounds", () => {
    const message = crashMessage(crash)
    expect(message).toMatch(/^The job failed: exit code 3 \(workload w, command c\)\. \[exit-code\]/u)
    expect(message).toMatch(/\(docs\/troubleshooting\.md#exit-code\)\nLast lines of the job:\nline 15 /u)
    expect(message).toContain("line 19")
    expect(message).not.toContain("line 14 ")
    expect(message.length).toBeLessThan(2_500)
    expect(crashLog(crash)).toContain("line 0 ")
  })
})
