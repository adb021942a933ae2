import { describe, expect, it } from "vitest"
import { configure } from "../../src/job/configuration.ts"
import { recordOf } from "../../src/job/json.ts"
import { type Known, nothingKnown } from "../../src/job/references.ts"
import { officialTemplate } from "../../src/job/template.ts"
import { configured, refusals, sourceOf, type Variation } from "./sources.ts"

const containerOf = (variation: Variation, known?: Known) => {
  const { job_manifest } = configured(variation, known).configuration
  const pod = recordOf(recordOf(recordOf(job_manifest["spec"])["template"])["spec"])
  return recordOf((pod["containers"] as ReadonlyArray<unknown>)[0])
}

/** The official template, with other parts of its job configuration. */
const template = (
  change: Readonly<Record<string, unknown>>,
  properties: Readonly<Record<string, unknown>> = {}
) => {
  const official = officialTemplate({ version: "3.8.8" })
  const variables = recordOf(official["variables"])
  return {
    job_configuration: { ...recordOf(official["job_configuration"]), ...change },
    variables: { ...variables, properties: { ...recordOf(variables["properties"]), ...properties } }
  }
}

const manifest = (
  pod: Readonly<Record<string, unknown>>,
  container: Readonly<Record<string, unknown>> = {}
) => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: {},
  spec: {
    template: {
      spec: {
        parallelism: 1,
        completions: 1,
        restartPolicy: "Never",
        containers: [{ name: "prefect-job", ...container }],
        ...pod
      }
    }
  }
})

describe("the environment of a job", () => {
  const env = (variation: Variation) => configured(variation).configuration.env

  it("holds the agent's Prefect settings, but none that are about the agent or its host", () => {
    const settings = {
      PREFECT_API_URL: "u",
      PREFECT_API_KEY: "k",
      PREFECT_LOGGING_LOG_PRINTS: "true",
      PREFECT_AGENT_SETTLE: "1",
      PREFECT_HOME: "/h",
      PREFECT_PROFILE: "p",
      PREFECT_PROFILES_PATH: "p",
      PREFECT_WORKER_QUERY_SECONDS: "1",
      PREFECT_SERVER_API_PORT: "1",
      PREFECT_HOMELESS: "kept"
    }
    expect(Object.keys(env({ version: "2.20.25", source: { settings } }))).toEqual([
      "PREFECT_API_URL",
      "PREFECT_API_KEY",
      "PREFECT_LOGGING_LOG_PRINTS",
      "PREFECT_HOMELESS",
      "PREFECT__FLOW_RUN_ID"
    ])
  })

  it("loses what is set to null, also a setting of the agent", () => {
    const given = {
      deployment: { env: { PREFECT_API_URL: null, A: "1", B: "1" } },
      run: { env: { B: null } }
    }
    expect(env({ ...given, version: "2.20.25" })).toEqual({
      PREFECT__FLOW_RUN_ID: "4c2a9b6f-76b7-4f7f-9c75-70c3f3dbc003",
      A: "1"
    })
  })

  it("tells newer clients who the worker, the flow and the deployment are", () => {
    expect(env({ version: "3.6.17" })).toMatchObject({
      PREFECT__WORKER_NAME: "cpln-host-1a2b3c",
      PREFECT__FLOW_NAME: "etl",
      PREFECT__DEPLOYMENT_NAME: "nightly"
    })
    expect(env({ version: "3.6.16" })).not.toHaveProperty("PREFECT__WORKER_NAME")
  })

  it("takes values of any type as text, as the Python worker does on both lines; but no null in place of the whole", () => {
    const deployment = { env: { N: 5, T: true, O: { a: [1] } } }
    for (const version of ["2.20.25", "3.8.8"]) {
      expect(env({ deployment, version })).toMatchObject({ N: "5", T: "True", O: "{'a': [1]}" })
      expect(refusals({ deployment: { env: null }, version })).toHaveLength(1)
      expect(refusals({ deployment, run: { env: null }, version })).toHaveLength(1)
      expect(refusals({ deployment: { labels: null }, version })[0]).toContain("none is not an allowed value")
    }
  })

  it("never shows the agent's own token to a template", () => {
    const pool = template({ env: { HOME: "{{ $HOME }}", STOLEN: "{{ $CPLN_TOKEN }}" } })
    expect(env({ template: pool })).toMatchObject({ HOME: "/root", STOLEN: "" })
  })

  it("is not that of the run before, though both were prepared from one template", () => {
    const pool = template({ env: { A: "1" } })
    configured({ template: pool, run: { env: { LEAK: "yes" } } })
    expect(env({ template: pool })).not.toHaveProperty("LEAK")
  })
})

describe("the manifest", () => {
  it("gets environment, image and command where it says nothing", () => {
    expect(containerOf({ template: template({ job_manifest: manifest({}) }), version: "2.20.25" })).toEqual({
      name: "prefect-job",
      image: "prefecthq/prefect:2.20.25-python3.11",
      args: ["prefect", "flow-run", "execute"],
      env: [
        { name: "PREFECT_API_URL", value: "http://prefect.test/api" },
        { name: "PREFECT__FLOW_RUN_ID", value: "4c2a9b6f-76b7-4f7f-9c75-70c3f3dbc003" }
      ]
    })
  })

  it("keeps its own image and args, args as a line of words too", () => {
    const own = { image: "own:1", args: "run --x '1 2'" }
    expect(containerOf({ template: template({ job_manifest: manifest({}, own) }) })).toMatchObject({
      image: "own:1",
      args: ["run", "--x", "1 2"]
    })
  })

  it("with an env list of its own keeps it behind ours; from 3.0 on ours win over it", () => {
    const own = {
      env: [
        { name: "A", value: "own" },
        { name: "B", value: "own" }
      ]
    }
    const names = (version: string) => {
      const env = containerOf({
        version,
        template: template({ job_manifest: manifest({}, own) }),
        deployment: { env: { A: "ours" } }
      })["env"] as ReadonlyArray<{ readonly name: string; readonly value: string }>
      return env.filter(({ name }) => name.length === 1).map(({ name, value }) => `${name}=${value}`)
    }
    expect(names("2.20.25")).toEqual(["A=ours", "A=own", "B=own"])
    expect(names("3.8.8")).toEqual(["A=ours", "B=own"])
  })

  it("is made where the template has none, with the image and the account that its variables name", () => {
    const { job_manifest: _none, ...rest } = recordOf(
      officialTemplate({ version: "3.8.8" })["job_configuration"]
    )
    const pool = { job_configuration: rest, variables: {} }
    const given = { image: "flows:2", service_account_name: "runner" }
    const step = configured({ template: pool, deployment: given })
    expect(step.configuration.job_manifest).toMatchObject({
      kind: "Job",
      spec: { template: { spec: { serviceAccountName: "runner", containers: [{ image: "flows:2" }] } } }
    })
    expect(step.warnings).toEqual([])
  })

  it("has its labels as slugs, the user's over the built-in ones", () => {
    const deployment = { labels: { team: "Data & Co", "prefect.io/flow-name": "mine" } }
    const { labels, job_manifest } = configured({ deployment }).configuration
    expect(labels).toMatchObject({ team: "Data & Co", "prefect.io/work-pool-name": "cpln" })
    expect(recordOf(job_manifest["metadata"])["labels"]).toMatchObject({
      team: "data-co",
      "prefect.io/flow-name": "mine",
      "prefect.io/deployment-updated": "2026-03-01t04-05-06.789000-00-00"
    })
  })

  it("of a run whose name slugs to nothing is named prefect-job", () => {
    const { job_manifest } = configured({ run: { name: "🚀" } }).configuration
    expect(job_manifest["metadata"]).toMatchObject({ generateName: "🚀-" })
    const named = configured({ source: { run: { ...sourceOf().run, name: "!!!" } } }).configuration
    expect(named.job_manifest["metadata"]).toMatchObject({ generateName: "prefect-job" })
  })

  it("that is no manifest, or would run the flow twice, is refused with every reason", () => {
    expect(refusals({ template: template({ job_manifest: "{{ image }}" }) })[0]).toMatch(/^job_manifest: /u)
    const twice = manifest({ parallelism: 2, restartPolicy: "Always", completions: undefined })
    const { completions: _gone, ...pod } = recordOf(recordOf(recordOf(twice.spec)["template"])["spec"])
    const pool = template({ job_manifest: { ...twice, spec: { template: { spec: pod } } } })
    expect(refusals({ template: pool })).toEqual([
      "job_manifest: Job is missing required attributes at the following paths: /spec/template/spec/completions",
      "job_manifest: Job has incompatible values for the following attributes: /spec/template/spec/parallelism must have value 1, /spec/template/spec/restartPolicy must have value 'Never'"
    ])
  })
})

describe("the command", () => {
  it("that is blank is the one that runs the flow", () => {
    expect(containerOf({ deployment: { command: " " } })["args"]).toEqual(["prefect", "flow-run", "execute"])
  })

  it("runs the engine where 2.20's enhanced cancellation is off, and nowhere else", () => {
    const settings = { PREFECT_EXPERIMENTAL_ENABLE_ENHANCED_CANCELLATION: "false" }
    const args = (version: string) => containerOf({ version, source: { settings } })["args"]
    expect(args("2.20.25")).toEqual(["python", "-m", "prefect.engine"])
    expect(args("3.8.8")).toEqual(["prefect", "flow-run", "execute"])
  })

  it("with an open quote is refused", () => {
    expect(refusals({ deployment: { command: "echo 'oops" } })).toEqual([
      expect.stringMatching(
        /args: No closing quotation \(variable "command", set by the deployment "nightly"\)$/u
      )
    ])
  })
})

describe("where a job runs", () => {
  it("is said by variables, plain or as links, else by what is injected", () => {
    const deployment = { org: "/org/globex", location: "//location/gcp-us-east1" }
    expect(configured({ deployment }).configuration).toMatchObject({
      org: "globex",
      namespace: "dev",
      location: "gcp-us-east1"
    })
  })

  it("is left open where nobody names a location: the GVC's first is taken", () => {
    const injected = { org: "acme", gvc: "dev", location: undefined, hasToken: true }
    expect(configured({ source: { injected } }).configuration.location).toBeNull()
  })

  it("must be known, with a credential: everything that is missing is told at once", () => {
    const injected = { org: undefined, gvc: undefined, location: undefined, hasToken: false }
    expect(
      refusals({ source: { injected }, deployment: { config: { token: " " } } }).map(
        (each) => each.split(":")[0]
      )
    ).toEqual(["org", "namespace", "config"])
  })

  it("may be opened by the token of a block, plain or wrapped in a credentials block", () => {
    const injected = { org: "acme", gvc: "dev", location: undefined, hasToken: false }
    for (const config of [{ token: "t" }, { config: { token: "t" } }]) {
      expect(refusals({ source: { injected }, deployment: { config } })).toEqual([])
    }
  })
})

describe("options", () => {
  it("are read as Python reads them", () => {
    const deployment = {
      job_watch_timeout_seconds: "120",
      pod_watch_timeout_seconds: 30.9,
      stream_output: "no"
    }
    expect(configured({ deployment }).configuration).toMatchObject({
      job_watch_timeout_seconds: 120,
      pod_watch_timeout_seconds: 30,
      stream_output: false
    })
  })

  it("that cannot be read are told with what is wrong in the manifest, but for a manifest that is broken itself", () => {
    const deployment = { stream_output: [], env: { K_REVISION: "1" } }
    expect(refusals({ deployment })).toEqual([
      'stream_output: value could not be parsed to a boolean (variable "stream_output", set by the deployment "nightly")',
      expect.stringMatching(
        /env\[\d\]\.name: K_REVISION is set by the platform itself\. \(variable "env", set by/u
      )
    ])
    const template = officialTemplate({ version: "3.8.8" })
    const broken = {
      ...template,
      job_configuration: { ...recordOf(template["job_configuration"]), job_manifest: {} }
    }
    expect(refusals({ deployment, template: broken }).filter((text) => text.includes("K_REVISION"))).toEqual(
      []
    )
  })

  it("that cannot be read are refused, all at once, with the variable and who set it", () => {
    const deployment = { job_watch_timeout_seconds: "soon", stream_output: [] }
    const run = { pod_watch_timeout_seconds: "later", labels: { a: null } }
    expect([...refusals({ deployment, run })].sort()).toEqual([
      'job_watch_timeout_seconds: value is not a valid integer (variable "job_watch_timeout_seconds", set by the deployment "nightly")',
      'labels.a: none is not an allowed value (variable "labels", set by the flow run)',
      'pod_watch_timeout_seconds: value is not a valid integer (variable "pod_watch_timeout_seconds", set by the flow run)',
      'stream_output: value could not be parsed to a boolean (variable "stream_output", set by the deployment "nightly")'
    ])
  })
})

describe("the job's name", () => {
  it("may name flow and run from 3.6.16 on", () => {
    const run = { name: "{{ ctx.flow.name }}-{{ ctx.flow_run.tags[0] }}{{ ctx.nope }}" }
    expect(configured({ run, version: "3.6.16" }).configuration.name).toBe("etl-blue")
    expect(configured({ run, version: "3.6.15" }).configuration.name).toBe(run.name)
  })

  it("has the whole run asked for only where it names it, and where the server's line does so", () => {
    const step = (name: string, version = "3.8.8") =>
      configure(sourceOf({ run: { name }, version, source: { context: undefined } }), nothingKnown)
    expect(step("{{ ctx.flow_run.parameters.day }}")).toMatchObject({ _tag: "Needs", context: true })
    expect(step("plain")._tag).toBe("Configured")
    expect(step("{{ ctx.flow_run.parameters.day }}", "2.20.25")._tag).toBe("Configured")
    const context = { flow: {}, flow_run: { parameters: { day: "monday", n: 3 } } }
    const named = (name: string) => configured({ run: { name }, source: { context } }).configuration.name
    expect(named("{{ ctx.flow_run.parameters.day }}-{{ ctx.flow_run.parameters.n }}")).toBe("monday-3")
    expect(named("{{ ctx.flow_run.parameters.n }}")).toBe("3")
    expect(named("{{ ctx.flow_run.parameters.none }}")).toBe("{{ ctx.flow_run.parameters.none }}")
  })
})

describe("references", () => {
  it("are asked for, and then put in", () => {
    const deployment = {
      config: { $ref: { block_document_id: "b1" } },
      image: "flows:{{ prefect.variables.tag }}"
    }
    const blocks: Known["blocks"] = new Map([["b1", { token: "t" }]])
    expect(configure(sourceOf({ deployment }), nothingKnown)).toMatchObject({
      _tag: "Needs",
      blocks: [{ id: "b1" }]
    })
    expect(configure(sourceOf({ deployment }), { ...nothingKnown, blocks })).toMatchObject({
      _tag: "Needs",
      variables: ["tag"]
    })
    const known: Known = { blocks, variables: new Map([["tag", { value: "9" }]]) }
    expect(containerOf({ deployment }, known)["image"]).toBe("flows:9")
  })

  it("that lead nowhere are told with the variable and who set it, and nothing that follows from them", () => {
    const deployment = {
      env: { SECRET: "{{ prefect.blocks.secret.no-such-block }}" },
      job_watch_timeout_seconds: "x"
    }
    const known: Known = { ...nothingKnown, blocks: new Map([["secret/no-such-block", undefined]]) }
    expect(refusals({ deployment }, known)).toEqual([
      'env.SECRET: block "no-such-block" of type "secret" does not exist (variable "env", set by the deployment "nightly")'
    ])
  })
})

describe("warnings", () => {
  it("name variables that have no effect, with who set them", () => {
    const given = { deployment: { finished_job_ttl: 300, "env.A": "1" }, run: { cpu: "1" } }
    expect(configured({ ...given, version: "2.20.25" }).warnings).toEqual([
      expect.stringMatching(/^Variable "finished_job_ttl", set by the deployment, has no effect/u),
      expect.stringMatching(/^Variable "cpu", set by the run, has no effect/u),
      expect.stringMatching(/^Variable "env\.A".*3\.6\.5/u)
    ])
  })

  it("name an image of another major line than the server", () => {
    for (const image of [
      "docker.io/prefecthq/prefect:2-latest",
      "prefecthq/prefect:2",
      "prefecthq/prefect:2@sha256:1"
    ])
      expect(configured({ deployment: { image } }).warnings).toEqual([expect.stringContaining("Prefect 2")])
    expect(configured({ deployment: { image: "prefecthq/prefect:3.1.0-python3.12" } }).warnings).toEqual([])
    expect(configured({ deployment: { image: "acme/prefect:2-latest" } }).warnings).toEqual([])
  })
})

describe("a problem of the manifest", () => {
  it("is explained by the variable behind its path", () => {
    const pool = template(
      { job_manifest: manifest({}, { resources: { limits: { memory: "{{ memory }}Mi" } } }) },
      { memory: { default: 1 } }
    )
    const { explainManifest } = configured({ template: pool, run: { memory: 5 } })
    const path = "spec.template.spec.containers[0].resources.limits.memory"
    expect(explainManifest({ path, rule: "is below the minimum", remedy: "" })).toEqual({
      path,
      rule: 'is below the minimum (variable "memory", set by the flow run)',
      remedy: ""
    })
  })
})
