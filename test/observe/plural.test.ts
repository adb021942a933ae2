import { expect, it } from "@effect/vitest"
import { plural } from "../../src/observe/plural.ts"

it("a count agrees with its noun", () => {
  expect([0, 1, 2].map((count) => plural(count, "job"))).toEqual(["0 jobs", "1 job", "2 jobs"])
  expect([1, 2].map((count) => plural(count, "entry", "entries"))).toEqual(["1 entry", "2 entries"])
})
