/** What `scripts/test` can run is known to those who ask for help, and to those who work on it. */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"

const root = join(import.meta.dirname, "..")

/** As the run itself names them to somebody who asked for another one. */
const suites = (): ReadonlyArray<string> => {
  const { stderr } = spawnSync(process.execPath, ["scripts/test.ts", "none-of-them"], {
    cwd: root,
    encoding: "utf8"
  })
  return /; there are (.+)$/mu.exec(stderr)?.[1]?.split(", ") ?? []
}

describe("every suite", () => {
  const all = suites()

  it("is named by the help, and in CONTRIBUTING.md", () => {
    expect(all).toContain("unit")
    const help = spawnSync("bash", ["scripts/test", "--help"], { cwd: root, encoding: "utf8" }).stdout
    const page = readFileSync(join(root, "CONTRIBUTING.md"), "utf8")
    const words = new Set(help.match(/[\w-]+/gu))
    expect(all.filter((name) => !words.has(name))).toEqual([])
    expect(all.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
  })
})
