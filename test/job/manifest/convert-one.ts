/** One container, one manifest, one conversion: what the tests of the parts have in common. */
import { Result } from "effect"
import { expect } from "@effect/vitest"
import { convert, type ConvertContext, type ConvertedJob, type Problem } from "../../../src/job/convert.ts"

type Part = Readonly<Record<string, unknown>>

export const context: ConvertContext = {
  org: "acme",
  gvc: "dev",
  location: "aws-us-west-2",
  jobType: undefined,
  poolId: "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10",
  secretKeys: new Map([
    ["db", ["user", "pass-word"]],
    ["app-config", ["MODE", "REGION"]],
    ["odd", ["a b", "CPLN_ORG", "GOOD"]],
    ["none", []]
  ])
}

/** `pod` beside the containers, `job` beside the template. */
export const manifest = (
  container: Part,
  {
    pod = {},
    job = {},
    metadata = {},
    sidecars = []
  }: {
    readonly pod?: Part
    readonly job?: Part
    readonly metadata?: Part
    readonly sidecars?: ReadonlyArray<Part>
  } = {}
): Part => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { generateName: "daily-report", labels: {}, ...metadata },
  spec: {
    ...job,
    template: {
      spec: { containers: [{ name: "main", image: "acme/flows:1", ...container }, ...sidecars], ...pod }
    }
  }
})

export const accepted = (given: unknown, changes: Partial<ConvertContext> = {}): ConvertedJob => {
  const result = convert(given, { ...context, ...changes })
  if (Result.isFailure(result)) expect.fail(JSON.stringify(result.failure, undefined, 1))
  return result.success
}

export const problems = (given: unknown, changes: Partial<ConvertContext> = {}): ReadonlyArray<Problem> => {
  const result = convert(given, { ...context, ...changes })
  if (Result.isSuccess(result)) expect.fail("it was accepted")
  return result.failure
}

export const pathsOf = (given: unknown): ReadonlyArray<string> => problems(given).map(({ path }) => path)

export const first = "spec.template.spec.containers[0]"

export const containersOf = (job: ConvertedJob): ReadonlyArray<Part> =>
  job.spec["containers"] as ReadonlyArray<Part>
