/** Cron workloads: what is refused, what is filled in, and what their deployments say. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { cron, emulator, gvc, letReveal, location, org, runner, withRunner } from "./harness.ts"

type Change = Record<string, unknown>

const container = (change: Change = {}) => ({ name: "main", image: "ubuntu", ...change })
const withContainer = (change: Change) => ({ containers: [container(change)] })
const volume = (uri: string, path: string) => ({ uri, path })

const refused: Readonly<Record<string, ReadonlyArray<readonly [spec: Change, message: RegExp]>>> = {
  "the spec": [
    [{ type: "lambda" }, /"spec\.type" must be one of/u],
    [{ nonsense: 1 }, /"spec\.nonsense" is not allowed/u],
    [{ defaultOptions: 5 }, /"spec\.defaultOptions" must be an object/u],
    [{ defaultOptions: { suspnd: true } }, /"spec\.defaultOptions\.suspnd" is not allowed/u],
    [{ defaultOptions: { suspend: "maybe" } }, /must be a boolean/u]
  ],
  "the job": [
    [{ job: undefined }, /"spec\.job" is required/u],
    [{ job: {} }, /"spec\.job\.schedule" is required/u],
    [{ job: { schedule: "every day" } }, /not a valid cron schedule/u],
    [{ job: { schedule: "* * * * * *" } }, /not a valid cron schedule/u],
    [{ job: { schedule: "61 * * * *" } }, /not a valid cron schedule/u],
    [{ job: { schedule: "* * * * *", suspend: true } }, /"spec\.job\.suspend" is not allowed/u],
    [{ job: { schedule: "* * * * *", historyLimit: 0 } }, /between 1 and 10/u],
    [{ job: { schedule: "* * * * *", historyLimit: 11 } }, /between 1 and 10/u],
    [{ job: { schedule: "* * * * *", historyLimit: 1.5 } }, /between 1 and 10/u],
    [{ job: { schedule: "* * * * *", activeDeadlineSeconds: 86_401 } }, /between 1 and 86400/u],
    [
      { job: { schedule: "* * * * *", concurrencyPolicy: "Maybe" } },
      /must be one of \[Forbid, Replace, Allow\]/u
    ],
    [{ job: { schedule: "* * * * *", restartPolicy: "Always" } }, /must be one of \[Never, OnFailure\]/u]
  ],
  "containers and their names": [
    [{ containers: undefined }, /between 1 and 8/u],
    [{ containers: [] }, /between 1 and 8/u],
    [{ containers: "main" }, /between 1 and 8/u],
    [
      { containers: Array.from({ length: 9 }, (_, index) => container({ name: `c${index}` })) },
      /between 1 and 8/u
    ],
    [{ containers: [container(), container()] }, /duplicate name: main/u],
    [{ containers: [{ image: "ubuntu" }] }, /name" is required/u],
    [{ containers: [5] }, /must be an object/u],
    [withContainer({ name: "Main" }), /lower-case/u],
    [withContainer({ name: "x".repeat(64) }), /63/u],
    [withContainer({ name: "cpln-mine" }), /reserved/u],
    [withContainer({ name: "debugger-x" }), /reserved/u],
    [withContainer({ name: "istio-proxy" }), /reserved/u],
    [withContainer({ colour: "red" }), /"spec\.containers\[0\]\.colour" is not allowed/u]
  ],
  programs: [
    [withContainer({ image: undefined }), /image" is required/u],
    [withContainer({ image: "" }), /image" must be a non-empty string/u],
    [withContainer({ command: ["sh", "-c"] }), /command" must be a string/u],
    [withContainer({ command: "x".repeat(257) }), /256/u],
    [withContainer({ args: "one" }), /args" must be an array of strings/u],
    [withContainer({ args: ["one", 2] }), /args" must be an array of strings/u],
    [withContainer({ workingDir: "relative" }), /absolute path/u],
    [withContainer({ inheritEnv: "perhaps" }), /must be a boolean/u],
    [withContainer({ ports: [{ number: 8080 }] }), /cannot expose ports/u],
    [withContainer({ port: 8080 }), /cannot expose ports/u]
  ],
  sizes: [
    [withContainer({ cpu: "24m" }), /at least 25m/u],
    [withContainer({ cpu: "much" }), /not a valid quantity/u],
    [withContainer({ cpu: 1 }), /not a valid quantity/u],
    [withContainer({ memory: "31Mi" }), /at least 32Mi/u],
    [withContainer({ memory: "1.5.5Gi" }), /not a valid quantity/u],
    [withContainer({ cpu: "50m", memory: "512Mi" }), /needs at least 64m cpu/u],
    [withContainer({ memory: "1Gi" }), /needs at least 128m cpu/u]
  ],
  environments: [
    [withContainer({ env: {} }), /env" must be an array/u],
    [withContainer({ env: ["A=b"] }), /must be an object/u],
    [withContainer({ env: [{ value: "b" }] }), /name" is required/u],
    [withContainer({ env: [{ name: "A B", value: "" }] }), /not a valid environment variable name/u],
    [
      withContainer({ env: [{ name: "x".repeat(121), value: "" }] }),
      /not a valid environment variable name/u
    ],
    [
      withContainer({ env: [{ name: "CPLN_TOKEN", value: "" }] }),
      /starting with CPLN_ are reserved for system use/u
    ],
    [withContainer({ env: [{ name: "K_SERVICE", value: "" }] }), /reserved/u],
    [withContainer({ env: [{ name: "A", value: 5 }] }), /value" must be a string/u],
    [withContainer({ env: [{ name: "A", value: "x".repeat(4097) }] }), /4096/u],
    [withContainer({ env: [{ name: "A", valueFrom: {} }] }), /valueFrom" is not allowed/u]
  ],
  volumes: [
    [withContainer({ volumes: {} }), /volumes" must be an array/u],
    [withContainer({ volumes: [volume("ftp://x", "/data")] }), /uri" must be one of/u],
    [withContainer({ volumes: [volume("s3://x", "data")] }), /absolute path/u],
    [withContainer({ volumes: [volume("s3://x", "/tmp")] }), /reserved/u],
    [withContainer({ volumes: [volume("s3://x", "/a"), volume("s3://y", "/a/b")] }), /nested/u],
    [
      withContainer({ volumes: Array.from({ length: 16 }, (_, i) => volume("s3://x", `/v${i}`)) }),
      /at most 15/u
    ]
  ],
  options: [
    [{ defaultOptions: { autoscaling: { maxScale: 2 } } }, /minScale and maxScale 1/u],
    [{ rolloutOptions: { terminationGracePeriodSeconds: 901 } }, /between 0 and 900/u],
    [{ securityOptions: { runAsUser: 0 } }, /between 1 and 65534/u],
    [{ securityOptions: { runAsUser: 1337 } }, /1337 is reserved/u],
    [{ firewallConfig: { internal: { inboundAllowType: "friends" } } }, /must be one of/u],
    [{ identityLink: "//identity/none" }, /not an identity of this GVC/u],
    [{ identityLink: "/org/acme/gvc/other/identity/robot" }, /not an identity of this GVC/u]
  ]
}

describe("a workload is refused with a 400 that says why, for", () => {
  for (const [group, cases] of Object.entries(refused)) {
    it.live(group, () =>
      Effect.gen(function* () {
        const cpln = yield* withRunner()
        for (const [spec, message] of cases) {
          const answer = yield* cpln.post(`${gvc}/workload`, cron("refused", spec))
          expect([spec, answer.status]).toEqual([spec, 400])
          expect(answer.json.message).toMatch(message)
        }
        expect((yield* cpln.get(`${gvc}/workload/refused`)).status).toBe(404)
      })
    )
  }

  it.live("its name: 49 characters at most, and no -headless", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      expect((yield* cpln.post(`${gvc}/workload`, cron("x".repeat(50)))).json.message).toMatch(/49/u)
      expect((yield* cpln.post(`${gvc}/workload`, cron("w-headless"))).json.message).toMatch(/-headless/u)
      expect((yield* cpln.post(`${gvc}/workload`, cron("x".repeat(49)))).status).toBe(201)
    })
  )

  it.live("all that is wrong with it, at once", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const spec = { containers: [{ name: "main", cpu: "1m" }], job: { schedule: "x", historyLimit: 99 } }
      const { message } = (yield* cpln.post(`${gvc}/workload`, cron("refused", spec))).json
      for (const part of ["image", "cpu", "schedule", "historyLimit"]) expect(message).toContain(part)
    })
  )
})

describe("a workload is taken", () => {
  const taken: ReadonlyArray<readonly [string, Change, Change?]> = [
    ["the smallest sizes", withContainer({ cpu: "25m", memory: "32Mi" })],
    ["cores as numbers of text", withContainer({ cpu: "0.25", memory: "1Gi" })],
    ["a ratio of eight", withContainer({ cpu: "64m", memory: "512Mi" })],
    [
      "a ratio of 32 with the tag",
      withContainer({ cpu: "50m", memory: "1600Mi" }),
      { "cpln/relaxMemoryToCpuRatio": "true" }
    ],
    [
      "a long grace with the tag",
      { rolloutOptions: { terminationGracePeriodSeconds: 3600 } },
      { "cpln/relaxGracePeriodMax": "true" }
    ],
    ["probes, which cron ignores", withContainer({ readinessProbe: { exec: { command: ["true"] } } })],
    ["a scale of one", { defaultOptions: { autoscaling: { minScale: 1, maxScale: 1 } } }],
    ["a variable named twice", withContainer({ env: [{ name: "A" }, { name: "A" }] })],
    ["memory with an exponent", withContainer({ cpu: "1", memory: "1e9" })],
    ["memory in all of Kubernetes' units", withContainer({ cpu: "1e12", memory: "1E" })],
    ["a value without text", withContainer({ env: [{ name: "A" }, { name: "B", value: "" }] })]
  ]
  it.live("with all that the service takes", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      for (const [index, [what, spec, tags = {}]] of taken.entries()) {
        const answer = yield* cpln.post(`${gvc}/workload`, { ...cron(`taken-${index}`, spec), tags })
        expect([what, answer.status, answer.text]).toEqual([what, 201, "Created"])
      }
    })
  )
})

describe("reading a workload", () => {
  it.live("defaults are filled in, so that what is read differs from what was sent", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const { spec } = (yield* cpln.get(runner)).json
      expect(spec.containers).toEqual([
        { name: "main", image: "ubuntu:latest", cpu: "50m", memory: "128Mi", inheritEnv: false }
      ])
      expect(spec.job).toEqual({
        schedule: "* * * * *",
        concurrencyPolicy: "Forbid",
        historyLimit: 5,
        restartPolicy: "Never"
      })
      expect(spec.rolloutOptions).toEqual({ terminationGracePeriodSeconds: 90 })
      expect(spec.firewallConfig.external.outboundAllowCIDR).toEqual([])
      expect(spec.firewallConfig.internal.inboundAllowType).toBe("none")
      expect(spec.defaultOptions).toMatchObject({ suspend: true, capacityAI: false, debug: false })
    })
  )

  it.live("it links to itself and to its deployments, and tells its health", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const { links, health, status } = (yield* cpln.get(runner)).json
      expect(links).toEqual(
        expect.arrayContaining([
          { rel: "self", href: runner },
          { rel: "deployment", href: `${runner}/deployment` }
        ])
      )
      expect(health).toMatchObject({ readyLocations: 1, totalLocations: 1, syncFailed: false })
      expect(status).toBeTypeOf("object")
    })
  )
})

describe("deployments", () => {
  it.live("there is one for each location of the GVC, with versions as numbers", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.patch(gvc, {
        spec: { staticPlacement: { locationLinks: [`//location/${location}`, "//location/gcp-us-east1"] } }
      })
      yield* cpln.patch(runner, { tags: { a: "1" } })
      const { json } = yield* cpln.get(`${runner}/deployment`)
      expect([
        json.kind,
        json.itemKind,
        json.links.some(({ rel }: { rel: string }) => rel === "next")
      ]).toEqual(["list", "deployment", false])
      expect(json.items.map(({ name }: { name: string }) => name)).toEqual([location, "gcp-us-east1"])
      for (const { status } of json.items) {
        expect(status).toMatchObject({
          ready: true,
          deploying: false,
          remote: cpln.url,
          lastProcessedVersion: 2,
          expectedDeploymentVersion: 2,
          internal: { syncFailed: false },
          jobExecutions: []
        })
        expect(status.versions[0]).toMatchObject({ workload: 2, containers: { main: { ready: true } } })
      }
      const one = yield* cpln.get(`${runner}/deployment/gcp-us-east1`)
      expect([one.json.kind, one.json.name]).toEqual(["deployment", "gcp-us-east1"])
    })
  )

  it.live("one that needs a secret which does not exist waits, and does not say why", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(
        {},
        withContainer({ env: [{ name: "PASSWORD", value: "cpln://secret/login.password" }] })
      )
      yield* letReveal(cpln)
      const status = () => Effect.map(cpln.get(`${runner}/deployment/${location}`), ({ json }) => json.status)
      expect(yield* status()).toMatchObject({ ready: false, message: "" })
      yield* cpln.post(`${org}/secret`, { name: "login", type: "dictionary", data: { password: "x" } })
      expect(yield* status()).toMatchObject({ ready: true })
    })
  )

  it.live("a workload of a GVC without locations has none", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      yield* cpln.post(`${org}/gvc`, { name: "dev" })
      yield* cpln.post(`${gvc}/workload`, cron("runner"))
      expect((yield* cpln.get(`${runner}/deployment`)).json.items).toEqual([])
    })
  )
})
