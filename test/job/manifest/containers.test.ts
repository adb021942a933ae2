import { describe, expect, it } from "@effect/vitest"
import { Result } from "effect"
import { convert } from "../../../src/job/convert.ts"
import { accepted, containersOf, first, manifest, pathsOf, problems } from "./convert-one.ts"

describe("what is no Job", () => {
  const context = {
    org: "o",
    gvc: "g",
    location: "l",
    jobType: undefined,
    poolId: undefined,
    secretKeys: new Map()
  }
  const remedies = (given: unknown) => {
    const converted = convert(given, context)
    return Result.isFailure(converted) ? converted.failure.map(({ remedy }) => remedy) : []
  }

  it("is called what it is, and a CronJob's owner is told where the Job stands", () => {
    expect(remedies({ kind: "ConfigMap", metadata: { labels: {}, generateName: "x" } })).toEqual([
      'This is a "ConfigMap". Give a complete Kubernetes Job.'
    ])
    const cron = { kind: "CronJob", metadata: { labels: {}, generateName: "x" }, spec: { jobTemplate: {} } }
    expect(remedies(cron)).toEqual([
      'This is a "CronJob". Give what stands in spec.jobTemplate as a Job of its own.'
    ])
  })
})

describe("containers", () => {
  it("the first is prefect-job and a nameless sidecar has its number", () => {
    const job = accepted(manifest({}, { sidecars: [{ image: "a:1" }, { name: "proxy", image: "b:1" }] }))
    expect(containersOf(job).map(({ name }) => name)).toEqual(["prefect-job", "sidecar-1", "proxy"])
    expect(job.overrides.map(({ name, image }) => [name, image])).toEqual([
      ["prefect-job", "acme/flows:1"],
      ["sidecar-1", "a:1"],
      ["proxy", "b:1"]
    ])
  })

  it("the workload holds placeholders, so that image, program and size never make another one", () => {
    const plain = accepted(manifest({}))
    const other = accepted(
      manifest({ image: "b:2", args: ["x"], resources: { limits: { cpu: "2", memory: "1Gi" } } })
    )
    expect(containersOf(plain)).toEqual([
      { name: "prefect-job", image: "ubuntu:latest", cpu: "25m", memory: "32Mi" }
    ])
    expect(other.name).toBe(plain.name)
  })

  it.each([
    ["a name that is taken", [{ name: "prefect-job", image: "a:1" }]],
    ["a name of the platform", [{ name: "istio-proxy", image: "a:1" }]],
    ["a prefix of the platform", [{ name: "cpln-x", image: "a:1" }]],
    ["upper case", [{ name: "Log_Shipper", image: "a:1" }]],
    ["one letter", [{ name: "a", image: "a:1" }]]
  ])("refuses %s", (_, sidecars) => {
    expect(pathsOf(manifest({}, { sidecars }))).toEqual(["spec.template.spec.containers[1].name"])
  })

  it("refuses none and more than eight", () => {
    expect(pathsOf(manifest({}, { pod: { containers: [] } }))).toEqual(["spec.template.spec.containers"])
    const sidecars = Array.from({ length: 8 }, () => ({ image: "a:1" }))
    expect(pathsOf(manifest({}, { sidecars }))).toEqual(["spec.template.spec.containers"])
  })

  it("refuses a missing image, a blank in it, a relative working directory and devices", () => {
    expect(
      pathsOf(manifest({ image: "", workingDir: "flows", volumeDevices: [{ name: "d" }] })).toSorted()
    ).toEqual([`${first}.image`, `${first}.volumeDevices`, `${first}.workingDir`])
    expect(pathsOf(manifest({ image: "acme/flows :1" }))).toEqual([`${first}.image`])
  })

  it("keeps exec hooks and refuses other ones", () => {
    const lifecycle = { preStop: { exec: { command: ["sh", "-c", "sleep 5"] } } }
    expect(containersOf(accepted(manifest({ lifecycle })))[0]?.["lifecycle"]).toEqual(lifecycle)
    expect(pathsOf(manifest({ lifecycle: { preStop: { httpGet: { path: "/" } } } }))).toEqual([
      `${first}.lifecycle.preStop`
    ])
  })
})

describe("command and args", () => {
  it("keep the borders of their elements: the first is the entrypoint, the others go in front of the args", () => {
    const [override] = accepted(manifest({ command: ["sh", "-c", "echo a  b"], args: ["x"] })).overrides
    expect(override).toMatchObject({ command: "sh", args: ["-c", "echo a  b", "x"] })
  })

  it("that are empty are not sent", () => {
    const [override] = accepted(manifest({ command: [], args: [] })).overrides
    expect(Object.keys(override ?? {})).toEqual(["name", "image", "cpu", "memory"])
  })

  it("are refused as texts, with numbers in them, and with an entrypoint of more than 256 characters", () => {
    expect(pathsOf(manifest({ command: "bash", args: "x" }))).toEqual([`${first}.command`, `${first}.args`])
    expect(pathsOf(manifest({ args: ["--port", 5432] }))).toEqual([`${first}.args[1]`])
    expect(pathsOf(manifest({ command: ["x".repeat(257)] }))).toEqual([`${first}.command[0]`])
  })
})

describe("problems", () => {
  it("come all at once, each with path, rule and remedy", () => {
    const all = problems(
      manifest(
        { command: "bash", resources: { limits: { cpu: "10m" } }, env: [{ name: "MY VAR", value: "x" }] },
        { pod: { initContainers: [{ name: "i" }], restartPolicy: "Always" } }
      )
    )
    expect(all.map(({ path }) => path)).toEqual([
      "spec.template.spec.initContainers",
      `${first}.env[0].name`,
      `${first}.resources.limits.cpu`,
      `${first}.command`,
      "spec.template.spec.restartPolicy"
    ])
    expect(all.every(({ rule, remedy }) => rule.endsWith(".") && remedy.endsWith("."))).toBe(true)
  })

  it("never repeat a value of a variable, an argument or a label, which may be a secret", () => {
    const secret = { hidden: "s3cr3t" }
    const text = JSON.stringify(
      problems(
        manifest(
          {
            env: [
              { name: "A", value: secret },
              { name: "B", value: "s3cr3t".repeat(800) }
            ],
            args: [secret],
            command: "s3cr3t"
          },
          { metadata: { labels: { a: secret } } }
        )
      )
    )
    expect(text).not.toContain("s3cr3t")
  })
})
