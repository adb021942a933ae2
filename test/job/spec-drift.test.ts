import { describe, expect, it } from "vitest"
import { differences } from "../../src/job/spec-drift.ts"

const sent = {
  type: "cron",
  containers: [
    { name: "prefect-job", cpu: "25m", memory: "32Mi", volumes: [{ uri: "scratch://work", path: "/w" }] },
    { name: "proxy", cpu: "100m", memory: "128Mi" }
  ],
  job: { schedule: "* * * * *", restartPolicy: "Never" },
  firewallConfig: { external: { inboundAllowCIDR: [], outboundAllowCIDR: ["0.0.0.0/0"] } },
  defaultOptions: { capacityAI: false, suspend: true },
  identityLink: "/org/acme/gvc/dev/identity/w-identity"
}

const against = (there: unknown) => differences(sent, there, "spec")

describe("a workload that is read back", () => {
  it("is the same with everything that the service fills in", () => {
    expect(against(structuredClone(sent))).toEqual([])
    expect(
      against({
        ...sent,
        containers: sent.containers.map((each) => ({ ...each, inheritEnv: false })),
        job: { ...sent.job, historyLimit: 5 },
        rolloutOptions: { terminationGracePeriodSeconds: 90 }
      })
    ).toEqual([])
  })

  it("differs where somebody added what the service has no default for", () => {
    const [first, second] = sent.containers
    const env = [{ name: "A", value: "1" }]
    expect(
      against({
        ...sent,
        containers: [
          { ...first, workingDir: "/x", env },
          { ...second, args: [], command: "" }
        ],
        job: { ...sent.job, activeDeadlineSeconds: 60 }
      })
    ).toEqual(["spec.containers[0].env", "spec.containers[0].workingDir", "spec.job.activeDeadlineSeconds"])
    expect(differences({ a: "1" }, { a: "1", env: "prod", command: "x" }, "tags")).toEqual([])
  })

  it("is the same in another form: links, quantities, order of containers, empty lists left out", () => {
    expect(
      against({
        ...sent,
        containers: [
          { name: "proxy", cpu: 0.1, memory: "128Mi" },
          { ...sent.containers[0], cpu: "0.025", memory: "32768Ki" }
        ],
        firewallConfig: { external: { outboundAllowCIDR: ["0.0.0.0/0"] } },
        defaultOptions: { suspend: true },
        identityLink: "//identity/w-identity"
      })
    ).toEqual([])
    expect(against({ ...sent, identityLink: "//gvc/dev/identity/w-identity" })).toEqual([])
  })

  it("is told by the path of each part that is another", () => {
    expect(
      against({
        ...sent,
        containers: [{ ...sent.containers[0], volumes: [] }, sent.containers[1]],
        job: { ...sent.job, restartPolicy: "OnFailure" },
        defaultOptions: { capacityAI: true, suspend: true },
        identityLink: "//identity/another"
      })
    ).toEqual([
      "spec.containers[0].volumes",
      "spec.job.restartPolicy",
      "spec.defaultOptions.capacityAI",
      "spec.identityLink"
    ])
    expect(against({ ...sent, containers: sent.containers.slice(1) })).toEqual(["spec.containers"])
    expect(against(undefined)).toEqual(["spec"])
    expect(against("text")).toEqual(["spec"])
  })

  it("has an item more or less, or another name, for a difference", () => {
    const renamed = [{ ...sent.containers[0], name: "main" }, sent.containers[1]]
    expect(against({ ...sent, containers: renamed })).toEqual(["spec.containers[0]"])
    const open = { external: { inboundAllowCIDR: ["0.0.0.0/0"], outboundAllowCIDR: ["0.0.0.0/0"] } }
    expect(against({ ...sent, firewallConfig: open })).toEqual([
      "spec.firewallConfig.external.inboundAllowCIDR"
    ])
  })
})
