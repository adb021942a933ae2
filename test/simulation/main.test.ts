/** A world that `docs/promises.md` names can be played by its name, as the page says. */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { special } from "./special.ts"

const root = join(import.meta.dirname, "../..")

const simulate = (...args: ReadonlyArray<string>) => {
  const bun = join(root, "node_modules/.bin/bun")
  const { status, stderr, stdout } = spawnSync(bun, ["test/simulation/main.ts", ...args], {
    cwd: root,
    encoding: "utf8"
  })
  return { status, text: `${stdout}${stderr}` }
}

describe("npm run simulate -- --world NAME", () => {
  it("knows every world that the page names", () => {
    const page = readFileSync(join(root, "docs/promises.md"), "utf8")
    const named = [...page.matchAll(/\(world (\w+)\)|--world (\w+)/gu)].map(([, a, b]) => a ?? b ?? "")
    expect(named.length).toBeGreaterThan(20)
    expect(named.filter((name) => !Object.hasOwn(special, name))).toEqual([])
  })

  it("plays it as it is, or with a mutant of the program", { timeout: 60_000 }, () => {
    expect(simulate("--world", "cancels")).toMatchObject({
      status: 0,
      text: expect.stringContaining("every promise was kept")
    })
    expect(simulate("--world", "cancels", "--mutant", "a forced write")).toMatchObject({
      status: 1,
      text: expect.stringContaining("I6 is broken")
    })
  })

  it("says so when there is no world, or no mutant, of that name", () => {
    expect(simulate("--world", "cancels", "--mutant", "nothing")).toMatchObject({
      status: 1,
      text: expect.stringContaining('there is no mutant "nothing"')
    })
    const { status, text } = simulate("--world", "nowhere")
    expect(status).toBe(1)
    expect(text).toContain("there is no world nowhere, but away, cancelledDoubles, cancelledEarly, cancels")
  })
})
