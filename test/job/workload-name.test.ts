import { describe, expect, it } from "@effect/vitest"
import {
  identityName,
  policyName,
  workloadName,
  type WorkloadNameParts
} from "../../src/job/workload-name.ts"

const parts: WorkloadNameParts = {
  poolId: "0F3B6A52-97ea-4ffd-8d44-0cbf3d6e7b10",
  org: "acme",
  gvc: "dev",
  jobType: undefined,
  specHash: "f5cc4d7ad398f5df367bbabe14579cba",
  secretLinks: []
}

describe("the name of a workload", () => {
  it("says whose it is: the pool's, or j for a job that is no flow run", () => {
    expect(workloadName(parts)).toMatch(/^p0f3b6a52-job-[0-9a-f]{12}$/u)
    expect(workloadName({ ...parts, poolId: undefined })).toMatch(/^j-job-[0-9a-f]{12}$/u)
  })

  it.each([
    "ml-training",
    "x".repeat(63),
    "2026",
    "ML Training!",
    "---",
    "web-headless",
    `${"a".repeat(24)}--b`
  ])("is one that the platform takes, with the job type %s", (jobType) => {
    const name = workloadName({ ...parts, jobType })
    expect(name).toMatch(/^[a-z][a-z0-9-]{0,46}[a-z0-9]$/u)
    expect(name.endsWith("-headless")).toBe(false)
    expect(policyName(name).length).toBeLessThanOrEqual(63)
    expect(identityName(name).length).toBeLessThanOrEqual(63)
  })

  it("differs by org, GVC, job type, shape and set of secrets, and not by the order of secrets", () => {
    const different = [
      parts,
      { ...parts, org: "globex" },
      { ...parts, gvc: "prod" },
      { ...parts, jobType: "job" },
      { ...parts, specHash: "0".repeat(32) },
      { ...parts, secretLinks: ["//secret/a"] },
      { ...parts, secretLinks: ["//secret/a", "//secret/b"] }
    ]
    expect(new Set(different.map(workloadName)).size).toBe(different.length)
    expect(workloadName({ ...parts, secretLinks: ["//secret/b", "//secret/a"] })).toBe(
      workloadName({ ...parts, secretLinks: ["//secret/a", "//secret/b"] })
    )
  })
})
