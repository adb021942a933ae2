/**
 * Plans against an emulator in this process and a Prefect server that answers from a table: what they say, and that
 * nothing is written. Both are seen at the HTTP boundary.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { ControlPlane } from "../../src/cpln/control-plane.ts"
import type { JsonRecord } from "../../src/job/json.ts"
import { problemText } from "../../src/job/problem.ts"
import { officialTemplate } from "../../src/job/template.ts"
import { masking } from "../../src/plan/masking.ts"
import { notingSecrets } from "../../src/plan/noting.ts"
import type { Plan } from "../../src/plan/plan.ts"
import { planJob } from "../../src/plan/plan.ts"
import { type AgentConfig, planAll, planNamed } from "../../src/plan/targets.ts"
import { platform } from "../../src/platform.ts"
import { Inspection } from "../../src/prefect/inspection.ts"
import { Prefect } from "../../src/prefect/prefect.ts"
import { Access } from "../../src/cpln/control-plane.ts"
import { type Client, emulator, gvc, location, org, token } from "../emulator/harness.ts"
import { access } from "../prefect/server.ts"

const poolId = "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10"
const deploymentId = (number: number) => `22222222-2222-4222-8222-00000000000${number}`
const runId = "33333333-3333-4333-8333-333333333333"
const secret = "hunter2-of-the-database"

const deployments: Readonly<Record<string, JsonRecord>> = {
  [deploymentId(1)]: { name: "good", job_variables: { env: { DB: "{{ prefect.blocks.secret.db }}" } } },
  [deploymentId(2)]: { name: "nowhere", job_variables: { location: "nowhere-1" } },
  [deploymentId(3)]: { name: "lost", job_variables: { env: { X: "cpln://secret/missing" } } }
}

const rowOf = (id: string) => ({ id, flow_id: "f1", work_pool_name: "cpln", ...deployments[id] })

const table = (template: JsonRecord) => (method: string, path: string) => {
  const deployment = /^\/deployments\/([0-9a-f-]{36})$/u.exec(path)?.[1]
  if (deployment !== undefined && deployments[deployment] !== undefined) return rowOf(deployment)
  switch (`${method} ${path}`) {
    case "GET /admin/version":
      return "3.8.8"
    case "GET /work_pools/cpln":
      return { id: poolId, name: "cpln", type: "cpln", base_job_template: template }
    case "GET /flows/f1":
      return { id: "f1", name: "etl" }
    case "GET /deployments/name/etl/good":
      return rowOf(deploymentId(1))
    case "POST /deployments/filter":
      return Object.keys(deployments).map(rowOf)
    case `GET /flow_runs/${runId}`:
      return {
        id: runId,
        name: "brave-hare",
        flow_id: "f1",
        deployment_id: deploymentId(1),
        work_pool_name: "cpln",
        state_type: "SCHEDULED",
        run_count: 0,
        tags: []
      }
    case "GET /block_types/slug/secret/block_documents/name/db?include_secrets=true":
      return { id: "b1", name: "db", data: { value: secret }, block_type: { slug: "secret" } }
    case "GET /block_documents/b1":
      return { id: "b1", name: "db", data: { value: "********" } }
    default:
      return undefined
  }
}

interface Request {
  readonly method: string
  readonly path: string
}

/** Nothing of these changes anything. */
const onlyReads = ({ method, path }: Request): boolean =>
  method === "GET" ||
  (method === "POST" && /\/(?:filter|-query)$/u.test(path)) ||
  (method === "PUT" && path.endsWith("?dryRun=true"))

const grounds = Effect.fnUntraced(function* () {
  const cpln = yield* emulator()
  yield* cpln.post(`${org}/gvc`, {
    name: "dev",
    spec: { staticPlacement: { locationLinks: [`//location/${location}`] } }
  })
  const requests: Array<Request> = []
  const answer = table(officialTemplate({ version: "3.8.8", org: "acme", gvc: "dev", image: "i:1" }))
  const http = Layer.effect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, (real) =>
      HttpClient.make((request, url) => {
        const path = `${url.pathname}${url.search}`
        requests.push({ method: request.method, path })
        if (url.host !== "prefect.test") return real.execute(request)
        const body = answer(request.method, path.replace(/^\/api/u, ""))
        return Effect.succeed(
          HttpClientResponse.fromWeb(
            request,
            new Response(JSON.stringify(body ?? { detail: "Not Found" }), {
              status: body === undefined ? 404 : 200
            })
          )
        )
      })
    )
  ).pipe(Layer.provide(FetchHttpClient.layer))
  const settings = { ratePerSecond: 0, logsEndpoint: undefined, logsToken: undefined }
  const layer = Layer.mergeAll(
    Prefect.layer(access, { ratePerSecond: 0 }),
    Inspection.layer(access, { ratePerSecond: 0 }),
    ControlPlane.layerWith(settings)
  ).pipe(Layer.provideMerge(http), Layer.provide(platform))
  const noted = new Set<string>()
  const planned = <A, E, R>(work: Effect.Effect<A, E, R>) =>
    notingSecrets(noted).pipe(
      Effect.flatMap((prefect) => Effect.provideService(work, Prefect, prefect)),
      Effect.provide(layer),
      Effect.map((plans) => masking(noted)(plans))
    )
  return { cpln, requests, planned, config: configOf(cpln) }
})

const configOf = (cpln: Client): AgentConfig => ({
  workerName: "cpln-test",
  agentLink: "cpln-test",
  adopted: new Set<string>(),
  maxDisruption: undefined,
  server: { line: "3", text: "3.8.8" },
  injected: {
    endpoint: cpln.url,
    org: undefined,
    gvc: undefined,
    location: undefined,
    token: Redacted.make(token)
  },
  identities: "manage",
  prefectSettings: { PREFECT_API_URL: "http://prefect.test/api", PREFECT_API_KEY: "pnu_key" },
  environment: {},
  settle: 0,
  cancelGrace: 0,
  linger: 0,
  mainLinger: 0,
  startTimeout: 0,
  launchDeadline: 0,
  doubtHorizon: 0,
  monitorInterval: 0,
  unreportedExit: "COMPLETED"
})

const manifest = {
  kind: "Job",
  metadata: { labels: {}, generateName: "job-" },
  spec: { template: { spec: { containers: [{ name: "main", image: "i:1" }] } } }
}

const jobIn = (cpln: Client, change: JsonRecord = {}) => ({
  job: {
    org: "acme",
    gvc: "dev",
    location: undefined,
    token: undefined,
    manifest: { ...manifest, ...change }
  },
  access: new Access({ endpoint: cpln.url, org: "acme", token: Redacted.make(token) })
})

describe("agent plan", () => {
  it.live("of a deployment, of a run and of all: says what would be sent, and writes nothing", () =>
    Effect.gen(function* () {
      const { config, planned, requests } = yield* grounds()
      const byName = yield* planned(planNamed("etl/good", undefined, config))
      const byId = yield* planned(planNamed(deploymentId(1), undefined, config))
      const ofRun = yield* planned(planNamed(runId, undefined, config))
      const all = yield* planned(planAll("cpln", config))
      expect(byName).toMatchObject({ verdict: "can run", workload: { state: "would be made" } })
      expect(byId).toEqual(byName)
      expect(JSON.stringify(ofRun.command)).toContain(runId)
      expect(all.map(({ target, verdict }) => [/\/(\w+) /u.exec(target)?.[1], verdict])).toEqual([
        ["good", "can run"],
        ["lost", "cannot run"],
        ["nowhere", "cannot run"]
      ])
      expect(all[1]?.errors).toEqual([
        {
          path: "cpln://secret/missing",
          rule: 'there is no secret "missing" in org "acme"',
          remedy: "Create it, or correct the name where the job refers to it."
        }
      ])
      expect(problemText(all[2]?.errors ?? [])).toContain("nowhere-1")

      expect(requests.filter((each) => !onlyReads(each))).toEqual([])
      expect(requests.some(({ method }) => method === "PUT")).toBe(true)
      const text = JSON.stringify([byName, ofRun, all])
      for (const hiddenText of [secret, "pnu_key", token]) expect(text).not.toContain(hiddenText)
    })
  )

  it.live("leaves an emulator as it was", () =>
    Effect.gen(function* () {
      const { config, cpln, planned } = yield* grounds()
      const state = Effect.forEach([`${gvc}/workload`, `${gvc}/identity`, `${org}/policy`], (path) =>
        Effect.map(cpln.get(path), ({ json }) => json.items)
      )
      const before = yield* state
      yield* planned(planAll("cpln", config))
      const { access, job } = jobIn(cpln)
      yield* planned(planJob(job, access, "file", "manage"))
      expect(yield* state).toEqual(before)
    })
  )

  it.live("tells how a workload that somebody edited differs, and that one which is not ours is no use", () =>
    Effect.gen(function* () {
      const { cpln, planned } = yield* grounds()
      const { access, job } = jobIn(cpln)
      const first: Plan = yield* planned(planJob(job, access, "file", "manage"))
      const { identityLink: _none, ...spec } = (first.workload?.sends["spec"] ?? {}) as Record<
        string,
        unknown
      >
      const made = yield* cpln.post(`${gvc}/workload`, { ...first.workload?.sends, spec })
      expect(made.status).toBe(201)
      const same: Plan = yield* planned(planJob(job, access, "file", "manage"))
      expect(same).toMatchObject({ verdict: "can run", workload: { state: "exists, as it would be sent" } })

      const path = first.workload?.link ?? ""
      yield* cpln.patch(path, { spec: { job: { historyLimit: 9 } } })
      const edited: Plan = yield* planned(planJob(job, access, "file", "manage"))
      expect(edited.workload).toMatchObject({
        state: "exists, and differs: it would be used as it is",
        differences: [{ path: "spec.job.historyLimit", there: 9, planned: 5 }]
      })

      yield* cpln.patch(path, { tags: { "cpln/createdByPrefect": null } })
      const foreign: Plan = yield* planned(planJob(job, access, "file", "manage"))
      expect(foreign).toMatchObject({ verdict: "cannot run", workload: { state: "exists, and is not ours" } })
    })
  )

  it.live("names the identity, the policy and the secrets that a job needs", () =>
    Effect.gen(function* () {
      const { cpln, planned } = yield* grounds()
      yield* cpln.post(`${org}/secret`, { name: "db", type: "dictionary", data: { USER: "u1" } })
      const containers = [{ name: "main", image: "i:1", envFrom: [{ secretRef: { name: "db" } }] }]
      const { access, job } = jobIn(cpln, { spec: { template: { spec: { containers } } } })
      const plan: Plan = yield* planned(planJob(job, access, "file", "manage"))
      expect(plan).toMatchObject({
        verdict: "can run",
        secrets: ["db"],
        identity: { state: "would be made" },
        policy: { state: "would be made", sends: { targetLinks: ["//secret/db"] } }
      })
      expect(JSON.stringify(plan.command)).toContain("cpln://secret/db.USER")
      const given: Plan = yield* planned(planJob(job, access, "file", "given"))
      expect(given.verdict).toBe("cannot run")
      expect(given.errors).toEqual([
        {
          path: expect.stringMatching(/^\/org\/acme\/gvc\/[^/]+\/identity\//u),
          rule: expect.stringMatching(/^it needs the secret db, and may not read it/u),
          remedy: expect.stringMatching(/^Apply this .*\nkind: identity\n.*\nkind: policy\n/su)
        }
      ])
    })
  )

  it.live("tells all that is wrong with a manifest at once", () =>
    Effect.gen(function* () {
      const { cpln, planned } = yield* grounds()
      const containers = [
        { name: "main", resources: { limits: { cpu: "1m" } }, env: [{ name: "CPLN_X", value: "1" }] }
      ]
      const { access, job } = jobIn(cpln, { spec: { template: { spec: { containers } } } })
      const plan: Plan = yield* planned(planJob(job, access, "file", "manage"))
      expect(plan.verdict).toBe("cannot run")
      for (const part of ["image", "cpu", "CPLN_X"]) expect(problemText(plan.errors)).toContain(part)
      expect(plan.errors.map(({ path }) => path).length).toBeGreaterThanOrEqual(3)
      for (const { path, rule } of plan.errors) expect([path, rule]).not.toContain("")
    })
  )
})
