/** Standard and stateful workloads as processes of this machine, seen over HTTP. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import type { EmulatorSettings } from "../../../src/emulator/settings.ts"
import { type Client, emulator, gvc, location, org } from "../harness.ts"

const isSlow = 30_000

const world = Effect.fnUntraced(function* (given: Partial<EmulatorSettings> = {}) {
  const cpln = yield* emulator({ mode: "exec", grace: 2000, preStop: 20, ...given })
  yield* cpln.post(`${org}/gvc`, {
    name: "dev",
    spec: { staticPlacement: { locationLinks: [`//location/${location}`] } }
  })
  return cpln
})

const web = `${gvc}/workload/web`

const service = (
  script: string,
  change: Record<string, unknown> = {},
  more: Record<string, unknown> = {}
) => ({
  kind: "workload",
  name: "web",
  spec: {
    type: "standard",
    containers: [{ name: "main", image: "any", command: "sh", args: ["-c", script], ...change }],
    ...more
  }
})

const made = Effect.fnUntraced(function* (cpln: Client, body: unknown) {
  const answer = yield* cpln.put(`${gvc}/workload`, body)
  expect([answer.status < 300, answer.text]).toEqual([true, answer.text])
})

interface Container {
  readonly ready: boolean
  readonly restarts: { readonly count?: number }
}

interface Status {
  readonly ready: boolean
  readonly versions: ReadonlyArray<{ readonly containers: { readonly main: Container } }>
}

const deployment = (cpln: Client, done: (status: Status) => boolean): Effect.Effect<Status> =>
  Effect.map(
    cpln.until(`${web}/deployment/${location}`, ({ json }) => done(json.status)),
    ({ json }) => json.status
  )
const ready = (cpln: Client) => deployment(cpln, ({ ready: is }) => is)
const mainOf = (status: Status) => status.versions[0]?.containers.main
const replicas = (cpln: Client, count: number) =>
  Effect.map(
    cpln.until(`/replicas${web}`, ({ json }) => json.items.length === count),
    ({ json }): ReadonlyArray<string> => json.items
  )

const lines = Effect.fnUntraced(function* (cpln: Client, has: string) {
  const query = encodeURIComponent(`{gvc="dev", workload="web"}`)
  const answer = yield* cpln.until(
    `/logs${org}/loki/api/v1/query_range?limit=500&query=${query}`,
    ({ text }) => text.includes(has)
  )
  return (
    answer.json.data.result as ReadonlyArray<{ readonly values: ReadonlyArray<[string, string]> }>
  ).flatMap(({ values }) => values.map(([, line]) => line))
})

const freePort = Effect.callback<number>((resume) => {
  const probe = createServer()
  probe.listen(0, "127.0.0.1", () => {
    const address = probe.address()
    probe.close(() => resume(Effect.succeed(typeof address === "object" ? (address?.port ?? 0) : 0)))
  })
})

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "services-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Answers 200 once the file is there. */
const listener = (port: number, file: string) => `
const { existsSync } = require("node:fs")
require("node:http").createServer((_, answer) => {
  answer.statusCode = existsSync(${JSON.stringify(file)}) ? 200 : 503
  answer.end(process.env.PORT)
}).listen(${port}, "127.0.0.1", () => console.log("listens"))`

describe("a standard workload", () => {
  it.live(
    "runs as a process with what the platform injects, and what it prints is in the logs",
    () =>
      Effect.gen(function* () {
        const cpln = yield* world()
        yield* made(
          cpln,
          service("env | grep -E '^(CPLN_|PORT)' | sort; exec sleep 600", { ports: [{ number: 8081 }] })
        )
        expect(mainOf(yield* ready(cpln))).toMatchObject({
          ready: true,
          resources: { replicas: 1, replicasReady: 1 }
        })
        const printed = yield* lines(cpln, "PORT=")
        expect(printed).toEqual(
          expect.arrayContaining([
            "CPLN_ORG=acme",
            "CPLN_GVC=dev",
            `CPLN_LOCATION=/org/acme/location/${location}`,
            `CPLN_WORKLOAD=${web}`,
            "CPLN_WORKLOAD_VERSION=1",
            `CPLN_ENDPOINT=${cpln.url}`,
            "PORT=8081"
          ])
        )
        expect(printed.find((line) => line.startsWith("CPLN_TOKEN="))).toBeDefined()
        expect(yield* replicas(cpln, 1)).toEqual([expect.stringMatching(/^web-/u)])
      }),
    isSlow
  )

  it.live(
    "is started again whenever it exits, later each time, and the deployment says how it ended",
    () =>
      Effect.gen(function* () {
        const cpln = yield* world()
        yield* made(cpln, service("echo begins; exit 7"))
        const status = yield* deployment(cpln, (seen) => mainOf(seen)?.restarts.count === 2)
        expect(status.ready).toBe(false)
        expect(mainOf(status)).toMatchObject({
          ready: false,
          message: expect.stringContaining("7"),
          restarts: { exitCode: 7, reason: "Error", count: 2 }
        })
        expect((yield* lines(cpln, "begins")).length).toBeGreaterThanOrEqual(2)
        expect((yield* cpln.get(web)).json.health).toMatchObject({ readiness: "notReady", readyReplicas: 0 })
      }),
    isSlow
  )

  it.live(
    "has as many replicas as minScale says, and one where it listens on a port of this machine",
    () =>
      Effect.gen(function* () {
        const cpln = yield* world()
        const scale = { defaultOptions: { autoscaling: { metric: "disabled", minScale: 3, maxScale: 3 } } }
        yield* made(cpln, service("exec sleep 600", {}, scale))
        expect(new Set(yield* replicas(cpln, 3)).size).toBe(3)
        expect(mainOf(yield* ready(cpln))).toMatchObject({ resources: { replicas: 3, replicasReady: 3 } })
        yield* made(cpln, service("exec sleep 600", { ports: [{ number: 8082 }] }, scale))
        yield* replicas(cpln, 1)
        expect(mainOf(yield* ready(cpln))).toMatchObject({ resources: { replicas: 1, replicasReady: 1 } })
      }),
    isSlow
  )

  it.live(
    "is ready when its HTTP probe is answered, and no longer when it is not",
    () =>
      Effect.gen(function* () {
        const cpln = yield* world()
        const place = yield* folder
        const file = join(place, "ready")
        const port = yield* freePort
        yield* made(
          cpln,
          service("", {
            command: process.execPath,
            args: ["-e", listener(port, file)],
            ports: [{ number: port, protocol: "http" }],
            readinessProbe: { httpGet: { path: "/health", port }, periodSeconds: 0.1, failureThreshold: 1 }
          })
        )
        yield* lines(cpln, "listens")
        yield* Effect.sleep("300 millis")
        expect((yield* cpln.get(`${web}/deployment`)).json.items[0].status.ready).toBe(false)
        writeFileSync(file, "")
        expect((yield* ready(cpln)).ready).toBe(true)
        rmSync(file)
        expect((yield* deployment(cpln, ({ ready: is }) => !is)).ready).toBe(false)
      }),
    isSlow
  )

  it.live(
    "is ready by a TCP or a command probe too",
    () =>
      Effect.gen(function* () {
        const cpln = yield* world()
        const place = yield* folder
        const file = join(place, "ready")
        const port = yield* freePort
        yield* made(
          cpln,
          service("", {
            command: process.execPath,
            args: ["-e", `setTimeout(() => { ${listener(port, file)} }, 400)`],
            ports: [{ number: port }],
            readinessProbe: { tcpSocket: { port }, periodSeconds: 0.1 }
          })
        )
        yield* deployment(cpln, ({ ready: is }) => !is)
        expect((yield* ready(cpln)).ready).toBe(true)
        yield* made(
          cpln,
          service(`sleep 0.5; touch ${file}; exec sleep 600`, {
            readinessProbe: { exec: { command: ["test", "-e", file] }, periodSeconds: 0.1 }
          })
        )
        yield* deployment(cpln, ({ ready: is }) => !is)
        expect((yield* ready(cpln)).ready).toBe(true)
        expect(readdirSync(place)).toEqual(["ready"])
      }),
    isSlow
  )
})

describe("changes of a workload", () => {
  it.live(
    "a suspended one has no replica, a resumed one has",
    () =>
      Effect.gen(function* () {
        const cpln = yield* world()
        yield* made(cpln, service("trap 'echo ends; exit 0' TERM; echo begins; while :; do sleep 0.05; done"))
        yield* lines(cpln, "begins")
        yield* cpln.patch(web, { spec: { defaultOptions: { suspend: true } } })
        expect(yield* replicas(cpln, 0)).toEqual([])
        expect(yield* lines(cpln, "ends")).toContain("ends")
        yield* cpln.patch(web, { spec: { defaultOptions: { suspend: false } } })
        expect(yield* replicas(cpln, 1)).toHaveLength(1)
      }),
    isSlow
  )

  it.live(
    "a new version and a forced redeployment replace the replica; a description does not",
    () =>
      Effect.gen(function* () {
        const cpln = yield* world()
        yield* made(cpln, service("echo version $CPLN_WORKLOAD_VERSION; exec sleep 600"))
        yield* ready(cpln)
        const [first] = yield* replicas(cpln, 1)
        yield* cpln.patch(web, { description: "another" })
        yield* Effect.sleep("200 millis")
        expect(yield* replicas(cpln, 1)).toEqual([first])
        yield* cpln.patch(web, { tags: { "cpln/deployTimestamp": new Date().toISOString() } })
        yield* lines(cpln, "version 3")
        const [second] = yield* replicas(cpln, 1)
        expect(second).not.toBe(first)
        yield* cpln.patch(web, {
          spec: { "$patch/containers": [{ name: "main", env: [{ name: "A", value: "b" }] }] }
        })
        yield* lines(cpln, "version 4")
        expect((yield* ready(cpln)).versions).toMatchObject([{ workload: 4, ready: true }])
      }),
    isSlow
  )

  it.live(
    "a deleted one, or one whose GVC is, is stopped and its processes are gone",
    () =>
      Effect.gen(function* () {
        const cpln = yield* world()
        yield* made(cpln, service("echo pid $$; exec sleep 600"))
        const pid = Number((yield* lines(cpln, "pid "))[0]?.slice(4))
        yield* cpln.remove(gvc)
        const isAlive = Effect.sync(() => {
          try {
            process.kill(pid, 0)
            return true
          } catch {
            return false
          }
        })
        yield* Effect.repeat(isAlive, { until: (alive) => !alive }).pipe(Effect.timeout("5 seconds"))
        expect((yield* cpln.get(web)).status).toBe(404)
      }),
    isSlow
  )

  it.live(
    "a replica that is stopped by command is followed by another",
    () =>
      Effect.gen(function* () {
        const cpln = yield* world()
        yield* made(cpln, service("exec sleep 600"))
        const [first] = yield* replicas(cpln, 1)
        const stop = yield* cpln.post(`${web}/-command`, {
          type: "stopReplica",
          spec: { replica: first, location }
        })
        const path = stop.headers.get("location") ?? ""
        expect(
          (yield* cpln.until(path, ({ json }) => json.lifecycleStage === "completed")).json.lifecycleStage
        ).toBe("completed")
        yield* cpln.until(`/replicas${web}`, ({ json }) => json.items.length === 1 && json.items[0] !== first)
        expect(yield* replicas(cpln, 1)).not.toEqual([first])
      }),
    isSlow
  )
})

describe("what a process can know of the platform", () => {
  it.live(
    "a volume set is a folder that outlives the replica, found by its path below the home, in words and values",
    () =>
      Effect.gen(function* () {
        const state = yield* folder
        const cpln = yield* world({ state })
        yield* cpln.post(`${gvc}/volumeset`, { name: "disk", spec: { fileSystemType: "ext4" } })
        const script =
          "echo $GREETING >> ~/.data/file; echo of $DATA: $(cat $DATA/file | tr '\\n' ' '); exec sleep 600"
        const stateful = (greeting: string) => {
          const volumes = [{ uri: "cpln://volumeset/disk", path: "/root/.data" }]
          const env = [
            { name: "DATA", value: "/root/.data" },
            { name: "GREETING", value: greeting }
          ]
          return service(script, { volumes, env }, { type: "stateful" })
        }
        yield* made(cpln, stateful("one"))
        yield* lines(cpln, ": one")
        expect(yield* replicas(cpln, 1)).toEqual(["web-0"])
        yield* made(cpln, stateful("two"))
        expect((yield* lines(cpln, ": one two")).join()).toContain(": one two")
        const kept = join(state, "volumes", "acme", "dev", "disk", `${location}-0`, "file")
        expect(readFileSync(kept, "utf8")).toBe("one\ntwo\n")
        yield* cpln.remove(`${gvc}/volumeset/disk`)
        expect(readdirSync(join(state, "volumes", "acme", "dev"))).toEqual([])
      }),
    isSlow
  )

  it.live(
    "an image without a command is the command that it is mapped to",
    () =>
      Effect.gen(function* () {
        const cpln = yield* world({ images: { "registry.example.com/tool": "sh -c" } })
        const container = { image: "registry.example.com/tool:1.2", command: undefined }
        yield* made(cpln, service("", { ...container, args: ["echo mapped to $0; exec sleep 600"] }))
        expect(yield* lines(cpln, "mapped")).toEqual([expect.stringMatching(/^mapped to .*sh$/u)])
      }),
    isSlow
  )

  it.live(
    "the internal name of another workload leads to the port it listens on",
    () =>
      Effect.gen(function* () {
        const cpln = yield* world()
        yield* cpln.put(`${gvc}/workload`, {
          name: "api",
          spec: {
            type: "standard",
            containers: [
              { name: "a", image: "x", command: "sleep", args: ["600"], ports: [{ number: 4200 }] }
            ]
          }
        })
        const env = [{ name: "URL", value: "http://api.dev.cpln.local/api http://none.dev.cpln.local" }]
        yield* made(cpln, service("echo $URL; exec sleep 600", { env }))
        expect(yield* lines(cpln, "http")).toEqual(["http://127.0.0.1:4200/api http://none.dev.cpln.local"])
      }),
    isSlow
  )
})

describe("a volume set", () => {
  it.live("that is not shared is for stateful workloads alone", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator({ mode: "virtual" })
      yield* cpln.post(`${org}/gvc`, { name: "dev" })
      yield* cpln.post(`${gvc}/volumeset`, { name: "own", spec: { fileSystemType: "ext4" } })
      yield* cpln.post(`${gvc}/volumeset`, { name: "common", spec: { fileSystemType: "shared" } })
      const status = (type: string, set: string) => {
        const volumes = [{ uri: `cpln://volumeset/${set}`, path: "/data" }]
        return Effect.map(
          cpln.put(`${gvc}/workload`, { ...service("", { volumes }, { type }), name: `${type}-${set}` }),
          (answer) => answer.status
        )
      }
      expect([yield* status("stateful", "own"), yield* status("standard", "own")]).toEqual([201, 400])
      expect([yield* status("stateful", "common"), yield* status("standard", "common")]).toEqual([201, 201])
    })
  )
})
