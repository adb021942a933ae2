import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { describe, expect, it } from "@effect/vitest"

const src = join(import.meta.dirname, "../src")

interface Import {
  readonly file: string
  readonly to: string
}

const imports: ReadonlyArray<Import> = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => /\.tsx?$/u.test(file))
  .flatMap((file) =>
    [...readFileSync(join(src, file), "utf8").matchAll(/^import [^"]*? from "(\.[^"]+)"/gmu)].map(
      ([, path = ""]) => ({
        file,
        to: relative(src, join(src, dirname(file), path))
      })
    )
  )

/** The lowest first. What stands side by side may import each other. */
const parts = [
  ["job", "platform.ts"],
  ["observe", "settings.ts"],
  ["http"],
  ["prefect", "cpln"],
  ["logs"],
  ["runs"],
  ["cpln-job"],
  ["agent", "blocks", "plan"],
  ["explain", "emulator"],
  ["cli"],
  ["main.ts", "main-container.ts"]
]

/** Within `runs`; "" are the files that stand in it directly. */
const partsOfRuns = [
  [""],
  ["decide"],
  ["workloads"],
  ["prepare"],
  ["look"],
  ["flight"],
  ["act"],
  ["launch"],
  ["reconcile"]
]

/** Imports that point upwards, and parts that nobody gave a place. */
const wrong = (
  order: ReadonlyArray<ReadonlyArray<string>>,
  partOf: (file: string) => string,
  among: ReadonlyArray<Import>
): ReadonlyArray<string> => {
  const rank = (file: string) => order.findIndex((side) => side.includes(partOf(file)))
  return among
    .filter(({ file, to }) => rank(file) < 0 || rank(to) < 0 || rank(file) < rank(to))
    .map(({ file, to }) => `${file} imports ${to}`)
}

describe("the arrows of the layout point down", () => {
  it("between the folders of src", () => {
    expect(imports.length).toBeGreaterThan(500)
    expect(wrong(parts, (file) => file.split("/")[0] ?? "", imports)).toEqual([])
  })

  it("between the folders of src/runs", () => {
    const inRuns = (file: string) => file.startsWith("runs/")
    const own = imports.filter(({ file, to }) => inRuns(file) && inRuns(to))
    expect(own.length).toBeGreaterThan(200)
    const partOf = (file: string) => file.split("/").slice(1, -1).join("/")
    expect(wrong(partsOfRuns, partOf, own)).toEqual([])
  })

  it("and the emulator stands alone", () => {
    const out = imports.filter(({ file, to }) => file.startsWith("emulator/") && !to.startsWith("emulator/"))
    const allowed = new Set(["cpln", "job", "platform.ts", "observe", "http"])
    expect(out.filter(({ to }) => !allowed.has(to.split("/")[0] ?? ""))).toEqual([])
  })
})
