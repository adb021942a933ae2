import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { caughtBy } from "./caught.ts"
import { mutants } from "./mutants.ts"
import { page, promises } from "./page.ts"

const root = join(import.meta.dirname, "../..")
const read = (file: string) => readFileSync(join(root, file), "utf8")

describe("docs/promises.md", () => {
  it("says what the checks, mutants and regressions are", () => {
    expect(read("docs/promises.md")).toBe(page())
  })

  it("names tests that exist", () => {
    const missing = promises
      .flatMap(({ tests }) => tests)
      .filter(({ file, name }) => !read(file).includes(`"${name}"`))
    expect(missing).toEqual([])
  })
})

describe("a mutant", () => {
  it("has a world that is known to catch it, and nothing else has", () => {
    expect(Object.keys(caughtBy).sort()).toEqual(mutants.map(({ name }) => name).sort())
  })

  for (const { file, from, name } of mutants) {
    it(`is of the source as it is: ${name}`, () => {
      expect(read(file).split(from)).toHaveLength(2)
    })
  }
})
