import { describe, expect, it } from "@effect/vitest"
import { type ListedDeployment, stopTarget } from "../../src/job/stop-target.ts"

const listed = (location: string, replica?: string | null): ListedDeployment => ({
  name: location,
  status: {
    jobExecutions: [
      { name: "command-other", replica: "x" },
      { name: "command-c1", replica }
    ]
  }
})

describe("what a stop names", () => {
  it("is the job's replica, in the location where it runs", () => {
    expect(stopTarget("c1", [{ name: "aws" }, listed("gcp", "command-c1-abcde")])).toEqual({
      _tag: "Replica",
      replica: "command-c1-abcde",
      location: "gcp"
    })
    expect(stopTarget("c1", [listed("aws"), listed("gcp", "r")])).toMatchObject({ location: "gcp" })
  })

  it("is nothing yet while the job has no replica, so that the stop keeps looking", () => {
    expect(stopTarget("c1", [listed("aws")])).toEqual({ _tag: "NoReplicaYet" })
    expect(stopTarget("c1", [listed("aws", null)])).toEqual({ _tag: "NoReplicaYet" })
  })

  it("is nothing when no location lists the job, or the workload is gone", () => {
    for (const deployments of [undefined, [], [{ name: "aws", status: null }], [listed("aws", "r")]]) {
      expect(stopTarget("c2", deployments)).toEqual({ _tag: "Nothing" })
    }
  })
})
