import { describe, expect, it } from "@effect/vitest"
import { quantity } from "../../../src/job/manifest/quantity.ts"
import { accepted, first, manifest, pathsOf, problems } from "./convert-one.ts"

const sized = (limits: unknown, more: object = {}) => manifest({ resources: { limits, ...more } })

const sizeOf = (limits: unknown) => {
  const override = accepted(sized(limits)).overrides[0]
  return [override?.cpu, override?.memory]
}

describe("sizes", () => {
  it("are passed on as they were written, numbers as texts; without limits 500m and 512Mi", () => {
    expect(sizeOf({ cpu: "250m", memory: "1024Mi" })).toEqual(["250m", "1024Mi"])
    expect(sizeOf({ cpu: 2, memory: "1e9" })).toEqual(["2", "1e9"])
    expect(sizeOf({ cpu: 0.5, memory: 536_870_912 })).toEqual(["0.5", "536870912"])
    expect(sizeOf({ memory: "2Gi" })).toEqual(["500m", "2Gi"])
    expect(sizeOf(null)).toEqual(["500m", "512Mi"])
  })

  it.each([
    [{ cpu: "24m", memory: "32Mi" }, "cpu"],
    [{ cpu: "1", memory: "31Mi" }, "memory"],
    [{ cpu: "lots" }, "cpu"],
    [{ cpu: "-1" }, "cpu"],
    [{ cpu: "1", memory: [] }, "memory"],
    [{ cpu: "0.500000000000000000000000000" }, "cpu"]
  ])("%j is refused at its %s", (limits, key) => {
    expect(pathsOf(sized(limits))).toEqual([`${first}.resources.limits.${key}`])
  })

  it("may have 8 MiB per millicore, and the remedy says how much cpu is needed", () => {
    expect(sizeOf({ cpu: "128m", memory: "1Gi" })).toEqual(["128m", "1Gi"])
    const [problem] = problems(sized({ cpu: "100m", memory: "4Gi" }))
    expect(problem).toMatchObject({ path: `${first}.resources.limits.memory` })
    expect(problem?.remedy).toContain("at least 512m")
    expect(problems(sized({ cpu: "50m" }))[0]?.path).toBe(`${first}.resources.limits.memory`)
  })

  it("warn of requests and of other resources, and resources: null is refused", () => {
    const { warnings } = accepted(sized({ "nvidia.com/gpu": 1 }, { requests: { cpu: "2" } }))
    expect(warnings.join("\n")).toContain('resources.limits["nvidia.com/gpu"]')
    expect(warnings.join("\n")).toContain(`${first}.resources.requests`)
    expect(pathsOf(manifest({ resources: null }))).toEqual([`${first}.resources`])
  })
})

describe("quantities", () => {
  it.each([
    ["100m", 0.1],
    ["1.5", 1.5],
    [".5", 0.5],
    ["2k", 2_000],
    ["1Ki", 1_024],
    ["1.5Gi", 1_610_612_736],
    ["1e3", 1_000],
    ["1E3", 1_000],
    ["2E", 2e18]
  ])("%s is %d", (text, value) => {
    expect(quantity(text)).toBeCloseTo(value)
  })

  it.each(["", "m", "1 Gi", "1gi", "1mi", "--1", "1e", "0x10", "NaN", "1e999", "١"])("%s is none", (text) => {
    expect(quantity(text)).toBeUndefined()
  })
})
