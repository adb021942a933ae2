import { parse } from "yaml"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import { ControlPlane } from "../../../src/cpln/control-plane.ts"
import { officialTemplate } from "../../../src/job/template.ts"
import type { FlowRun, WorkPool } from "../../../src/prefect/schemas.ts"
import { type Injected, RunsConfig } from "../../../src/runs/config.ts"
import { CurrentPool } from "../../../src/runs/pool.ts"
import { Preparation, prepare } from "../../../src/runs/prepare/prepare.ts"
import { answer, type Answering, type Asked, serving as servingControlPlane } from "../../http/service.ts"
import { type Answer, serving } from "../../prefect/server.ts"

const flowId = "2a0f7f4e-54f5-4d5d-9a53-5ea1d1b9a001"
const deploymentId = "3b1f8a5e-65a6-4e6e-8b64-6fb2e2cab002"
const runId = "4c2a9b6f-76b7-4f7f-9c75-70c3f3dbc003"
const poolId = "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10"

interface World {
  readonly version?: string
  readonly deployment?: Readonly<Record<string, unknown>>
  readonly template?: Readonly<Record<string, unknown>>
  readonly injected?: Partial<Injected>
  /** Answers of the Prefect server before the usual ones. */
  readonly prefect?: (path: string) => Answer | undefined
  readonly gvc?: (asked: Asked) => Answering
}

const gvcAt = (...locations: ReadonlyArray<string>) =>
  answer(200, {
    name: "dev",
    spec: { staticPlacement: { locationLinks: locations.map((name) => `/org/acme/location/${name}`) } }
  })

const world = ({
  version = "3.8.8",
  deployment = {},
  template,
  injected = {},
  prefect = () => undefined,
  gvc
}: World = {}) => {
  const usual: Readonly<Record<string, Answer>> = {
    [`/api/flows/${flowId}`]: { status: 200, body: { id: flowId, name: "etl" } },
    [`/api/deployments/${deploymentId}`]: {
      status: 200,
      body: {
        id: deploymentId,
        name: "nightly",
        flow_id: flowId,
        updated: "2026-03-01T04:05:06.789000Z",
        [version.startsWith("2") ? "infra_overrides" : "job_variables"]: deployment
      }
    }
  }
  const server = serving(
    ({ path }) => prefect(path) ?? usual[path] ?? { status: 404, body: { detail: "none" } }
  )
  const platform = servingControlPlane((asked) => gvc?.(asked) ?? gvcAt("aws-us-west-2", "gcp-us-east1"))
  const pool: WorkPool = {
    id: poolId,
    name: "cpln",
    type: "cpln",
    base_job_template: template ?? officialTemplate({ version })
  }
  const config: Partial<RunsConfig["Service"]> = {
    workerName: "cpln-host-1",
    pool: "cpln",
    poolId,
    server: { line: version.startsWith("2") ? "2" : "3", text: version },
    injected: {
      endpoint: "http://cpln.test",
      org: "acme",
      gvc: "dev",
      location: "aws-us-west-2",
      token: Redacted.make("agents-own-token"),
      ...injected
    },
    prefectSettings: { PREFECT_API_URL: "http://prefect.test/api", PREFECT_HOME: "/home" },
    environment: {}
  }
  const controlPlane = ControlPlane.layerWith({
    ratePerSecond: 0,
    logsEndpoint: undefined,
    logsToken: undefined
  }).pipe(
    Layer.provide(Layer.succeed(HttpClient.HttpClient, platform.client)),
    Layer.provide(
      Layer.succeed(Socket.WebSocketConstructor, () => {
        throw new Error("no tails here")
      })
    )
  )
  const layer = Preparation.layer.pipe(
    Layer.provideMerge(CurrentPool.layer(pool)),
    Layer.provideMerge(Layer.mergeAll(server.layer, controlPlane)),
    Layer.provideMerge(Layer.succeed(RunsConfig, config as RunsConfig["Service"]))
  )
  return { layer, server, platform }
}

const run = (change: Partial<FlowRun> = {}): FlowRun => ({
  id: runId,
  name: "quiet-otter",
  flow_id: flowId,
  deployment_id: deploymentId,
  run_count: 0,
  tags: [],
  ...change
})

const prepared = (how: World = {}, change: Partial<FlowRun> = {}) =>
  Effect.provide(prepare(run(change)), world(how).layer)

const refusal = (how: World, change: Partial<FlowRun> = {}) =>
  prepared(how, change).pipe(
    Effect.flip,
    Effect.map((error) => (error._tag === "RunRefused" ? error.message : `not refused: ${error._tag}`))
  )

describe("a run of a deployment", () => {
  it.effect("is prepared with what the workload and the start need, and creates nothing", () => {
    const { layer, platform } = world({
      deployment: { job_watch_timeout_seconds: 120, pod_watch_timeout_seconds: 30, stream_output: false }
    })
    return Effect.gen(function* () {
      const ready = yield* prepare(run())
      const { workload, access } = ready.wanted.place
      expect(workload.name).toMatch(/^p0f3b6a52-job-[0-9a-f]{12}$/u)
      expect(ready.where).toBe(`acme:dev:${workload.name}`)
      expect({ org: access.org, token: Redacted.value(access.token) }).toEqual({
        org: "acme",
        token: "agents-own-token"
      })
      expect(ready.wanted).toMatchObject({
        location: "aws-us-west-2",
        readyWithin: 30_000,
        tags: { "cpln/createdByPrefect": "true", "prefect.io/work-pool-id": poolId },
        spec: { type: "cron" }
      })
      expect(ready.what).toMatchObject({
        location: "aws-us-west-2",
        tags: { "prefect.io/flow-run-id": runId, "prefect.io/flow-name": "etl" },
        containerOverrides: [
          {
            name: "prefect-job",
            image: "docker.io/prefecthq/prefect:3.8.8-python3.11",
            args: ["prefect", "flow-run", "execute"]
          }
        ]
      })
      const env = ready.what.containerOverrides[0]?.env?.map(({ name }) => name)
      expect(env).toContain("PREFECT_API_URL")
      expect(env).not.toContain("PREFECT_HOME")
      expect(ready).toMatchObject({ flowName: "etl", deadline: 120_000, streamOutput: false, warnings: [] })
      expect(platform.asked.every(({ method }) => method === "GET")).toBe(true)
    }).pipe(Effect.provide(layer))
  })

  it.effect("on 2.20 has its variables from infra_overrides", () =>
    Effect.gen(function* () {
      const ready = yield* prepared({ version: "2.20.25", deployment: { image: "flows:1" } })
      expect(ready.what.containerOverrides[0]?.image).toBe("flows:1")
    })
  )

  it.effect("keeps the tag by which the watch finds it, whatever labels its user gave", () =>
    Effect.gen(function* () {
      const deployment = { labels: { "prefect.io/flow-run-id": "mine", "prefect.io/flow-name": "mine" } }
      expect((yield* prepared({ deployment })).what.tags).toMatchObject({
        "prefect.io/flow-run-id": runId,
        "prefect.io/flow-name": "mine"
      })
    })
  )

  it.effect("brings the identity to be made with its workload, unless its user named one", () =>
    Effect.gen(function* () {
      const { wanted } = yield* prepared()
      const name = `${wanted.place.workload.name}-identity`
      expect(wanted.spec["identityLink"]).toBe(`/org/acme/gvc/dev/identity/${name}`)
      expect(wanted.identity).toEqual({
        name,
        body: { kind: "identity", name, tags: { "prefect.io/work-pool-id": poolId } }
      })
      expect(wanted.policy).toBeUndefined()
      const named = yield* prepared({ deployment: { service_account_name: "runner" } })
      expect(named.wanted.spec["identityLink"]).toBe("/org/acme/gvc/dev/identity/runner")
      expect(named.wanted.identity).toBeUndefined()
    })
  )

  it.effect("that was deleted is refused; a run without one is flow and run alone", () =>
    Effect.gen(function* () {
      const prefect = (path: string) =>
        path.includes("deployments") ? { status: 404, body: { detail: "none" } } : undefined
      expect(yield* refusal({ prefect })).toContain("deployment was deleted")
      const alone = yield* prepared({}, { deployment_id: null, job_variables: { image: "flows:2" } })
      expect(alone.what.containerOverrides[0]?.image).toBe("flows:2")
    })
  )
})

describe("what runs are made from", () => {
  it.effect("is read once for many runs, and anew after its short life", () => {
    const { layer, server, platform } = world()
    return Effect.gen(function* () {
      yield* Effect.all([prepare(run()), prepare(run()), prepare(run({ name: "other" }))], {
        concurrency: "unbounded"
      })
      expect(server.asked).toHaveLength(2)
      expect(platform.asked).toHaveLength(1)
      yield* TestClock.adjust("31 seconds")
      yield* prepare(run())
      expect(
        server.asked.map(({ path }) => path).filter((path) => path.includes("deployments"))
      ).toHaveLength(2)
      expect(platform.asked).toHaveLength(2)
    }).pipe(Effect.provide(layer))
  })

  it.effect(
    "that the server does not give now is an error that may pass, not a refusal, and is asked again",
    () => {
      let failing = true
      const { layer } = world({
        prefect: (path) => (path.includes("deployments") && failing ? { status: 403, body: {} } : undefined)
      })
      return Effect.gen(function* () {
        expect((yield* Effect.flip(prepare(run())))._tag).toBe("Forbidden")
        failing = false
        expect((yield* prepare(run())).flowName).toBe("etl")
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("includes the blocks and variables that it names, by id and by name", () =>
    Effect.gen(function* () {
      const by = (data: unknown) => ({ status: 200, body: { id: "b", name: "b", data } })
      const answers: Readonly<Record<string, Answer>> = {
        "/api/block_documents/b1?include_secrets=true": by({ token: "token-of-the-pool" }),
        "/api/block_types/slug/secret/block_documents/name/key?include_secrets=true": by({ value: "s" }),
        "/api/variables/name/tag": { status: 200, body: { value: 9 } }
      }
      const ready = yield* prepared({
        injected: { token: undefined },
        deployment: {
          config: { $ref: { block_document_id: "b1" } },
          image: "flows:{{ prefect.variables.tag }}",
          env: { KEY: "{{ prefect.blocks.secret.key }}" }
        },
        prefect: (path) => answers[path]
      })
      expect(Redacted.value(ready.wanted.place.access.token)).toBe("token-of-the-pool")
      const [container] = ready.what.containerOverrides
      expect(container?.image).toBe("flows:9")
      expect(container?.env).toContainEqual({ name: "KEY", value: "s" })
      expect(JSON.stringify(ready.what)).not.toContain("token-of-the-pool")
    })
  )

  it.effect(
    "of the environment is traced to the one who set that entry, and never what the agent brings",
    () =>
      Effect.gen(function* () {
        const template = officialTemplate({ version: "3.8.8", env: { K_SERVICE: "x" } })
        const refused = yield* refusal(
          { template, deployment: { env: { K_REVISION: "x" } } },
          { job_variables: { env: { K_CONFIGURATION: "x" } } }
        )
        expect(refused).toContain(
          'K_SERVICE is set by the platform itself. (variable "env", a default of the pool).'
        )
        expect(refused).toContain(
          'K_REVISION is set by the platform itself. (variable "env", set by the deployment "nightly").'
        )
        expect(refused).toContain(
          'K_CONFIGURATION is set by the platform itself. (variable "env", set by the flow run).'
        )
      })
  )

  it.effect("and does not exist is named, with who set it", () =>
    Effect.gen(function* () {
      const deployment = { env: { SECRET: "{{ prefect.blocks.secret.no-such-block }}" } }
      const text = yield* refusal({ deployment })
      expect(text).toContain('block "no-such-block" of type "secret" does not exist')
      expect(text).toContain('set by the deployment "nightly"')
    })
  )
})

describe("where a run goes", () => {
  it.effect("without a location is the GVC's first", () =>
    Effect.gen(function* () {
      const ready = yield* prepared({
        injected: { location: undefined },
        gvc: () => gvcAt("gcp-europe-west4", "aws-us-west-2")
      })
      expect(ready.what.location).toBe("gcp-europe-west4")
    })
  )

  it.effect("must be a location of the GVC: the refusal names it and those there are", () =>
    Effect.gen(function* () {
      const text = yield* refusal({ deployment: { location: "//location/nowhere-1" } })
      expect(text).toContain('no location "nowhere-1"; it has aws-us-west-2, gcp-us-east1')
      expect(text).toContain('variable "location", set by the deployment "nightly"')
    })
  )

  it.effect("must be a GVC that exists", () =>
    Effect.gen(function* () {
      const text = yield* refusal({ deployment: { namespace: "no-such-gvc" }, gvc: () => answer(404, {}) })
      expect(text).toContain('GVC "no-such-gvc" does not exist in org "acme"')
    })
  )

  it.effect("needs no right to read the GVC where the location is named", () =>
    Effect.gen(function* () {
      const forbidden = { gvc: () => answer(403, { message: "no" }) }
      expect((yield* prepared(forbidden)).what.location).toBe("aws-us-west-2")
      const open = prepared({ ...forbidden, injected: { location: undefined } })
      expect((yield* Effect.flip(open))._tag).toBe("Forbidden")
    })
  )

  it.effect("that nobody names is refused with everything that is missing", () =>
    Effect.gen(function* () {
      const text = yield* refusal({ injected: { org: undefined, gvc: undefined, token: undefined } })
      expect(text).toMatch(/^3 problems:\n- org: [^]*\n- namespace: [^]*\n- config: /u)
    })
  )

  it.effect("with a credential that is refused is an error that may pass: a person may mend it", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(prepared({ gvc: () => answer(401, {}) }))
      expect(error._tag).toBe("Unauthorised")
    })
  )
})

describe("what cannot run", () => {
  it.effect("is refused with the problems of place and manifest at once, each with its variable", () =>
    Effect.gen(function* () {
      const deployment = { location: "nowhere-1", service_account_name: "{}", env: { "A B": "1" } }
      const text = yield* refusal({ deployment })
      expect(text).toContain("nowhere-1")
      expect(text).toContain("A B")
      expect(text.split("\n").length).toBeGreaterThan(2)
    })
  )
})

describe("a run that uses secrets", () => {
  const deployment = { env: { DB: "cpln://secret/db.password", OTHER: "cpln://secret/db.user" } }
  const template = {
    ...officialTemplate({ version: "3.8.8" }),
    job_configuration: {
      job_manifest: {
        apiVersion: "batch/v1",
        kind: "Job",
        metadata: { labels: {} },
        spec: {
          template: {
            spec: {
              parallelism: 1,
              completions: 1,
              restartPolicy: "Never",
              containers: [
                {
                  name: "prefect-job",
                  env: "{{ env }}",
                  envFrom: [{ prefix: "APP_", secretRef: { name: "app-config" } }]
                }
              ]
            }
          }
        }
      }
    }
  }
  const platform =
    (secrets: Readonly<Record<string, Answering>>): NonNullable<World["gvc"]> =>
    ({ path }) =>
      path.includes("/secret/")
        ? (secrets[path.replace("/org/acme/secret/", "")] ?? answer(404, {}))
        : gvcAt("aws-us-west-2")
  const appConfig = answer(200, {
    name: "app-config",
    type: "dictionary",
    data: { MODE: "value-of-mode", REGION: "value-of-region" }
  })

  it.effect("brings the policy by which its identity may reveal them", () =>
    Effect.gen(function* () {
      const ready = yield* prepared({ deployment, gvc: platform({ db: answer(200, { name: "db" }) }) })
      expect(ready.wanted.secrets).toEqual(["db"])
      expect(ready.wanted.policy).toMatchObject({
        name: `${ready.wanted.place.workload.name}-reveal-policy`,
        secretLinks: ["//secret/db"]
      })
      const account = { ...deployment, service_account_name: "runner" }
      const named = yield* prepared({ deployment: account, gvc: platform({ db: answer(200, {}) }) })
      expect(named.wanted).toMatchObject({ policy: undefined, secrets: ["db"] })
    })
  )

  it.effect("that do not exist is refused, because such a job waits without a word", () =>
    Effect.gen(function* () {
      const text = yield* refusal({ deployment, gvc: platform({}) })
      expect(text).toContain('there is no secret "db" in org "acme"')
      const hidden = yield* prepared({ deployment, gvc: platform({ db: answer(403, { message: "no" }) }) })
      expect(hidden.wanted.secrets).toEqual(["db"])
    })
  )

  it.effect("whole gets one reference for each key, and no value of one ever gets here", () => {
    const { layer, platform: asked } = world({
      template,
      gvc: platform({ "app-config": appConfig, "app-config/-reveal": appConfig })
    })
    return Effect.gen(function* () {
      const ready = yield* prepare(run())
      expect(ready.what.containerOverrides[0]?.env).toContainEqual({
        name: "APP_MODE",
        value: "cpln://secret/app-config.MODE"
      })
      expect(ready.wanted.secrets).toEqual(["app-config"])
      expect(JSON.stringify(ready)).not.toContain("value-of")
      expect(asked.asked.filter(({ path }) => path.endsWith("-reveal"))).toHaveLength(1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("whole is refused when the agent may not reveal them, with what to apply", () =>
    Effect.gen(function* () {
      const text = yield* refusal({
        template,
        gvc: platform({ "app-config": appConfig, "app-config/-reveal": answer(403, { message: "no" }) })
      })
      expect(text).toContain('may not reveal the key names of the secret "app-config"')
      // As it is copied: not a dot more.
      expect(parse(text.slice(text.indexOf("kind: policy")))).toMatchObject({
        targetLinks: ["//secret/app-config"],
        bindings: [{ principalLinks: ["/org/acme/serviceaccount/AGENT"] }]
      })
    })
  )

  it.effect("whole is refused when one is no dictionary, or does not exist", () =>
    Effect.gen(function* () {
      const opaque = answer(200, { type: "opaque", data: { payload: "value-of-it" } })
      const text = yield* refusal({ template, gvc: platform({ "app-config/-reveal": opaque }) })
      expect(text).toContain("must be of type 'dictionary', type found 'opaque'")
      expect(text).not.toContain("value-of")
      expect(yield* refusal({ template, gvc: platform({}) })).toContain("does not exist")
    })
  )

  it.effect("waits while the platform does not answer for them", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        prepared({ deployment, gvc: platform({ db: answer(401, { message: "no" }) }) })
      )
      expect(error._tag).toBe("Unauthorised")
    })
  )
})
