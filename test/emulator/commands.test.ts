/** Runs of cron workloads, from the command to the end, as a client sees them. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import {
  type Answer,
  type Client,
  cron,
  gvc,
  idOf,
  letReveal,
  location,
  org,
  runner,
  withRunner
} from "./harness.ts"

const commands = `${runner}/-command`
const stage = ({ json }: Answer): string => json.lifecycleStage
const isOver = (answer: Answer) => ["completed", "failed", "cancelled"].includes(stage(answer))
const isRunning = (answer: Answer) => stage(answer) === "running"

const execution = (cpln: Client, path: string) =>
  Effect.map(cpln.get(`${runner}/deployment/${location}`), ({ json }) =>
    json.status.jobExecutions.find(({ name }: { name: string }) => name === `command-${idOf(path)}`)
  )
const replicas = (cpln: Client, slash = "/") =>
  Effect.map(cpln.get(`/replicas${slash}${runner.slice(1)}`), ({ json }) => json.items)
const end = (cpln: Client, path: string, exitCode: number, container?: string) =>
  cpln.post(`/emulator/jobs/${idOf(path)}/end`, {
    exitCode,
    ...(container === undefined ? {} : { container })
  })
const stop = (cpln: Client, replica: string, at = location) =>
  cpln.post(commands, { type: "stopReplica", spec: { replica, location: at } })
const running = (cpln: Client, path: string) =>
  Effect.map(cpln.until(path, isRunning), ({ json }) => json.status.replica as string)

describe("starting", () => {
  it.live("answers 201 with the text Created, the command's path and a date", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ startDelay: 10_000 })
      const answer = yield* cpln.post(commands, {
        type: "runCronWorkload",
        tags: { "prefect.io/flow-run-id": "r1" },
        spec: { location, containerOverrides: [{ name: "main", image: "other", args: ["x"] }] }
      })
      expect([answer.status, answer.text]).toEqual([201, "Created"])
      expect(answer.headers.get("location")).toMatch(
        /^\/org\/acme\/gvc\/dev\/workload\/runner\/-command\/[0-9a-f-]{36}$/u
      )
      expect(Date.parse(answer.headers.get("date") ?? "")).toBeGreaterThan(0)
      const { json } = yield* cpln.get(answer.headers.get("location") ?? "")
      expect(json).toMatchObject({
        kind: "command",
        id: idOf(answer.headers.get("location") ?? ""),
        type: "runCronWorkload",
        lifecycleStage: "pending",
        tags: { "prefect.io/flow-run-id": "r1" },
        spec: { location, containerOverrides: [{ name: "main", image: "other", args: ["x"] }] },
        status: { minimumWorkloadVersion: 1 }
      })
      expect(json.status.replica).toBeUndefined()
    })
  )

  it.live("a suspended workload runs on demand, and Forbid does not hold a second run back", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const both = [yield* cpln.start("runner"), yield* cpln.start("runner", { containerOverrides: [] })]
      for (const path of both) expect(stage(yield* cpln.until(path, isRunning))).toBe("running")
      expect(yield* replicas(cpln)).toHaveLength(2)
    })
  )

  const spec = (change: Record<string, unknown>) => ({
    type: "runCronWorkload",
    spec: { location, ...change }
  })
  const override = (change: Record<string, unknown>) =>
    spec({ containerOverrides: [{ name: "main", ...change }] })
  const refused: ReadonlyArray<readonly [body: unknown, message: RegExp]> = [
    [{}, /"type" must be one of/u],
    [{ type: "echo", spec: {} }, /"type" must be one of/u],
    [{ type: "runCronWorkload" }, /"spec" is required/u],
    [{ type: "runCronWorkload", spec: {} }, /"spec\.location" is required/u],
    [spec({ location: "aws-eu-central-1" }), /not a location of this workload/u],
    [spec({ location: `/org/acme/location/${location}` }), /not a location of this workload/u],
    [spec({ volume: 1 }), /"spec\.volume" is not allowed/u],
    [spec({ activeDeadlineSeconds: 0 }), /between 1 and 86400/u],
    [spec({ containerOverrides: {} }), /must be an array/u],
    [spec({ containerOverrides: ["main"] }), /must be an object/u],
    [spec({ containerOverrides: [{ name: "other" }] }), /not a container of this workload/u],
    [spec({ containerOverrides: [{ image: "x" }] }), /not a container of this workload/u],
    [override({ workingDir: "/" }), /workingDir" is not allowed/u],
    [override({ image: "" }), /non-empty/u],
    [override({ command: ["sh"] }), /command" must be a string/u],
    [override({ command: "x".repeat(257) }), /256/u],
    [override({ args: [1] }), /array of strings/u],
    [override({ cpu: "10m" }), /at least 25m/u],
    [override({ memory: "512Mi" }), /needs at least 64m cpu/u],
    [override({ env: [{ name: "CPLN_ORG", value: "x" }] }), /reserved for system use/u],
    [override({ env: [{ name: "A", value: "x".repeat(4097) }] }), /4096/u],
    [{ ...spec({}), tags: { a: {} } }, /tags\.a/u],
    [{ type: "stopReplica", spec: { location } }, /"spec\.replica" is required/u]
  ]
  it.live("what cannot be run is a 400 that says why, and leaves no command", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      for (const [body, message] of refused) {
        const answer = yield* cpln.post(commands, body)
        expect([body, answer.status]).toEqual([body, 400])
        expect(answer.json.message).toMatch(message)
      }
      expect((yield* cpln.get(commands)).json.items).toEqual([])
    })
  )

  it.live("only cron workloads run", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.post(`${gvc}/workload`, {
        name: "server",
        spec: { type: "standard", containers: [{ name: "main", image: "x", ports: [{ number: 8080 }] }] }
      })
      const answer = yield* cpln.post(`${gvc}/workload/server/-command`, spec({}))
      expect([answer.status, answer.json.message]).toEqual([400, expect.stringContaining("cron")])
    })
  )
})

describe("a run", () => {
  it.live(
    "goes from pending to running with a replica that bears the command's id, and is listed while it lives",
    () =>
      Effect.gen(function* () {
        const cpln = yield* withRunner({ startDelay: 1000 })
        const path = yield* cpln.start("runner")
        expect(yield* execution(cpln, path)).toMatchObject({ status: "pending", workloadVersion: 1 })
        expect(yield* replicas(cpln)).toEqual([])
        const replica = yield* running(cpln, path)
        expect(replica).toMatch(new RegExp(`^command-${idOf(path)}-[a-z0-9]{5}$`, "u"))
        expect(yield* execution(cpln, path)).toMatchObject({
          status: "active",
          replica,
          startTime: expect.any(String)
        })
        expect((yield* execution(cpln, path)).completionTime).toBeUndefined()
        expect(yield* replicas(cpln)).toEqual([replica])
        expect(yield* replicas(cpln, "//")).toEqual([replica])
      })
  )

  it.live("that exits with 0 is completed and successful, and leaves the replica list", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const path = yield* cpln.start("runner")
      yield* running(cpln, path)
      yield* end(cpln, path, 0)
      expect(stage(yield* cpln.get(path))).toBe("completed")
      expect(yield* execution(cpln, path)).toMatchObject({
        status: "successful",
        completionTime: expect.any(String),
        conditions: [{ type: "Complete", status: "True" }]
      })
      expect(yield* replicas(cpln)).toEqual([])
    })
  )

  it.live("that exits with another code is failed, with code, reason and message of its container", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const path = yield* cpln.start("runner")
      yield* running(cpln, path)
      yield* end(cpln, path, 3)
      expect(stage(yield* cpln.get(path))).toBe("failed")
      expect(yield* execution(cpln, path)).toMatchObject({
        status: "failed",
        conditions: [{ type: "Failed", status: "True" }],
        containers: {
          main: {
            ready: false,
            message: expect.stringContaining("3"),
            restarts: { exitCode: 3, reason: "Error" }
          }
        }
      })
    })
  )

  it.live("of several containers ends with the last one, and fails when any did", () =>
    Effect.gen(function* () {
      const containers = ["main", "side"].map((name) => ({ name, image: "x" }))
      const cpln = yield* withRunner({}, { containers })
      const path = yield* cpln.start("runner")
      yield* running(cpln, path)
      yield* end(cpln, path, 7, "main")
      expect(stage(yield* cpln.get(path))).toBe("running")
      expect((yield* execution(cpln, path)).containers).toMatchObject({
        main: { ready: false, restarts: { exitCode: 7 } },
        side: { ready: true }
      })
      yield* end(cpln, path, 0, "side")
      expect(stage(yield* cpln.get(path))).toBe("failed")
    })
  )

  it.live("lives as long as it was told", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ runFor: 100 })
      const path = yield* cpln.start("runner")
      const { json } = yield* cpln.until(path, isOver)
      expect(json.lifecycleStage).toBe("completed")
      expect(Date.parse(json.lastModified) - Date.parse(json.created)).toBeGreaterThanOrEqual(100)
    })
  )

  it.live(
    "past its deadline is failed, whatever its exit code; the command's deadline wins over the job's",
    () =>
      Effect.gen(function* () {
        const job = { schedule: "* * * * *", activeDeadlineSeconds: 3600 }
        const cpln = yield* withRunner({}, { job })
        const path = yield* cpln.start("runner", { activeDeadlineSeconds: 1 })
        const { json } = yield* cpln.until(path, isOver)
        expect(json.lifecycleStage).toBe("failed")
        expect(yield* execution(cpln, path)).toMatchObject({
          status: "failed",
          message: expect.stringContaining("deadline"),
          conditions: [{ reason: "DeadlineExceeded" }]
        })
      })
  )

  it.live(
    "that waits for a secret stays pending without a replica, and without a word, until it is there",
    () =>
      Effect.gen(function* () {
        const cpln = yield* withRunner()
        yield* letReveal(cpln)
        const env = [{ name: "A", value: "cpln://secret/later" }]
        const path = yield* cpln.start("runner", { containerOverrides: [{ name: "main", env }] })
        yield* Effect.sleep("200 millis")
        expect(yield* execution(cpln, path)).toMatchObject({
          status: "pending",
          message: "",
          containers: { main: { message: "" } }
        })
        expect(yield* replicas(cpln)).toEqual([])
        yield* cpln.post(`${org}/secret`, { name: "later", type: "opaque", data: { payload: "x" } })
        yield* running(cpln, path)
      })
  )

  it.live("keeps its end in the history up to the limit of the job; its command stays", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(
        { runFor: 1, startDelay: 0 },
        { job: { schedule: "* * * * *", historyLimit: 2 } }
      )
      const paths: Array<string> = []
      for (let run = 0; run < 4; run++) {
        const path = yield* cpln.start("runner")
        yield* cpln.until(path, isOver)
        paths.push(path)
      }
      const { json } = yield* cpln.get(`${runner}/deployment/${location}`)
      expect(json.status.jobExecutions.map(({ name }: { name: string }) => name)).toEqual(
        paths.slice(2).map((path) => `command-${idOf(path)}`)
      )
      for (const path of paths) expect((yield* cpln.get(path)).status).toBe(200)
    })
  )

  it.live("goes with its workload: 202, then all of it is a 404", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const path = yield* cpln.start("runner")
      yield* running(cpln, path)
      expect((yield* cpln.remove(runner)).status).toBe(202)
      expect((yield* cpln.get(path)).status).toBe(404)
      expect((yield* cpln.get("/emulator/jobs")).json.items).toEqual([])
      yield* cpln.post(`${gvc}/workload`, cron("runner"))
      expect((yield* cpln.get(path)).status).toBe(404)
      expect((yield* cpln.get(commands)).json.items).toEqual([])
    })
  )
})

describe("stopping", () => {
  for (const stopStage of ["failed", "cancelled", "completed"] as const) {
    it.live(`a stopped run ends ${stopStage} when that is what the emulator was told`, () =>
      Effect.gen(function* () {
        const cpln = yield* withRunner({ stopStage })
        const path = yield* cpln.start("runner")
        const answer = yield* stop(cpln, yield* running(cpln, path))
        expect([answer.status, answer.text]).toEqual([201, "Created"])
        expect(stage(yield* cpln.until(path, isOver))).toBe(stopStage)
        const own = yield* cpln.get(answer.headers.get("location") ?? "")
        expect(own.json).toMatchObject({ type: "stopReplica", lifecycleStage: "completed" })
      })
    )
  }

  it.live("a second stop while one is open is a 400 that says already exists", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ preStop: 1500, grace: 3000 })
      const path = yield* cpln.start("runner")
      const replica = yield* running(cpln, path)
      expect((yield* stop(cpln, replica)).status).toBe(201)
      const second = yield* stop(cpln, replica)
      expect([second.status, second.json.message]).toEqual([400, expect.stringContaining("already exists")])
    })
  )

  it.live("SIGTERM comes after the pause before a stop, not at once", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ preStop: 1500, grace: 4000 })
      const path = yield* cpln.start("runner")
      const replica = yield* running(cpln, path)
      yield* stop(cpln, replica)
      yield* Effect.sleep("150 millis")
      expect(stage(yield* cpln.get(path))).toBe("running")
      const { json } = yield* cpln.until(path, isOver)
      expect(json.lifecycleStage).toBe("failed")
      expect((yield* execution(cpln, path)).containers.main.restarts.exitCode).toBe(143)
    })
  )

  it.live("the stop of a replica that is over, unknown or elsewhere is taken and fails by itself", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.patch(gvc, {
        spec: { staticPlacement: { locationLinks: [`//location/${location}`, "//location/gcp-us-east1"] } }
      })
      const path = yield* cpln.start("runner")
      const replica = yield* running(cpln, path)
      const elsewhere = yield* stop(cpln, replica, "gcp-us-east1")
      expect(stage(yield* cpln.until(elsewhere.headers.get("location") ?? "", isOver))).toBe("failed")
      expect(stage(yield* cpln.get(path))).toBe("running")
      yield* end(cpln, path, 0)
      for (const gone of [replica, replica, "command-nobody-abcde"]) {
        const answer = yield* stop(cpln, gone)
        expect(answer.status).toBe(201)
        expect(stage(yield* cpln.until(answer.headers.get("location") ?? "", isOver))).toBe("failed")
      }
      expect(stage(yield* cpln.get(path))).toBe("completed")
    })
  )

  it.live("the grace of the workload wins over that of the emulator", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(
        { preStop: undefined, grace: 60_000 },
        { rolloutOptions: { terminationGracePeriodSeconds: 0 } }
      )
      const path = yield* cpln.start("runner")
      yield* stop(cpln, yield* running(cpln, path))
      expect(stage(yield* cpln.until(path, isOver))).toBe("failed")
    })
  )
})

describe("finding commands", () => {
  const started = Effect.fnUntraced(function* (count: number, pageSize: number) {
    const cpln = yield* withRunner({ pageSize })
    const paths: Array<string> = []
    for (let run = 0; run < count; run++) {
      paths.push(yield* cpln.start("runner", {}, { number: run, "prefect.io/flow-run-id": `run-${run}` }))
    }
    yield* cpln.until(paths.at(-1)!, isRunning)
    return { cpln, paths }
  })
  const ids = (pages: ReadonlyArray<Answer>) =>
    pages.flatMap(({ json }) => json.items.map(({ id }: { id: string }) => id))

  it.live(
    "the list holds all types in order of creation, over pages, also when runs come and go meanwhile",
    () =>
      Effect.gen(function* () {
        const { cpln, paths } = yield* started(5, 2)
        const first = yield* cpln.get(commands)
        yield* end(cpln, paths[1]!, 0)
        yield* stop(cpln, (yield* cpln.get(paths[2]!)).json.status.replica)
        const pages = yield* cpln.pages(first)
        expect(ids(pages).slice(0, 5)).toEqual(paths.map(idOf))
        expect(pages.flatMap(({ json }) => json.items).at(-1).type).toBe("stopReplica")
        expect(new Set(ids(pages)).size).toBe(6)
      })
  )

  const live = [
    { op: "=", property: "type", value: "runCronWorkload" },
    { op: "!=", property: "lifecycleStage", value: "completed" },
    { op: "!=", property: "lifecycleStage", value: "failed" },
    { op: "!=", property: "lifecycleStage", value: "cancelled" },
    { op: "exists", tag: "prefect.io/flow-run-id" }
  ]
  it.live("a query for what is not over finds just that, also over pages from which runs vanish", () =>
    Effect.gen(function* () {
      const { cpln, paths } = yield* started(6, 2)
      yield* end(cpln, paths[0]!, 0)
      const first = yield* cpln.post(`${commands}/-query`, { spec: { match: "all", terms: live } })
      expect(ids([first])).toEqual(paths.slice(1, 3).map(idOf))
      yield* end(cpln, paths[2]!, 0)
      yield* end(cpln, paths[4]!, 1)
      const pages = yield* cpln.pages(first)
      expect(ids(pages)).toEqual([1, 2, 3, 5].map((index) => idOf(paths[index]!)))
      expect(pages.every(({ json }) => json.kind === "queryresult" && json.itemKind === "command")).toBe(true)
    })
  )

  it.live("queries find by stage, tag, id and field of the spec, sorted as asked", () =>
    Effect.gen(function* () {
      const { cpln, paths } = yield* started(4, 50)
      yield* end(cpln, paths[0]!, 0)
      yield* end(cpln, paths[1]!, 1)
      const asked: ReadonlyArray<readonly [Record<string, unknown>, ReadonlyArray<number>]> = [
        [{ terms: [{ property: "lifecycleStage", value: "completed" }] }, [0]],
        [{ terms: [{ property: "lifecycleStage", value: "running" }] }, [2, 3]],
        [
          {
            match: "any",
            terms: ["failed", "running"].map((value) => ({ op: "=", property: "lifecycleStage", value }))
          },
          [1, 2, 3]
        ],
        [{ match: "none", terms: [{ property: "lifecycleStage", value: "running" }] }, [0, 1]],
        [{ terms: [{ tag: "prefect.io/flow-run-id", value: "run-1" }] }, [1]],
        [{ terms: [{ tag: "number", op: ">=", value: 2 }] }, [2, 3]],
        [{ terms: [{ property: "id", value: idOf(paths[3]!) }] }, [3]],
        [{ terms: [{ property: "spec.location", value: location }] }, [0, 1, 2, 3]],
        [{ terms: [{ property: "type", value: "stopReplica" }] }, []],
        [{ sort: { by: "created", order: "desc" } }, [3, 2, 1, 0]]
      ]
      for (const [spec, indexes] of asked) {
        const answer = yield* cpln.post(`${commands}/-query`, { spec })
        expect([spec, ids([answer])]).toEqual([spec, indexes.map((index) => idOf(paths[index]!))])
      }
    })
  )

  it.live("a command is found only under its own workload", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.post(`${gvc}/workload`, cron("other"))
      const path = yield* cpln.start("runner")
      expect((yield* cpln.get(path.replace("runner", "other"))).status).toBe(404)
    })
  )

  it.live("finished commands beyond the bound are forgotten, oldest first; live ones never", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner({ keepCommands: 2 })
      const paths: Array<string> = []
      for (let run = 0; run < 5; run++) paths.push(yield* cpln.start("runner"))
      for (const path of paths) yield* running(cpln, path)
      for (const path of paths.slice(1)) yield* end(cpln, path, 0)
      expect(ids([yield* cpln.get(commands)])).toEqual([0, 3, 4].map((index) => idOf(paths[index]!)))
    })
  )
})

describe("playing virtual jobs", () => {
  it.live("live jobs are listed with their tags, and one is ended with an exit code", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const path = yield* cpln.start("runner", {}, { "prefect.io/flow-run-id": "r1" })
      yield* cpln.start("runner")
      const replica = yield* running(cpln, path)
      const { json } = yield* cpln.get("/emulator/jobs?running&tag=prefect.io/flow-run-id")
      expect(json.items).toEqual([
        {
          id: idOf(path),
          link: path,
          tags: { "prefect.io/flow-run-id": "r1" },
          replica,
          lifecycleStage: "running"
        }
      ])
      expect((yield* cpln.get("/emulator/jobs")).json.items).toHaveLength(2)
      expect((yield* end(cpln, path, 256)).status).toBe(400)
      expect((yield* end(cpln, path, 4)).status).toBe(200)
      expect((yield* end(cpln, path, 4)).status).toBe(404)
      expect(stage(yield* cpln.get(path))).toBe("failed")
    })
  )
})
