import { readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import { crashLog, crashMessage } from "../../src/runs/crash.ts"
import { categories, categoryOf, exitOf, remedyOf } from "../../src/runs/diagnose.ts"

const pages = readFileSync(new URL("../../docs/troubleshooting.md", import.meta.url), "utf8")
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
    expect(message).toContain("line 19")
    expect(message).not.toContain("line 14 ")
    expect(message.length).toBeLessThan(2_500)
    expect(crashLog(crash)).toContain("line 0 ")
  })
})
