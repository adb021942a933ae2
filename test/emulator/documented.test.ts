/** docs/emulator.md against the emulator: every fault and flag is in it, its tests exist, and its example runs. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { Effect, Random, Result } from "effect"
import { describe } from "vitest"
import { root } from "../../scripts/local/paths.ts"
import { faultFlags } from "../../src/cli/emulator-faults.ts"
import { catalogue, subjects } from "../../src/emulator/faults/catalogue.ts"
import { readScenario } from "../../src/emulator/faults/scenario.ts"
import { breaks, commands, execution, isOver, stage } from "./faults/asked.ts"
import { idOf, location, withRunner } from "./harness.ts"

const text = readFileSync(join(root, "docs", "emulator.md"), "utf8")
const rows = text.split("\n").filter((line) => line.startsWith("|"))
const examples = [...text.matchAll(/```yaml\n([\s\S]*?)```/gu)].map(([, example]) => example!)

describe("docs/emulator.md", () => {
  it("has a row for each fault, with its parameters and what it can be narrowed by", () => {
    for (const [what, { parameters, point }] of Object.entries(catalogue)) {
      const row = rows.find((each) => each.startsWith(`| \`${what}\` |`)) ?? ""
      expect([what, row]).toEqual([what, expect.stringContaining("|")])
      for (const parameter of Object.keys(parameters)) expect(row).toContain(`\`${parameter}\``)
      expect(row.endsWith(`| ${subjects[point].join(", ")} |`)).toBe(true)
    }
  })

  it("names every flag for faults, and tests that exist", () => {
    for (const name of ["latency", "jitter", "error-rate", "log-lag", "tail-session", "fault", "scenario"]) {
      expect(text).toContain(`\`--${name}\``)
    }
    expect(Object.keys(faultFlags)).toHaveLength(7)
    const tests = rows.flatMap((row) => [...row.matchAll(/`([\w-]+(?:\/[\w-]+)*\.test\.ts)`/gu)])
    expect(tests.length).toBeGreaterThan(20)
    for (const [, path] of tests)
      expect([path, existsSync(join(root, "test/emulator", path!))]).toEqual([path, true])
  })

  it.live("has a scenario that runs: the start is stored but not told, and the job runs out of memory", () =>
    Effect.gen(function* () {
      expect(examples).toHaveLength(1)
      const { seed, faults } = Result.getOrThrow(readScenario(examples[0]!))
      expect(seed).toBe("bad-day")
      const story = Effect.gen(function* () {
        const cpln = yield* withRunner({ startDelay: 0, faults })
        const run = { type: "runCronWorkload", tags: { team: "a" }, spec: { location } }
        expect(yield* breaks(cpln, "POST", commands, run)).toBe(true)
        // By its tag it is found all the same, if not at the first look.
        const query = cpln.post(`${commands}/-query`, {
          spec: { match: "all", terms: [{ op: "=", tag: "team", value: "a" }] }
        })
        const found = yield* Effect.repeat(query, { until: ({ json }) => json.items.length > 0 })
        const path = `${commands}/${found.json.items[0].id}`
        expect(stage(yield* cpln.until(path, (answer) => answer.status === 200 && isOver(answer)))).toBe(
          "failed"
        )
        const seen = yield* Effect.repeat(execution(cpln, path), {
          until: (each) => each?.containers.main.restarts.reason !== undefined
        })
        expect([seen.name, seen.containers.main.restarts.reason]).toEqual([
          `command-${idOf(path)}`,
          "OOMKilled"
        ])
        const { json } = yield* cpln.get("/emulator/faults")
        const fired = (what: string) => json.items.find((each: { what: string }) => each.what === what).fired
        expect([fired("dropped"), fired("oom"), fired("server-error")]).toEqual([1, 1, 0])
        expect(fired("latency")).toBeGreaterThan(3)
      })
      yield* Random.withSeed(story, seed ?? "")
    })
  )
})
