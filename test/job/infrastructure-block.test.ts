import { describe, expect, it } from "vitest"
import { type InfrastructureSource, prepareInfrastructure } from "../../src/job/infrastructure-block.ts"
import { recordOf } from "../../src/job/json.ts"

const job = {
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { labels: {} },
  spec: {
    template: {
      spec: {
        parallelism: 1,
        completions: 1,
        restartPolicy: "Never",
        containers: [{ name: "prefect-job", env: [{ name: "OWN", value: "1" }] }]
      }
    }
  }
}

const prepare = (
  block: Readonly<Record<string, unknown>>,
  overrides: Readonly<Record<string, unknown>> = {},
  more: Partial<InfrastructureSource> = {}
) =>
  prepareInfrastructure({
    block: { job, ...block },
    overrides,
    version: "2.20.25",
    run: { id: "r1", name: "quiet-otter" },
    flow: { id: "f1", name: "etl" },
    deployment: { id: "d1", name: "nightly", updated: undefined },
    settings: { PREFECT_API_URL: "u" },
    injected: { org: "acme", gvc: "dev", location: "aws", hasToken: true },
    ...more
  })

const prepared = (...given: Parameters<typeof prepare>) => {
  const step = prepare(...given)
  if (step._tag !== "Prepared") throw new Error(JSON.stringify(step))
  return step
}

const rules = (...given: Parameters<typeof prepare>): ReadonlyArray<string> => {
  const step = prepare(...given)
  return step._tag === "Refused" ? step.problems.map(({ path, rule }) => `${path}: ${rule}`) : []
}

const containerOf = (step: { readonly job: Readonly<Record<string, unknown>> }) => {
  const pod = recordOf(recordOf(recordOf(step.job["spec"])["template"])["spec"])
  return recordOf((pod["containers"] as ReadonlyArray<unknown>)[0])
}

describe("an infrastructure block", () => {
  it("tells of an operation that fails beside everything else, but not of operations on a broken job", () => {
    const customizations = [{ op: "remove", path: "/nope" }]
    const nowhere = { injected: { org: "acme", gvc: "dev", location: undefined, hasToken: true } }
    expect(rules({ customizations, stream_output: "maybe" }, {}, nowhere)).toEqual([
      expect.stringContaining("location: "),
      "stream_output: value could not be parsed to a boolean",
      expect.stringContaining("customizations[0]: ")
    ])
    expect(rules({ job: {}, customizations })).toEqual([expect.stringContaining("job: ")])
  })

  it("is refused for what the Python class refuses: null where it wants an object or a list, another type", () => {
    expect(rules({ env: null, labels: null, customizations: null, type: "kubernetes-job" })).toEqual([
      "type: unexpected value; permitted: 'cpln-infrastructure'",
      "customizations: none is not an allowed value",
      "env: none is not an allowed value",
      "labels: none is not an allowed value"
    ])
    expect(rules({ type: "cpln-infrastructure", service_account_name: "", image: null })).toEqual([])
  })

  it("gives its manifest the block's fields: they win, and env comes after the manifest's own", () => {
    const step = prepared({ env: { A: "1", PREFECT_API_URL: null }, image: "b:1", name: "Nightly (EU)" })
    expect(containerOf(step)).toEqual({
      name: "prefect-job",
      image: "b:1",
      args: ["prefect", "flow-run", "execute"],
      env: [
        { name: "OWN", value: "1" },
        { name: "PREFECT__FLOW_RUN_ID", value: "r1" },
        { name: "A", value: "1" }
      ]
    })
    expect(step.job["metadata"]).toMatchObject({ generateName: "nightly-eu", namespace: "dev" })
  })

  it("is templated nowhere: agents of 2.20 take texts as they are", () => {
    expect(prepared({ env: { A: "{{ prefect.variables.v }}" } }).prepared.env["A"]).toBe(
      "{{ prefect.variables.v }}"
    )
  })

  it("is left as it is by a run's preparation", () => {
    const before = JSON.stringify(job)
    prepared({ customizations: [{ op: "remove", path: "/metadata/labels" }] }, { "job.kind": "Job" })
    expect(JSON.stringify(job)).toBe(before)
  })

  it("with a job type that is no word, and with empty places, is refused with all of it", () => {
    const injected = { org: undefined, gvc: undefined, location: undefined, hasToken: false }
    expect(
      rules({ job_type: "a\n", command: [1, {}] }, {}, { injected }).map((each) => each.split(":")[0])
    ).toEqual(["command", "job_type", "org", "namespace", "location", "config"])
  })

  it("needs an env list in its manifest", () => {
    const { containers: _one, ...pod } = job.spec.template.spec
    const spec = { template: { spec: { ...pod, containers: [{ name: "prefect-job" }] } } }
    expect(rules({ job: { ...job, spec } })).toEqual([
      expect.stringContaining("/spec/template/spec/containers/0/env")
    ])
  })
})

describe("an override of the deployment", () => {
  it("sets what its dotted path names, in objects that exist", () => {
    const { prepared: block } = prepared({ env: { A: "1" } }, { "env.B": "2", image: "o:1" })
    expect(block).toMatchObject({ env: { A: "1", B: "2" }, image: "o:1" })
    expect(prepared({ env: { A: "1" } }, { env: { B: "2" } }).prepared.env).not.toHaveProperty("A")
  })

  it("that leads into a list or to nothing is refused", () => {
    const overrides = { "job.spec.template.spec.containers.0.image": "x", "gone.a": 1 }
    expect(rules({}, overrides)).toHaveLength(2)
  })
})

describe("customisations", () => {
  it("patch the finished job, given as a list or as JSON text", () => {
    const patch = [
      { op: "add", path: "/spec/template/spec/containers/0/resources", value: { limits: { cpu: "2" } } },
      { op: "test", path: "/metadata/namespace", value: "dev" },
      { op: "move", from: "/spec/template/spec/containers/0/env/0", path: "/metadata/labels/own" }
    ]
    for (const customizations of [patch, JSON.stringify(patch)]) {
      const step = prepared({ customizations })
      expect(containerOf(step)).toMatchObject({ resources: { limits: { cpu: "2" } } })
      expect(recordOf(step.job["metadata"])["labels"]).toMatchObject({ own: { name: "OWN" } })
    }
  })

  it.each([
    [[{ op: "test", path: "/kind", value: "CronJob" }]],
    [[{ op: "replace", path: "/nope/deep", value: 1 }]],
    [[{ op: "explode", path: "/kind" }]],
    [[{ op: "add", path: "kind", value: "x" }]],
    [[{ op: "add", path: "", value: "no job" }]],
    [["add image"]],
    ["add image"],
    [{ op: "add" }]
  ])("that cannot be applied are refused: %j", (customizations) => {
    expect(rules({ customizations })).toHaveLength(1)
  })
})
