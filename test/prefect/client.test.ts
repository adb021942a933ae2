import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Prefect } from "../../src/prefect/prefect.ts"
import { type Answer, type Asked, secret, serving } from "./server.ts"

const run = (id: string) => ({ id, name: "n", flow_id: "f", run_count: 0, tags: [] })
const ids = Array.from({ length: 450 }, (_, index) => `r-${String(index).padStart(3, "0")}`)

/** `rows` cut as the asked page says. */
const pageOf = (asked: Asked, rows: ReadonlyArray<unknown>) => {
  const { limit, offset } = asked.body as { limit: number; offset: number }
  return { status: 200, body: rows.slice(offset, offset + limit) }
}

const asking = (path: string, answer: Answer, otherwise: Answer = { status: 204 }) =>
  serving((asked) => (asked.path === path ? answer : otherwise))

describe("findRuns", () => {
  const find = Prefect.use((prefect) => prefect.findRuns({ pool: "cpln", stateTypes: ["RUNNING"] }))

  it.effect("reads every page, ordered by id, until one is not full", () => {
    const server = serving((asked) => pageOf(asked, ids.map(run)))
    return Effect.gen(function* () {
      const found = yield* find
      expect(found.value.map((each) => each.id)).toEqual(ids)
      expect(found.at).toBe(Date.parse("2026-11-24T12:00:00Z"))
      expect(server.asked.map((each) => each.body)).toEqual(
        [0, 200, 400].map((offset) => ({
          flow_runs: { state: { type: { any_: ["RUNNING"] } } },
          work_pools: { name: { any_: ["cpln"] } },
          limit: 200,
          offset,
          sort: "ID_DESC"
        }))
      )
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("gives a run once that moved onto a second page, as it was seen last", () => {
    const pages = [ids.slice(0, 200).map(run), [{ ...run("r-199"), state_type: "RUNNING" }, run("r-200")]]
    const server = serving(() => ({ status: 200, body: pages.shift() ?? [] }))
    return Effect.gen(function* () {
      const { value } = yield* find
      expect(value).toHaveLength(201)
      expect(value.find((each) => each.id === "r-199")?.state_type).toBe("RUNNING")
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("dates the list by its first page, so that no run looks older than it is", () => {
    let minute = 0
    const server = serving((asked) => ({
      ...pageOf(asked, ids.map(run)),
      headers: { date: `Tue, 24 Nov 2026 12:0${minute++}:00 GMT` }
    }))
    return Effect.gen(function* () {
      expect((yield* find).at).toBe(Date.parse("2026-11-24T12:00:00Z"))
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("ends with a server that ignores the offset", () => {
    const server = serving(() => ({ status: 200, body: ids.slice(0, 200).map(run) }))
    return Effect.gen(function* () {
      expect((yield* find).value).toHaveLength(200)
      expect(server.asked).toHaveLength(2)
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("tells no conditions from conditions that nothing meets", () => {
    const server = serving(() => ({ status: 200, body: [] }))
    return Effect.gen(function* () {
      const prefect = yield* Prefect
      yield* prefect.findRuns({})
      yield* prefect.findRuns({ ids: [], tags: ["a"], stateNames: ["Cancelling"], queues: ["q"] })
      yield* prefect.findRuns({ stateTypes: ["RUNNING"], alsoNamed: ["Cancelling"] })
      expect(server.asked.map((each) => each.body)).toEqual([
        { flow_runs: {}, limit: 200, offset: 0, sort: "ID_DESC" },
        {
          flow_runs: { id: { any_: [] }, tags: { all_: ["a"] }, state: { name: { any_: ["Cancelling"] } } },
          work_pool_queues: { name: { any_: ["q"] } },
          limit: 200,
          offset: 0,
          sort: "ID_DESC"
        },
        {
          flow_runs: {
            state: { operator: "or_", type: { any_: ["RUNNING"] }, name: { any_: ["Cancelling"] } }
          },
          limit: 200,
          offset: 0,
          sort: "ID_DESC"
        }
      ])
    }).pipe(Effect.provide(server.layer))
  })
})

describe("every request", () => {
  it.effect("carries the credential, the custom headers, the API version and our own name", () => {
    const server = serving(() => ({ status: 204 }), {
      apiKey: secret("key"),
      headers: { "x-proxy-token": secret("t0ken") }
    })
    return Effect.gen(function* () {
      yield* Prefect.use((prefect) => prefect.heartbeat("cpln", "w", 30))
      expect(server.asked[0]?.headers).toMatchObject({
        authorization: "Bearer key",
        "x-proxy-token": "t0ken",
        "x-prefect-api-version": "0.8.4"
      })
      expect(server.asked[0]?.headers["user-agent"]).not.toMatch(/^prefect\//u)
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("prefers the auth string to the key, and a custom header to both", () => {
    const both = { apiKey: secret("key"), authString: secret("admin:pässword") }
    const first = serving(() => ({ status: 204 }), both)
    const second = serving(() => ({ status: 204 }), { ...both, headers: { authorization: secret("Own") } })
    const beat = Prefect.use((prefect) => prefect.heartbeat("cpln", "w", 30))
    return Effect.gen(function* () {
      yield* Effect.provide(beat, first.layer)
      yield* Effect.provide(beat, second.layer)
      expect(first.asked[0]?.headers["authorization"]).toBe("Basic YWRtaW46cMOkc3N3b3Jk")
      expect(second.asked[0]?.headers["authorization"]).toBe("Own")
    })
  })

  it.effect("has its names percent-encoded and its texts clean", () => {
    const server = serving(() => ({ status: 200, body: [] }))
    return Effect.gen(function* () {
      const prefect = yield* Prefect
      yield* prefect.heartbeat("a b/#?ü\ud800", "w\u0000", 30)
      yield* prefect.writeLogs([{ runId: "r", name: "n", level: 20, message: "a\u0000\udc00b", at: 0 }])
      yield* prefect.changeRun("r", { infrastructurePid: "p\u0000", tags: ["t\ud800"] })
      yield* prefect.emitEvents([])
      expect(server.asked[0]?.path).toBe("/api/work_pools/a%20b%2F%23%3F%C3%BC%EF%BF%BD/workers/heartbeat")
      expect(JSON.stringify(server.asked.map((each) => each.body))).not.toMatch(/\\u0000|\\ud/u)
    }).pipe(Effect.provide(server.layer))
  })
})

describe("propose", () => {
  const accepted = {
    status: 201,
    body: { state: { type: "PENDING", timestamp: "2026-11-24T12:00:00Z" }, status: "ACCEPT", details: {} }
  }

  it.effect("sends an unanswered proposal once: whoever repeats it reads the run first", () => {
    const server = serving(() => ({ status: 503, body: {} }))
    return Effect.gen(function* () {
      const fiber = yield* Prefect.use((prefect) =>
        prefect.propose("r", { type: "PENDING", transitionId: "mine" })
      ).pipe(Effect.flip, Effect.forkChild)
      yield* TestClock.adjust("1 minute")
      expect((yield* Fiber.join(fiber))._tag).toBe("Unavailable")
      expect(server.asked).toHaveLength(1)
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("says when a SCHEDULED state is due", () => {
    const server = serving(() => accepted)
    return Effect.gen(function* () {
      yield* Prefect.use((prefect) =>
        prefect.propose("r", {
          type: "SCHEDULED",
          name: "AwaitingRetry",
          message: "handed back",
          transitionId: "t",
          scheduledTime: "2026-11-24T12:00:00Z"
        })
      )
      expect(server.asked[0]?.body).toEqual({
        force: false,
        state: {
          type: "SCHEDULED",
          name: "AwaitingRetry",
          message: "handed back",
          state_details: { transition_id: "t", scheduled_time: "2026-11-24T12:00:00Z" }
        }
      })
    }).pipe(Effect.provide(server.layer))
  })
})

describe("a 503", () => {
  it.effect('means "retry me", and is given up in the end', () => {
    const server = serving(() => ({ status: 503, body: { exception_message: "database is locked" } }))
    return Effect.gen(function* () {
      const fiber = yield* Prefect.use((prefect) => prefect.heartbeat("cpln", "w", 30)).pipe(
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("10 minutes")
      expect((yield* Fiber.join(fiber))._tag).toBe("Unavailable")
      expect(server.asked.length).toBeGreaterThan(2)
      expect(server.asked.length).toBeLessThan(20)
    }).pipe(Effect.provide(server.layer))
  })
})

describe("a 422", () => {
  it.effect("never shows what the server echoes of the request", () => {
    const echoes: ReadonlyArray<unknown> = [
      {
        exception_message: "Invalid request received.",
        exception_detail: [{ loc: ["body", "base_job_template"], msg: "hidden", input: "hidden" }],
        request_body: { token: "hidden" }
      },
      { detail: "Validation failed for field 'cpu'. Failure reason: 'hidden' is not of type 'integer'" }
    ]
    return Effect.gen(function* () {
      for (const body of echoes) {
        const server = serving(() => ({ status: 422, body }))
        const error = yield* Prefect.use((prefect) =>
          prefect.updateWorkPool("cpln", { baseJobTemplate: { token: "hidden" } })
        ).pipe(Effect.provide(server.layer), Effect.flip)
        expect(error._tag).toBe("Refused")
        expect(JSON.stringify(error) + error.message).not.toContain("hidden")
      }
    })
  })
})

describe("ensureQueue", () => {
  const ensure = Prefect.use((prefect) => prefect.ensureQueue("cpln", "hi there"))
  const queue = { status: 200, body: { id: "q", name: "hi there" } }

  it.effect("leaves a queue alone that is there", () => {
    const server = serving(() => queue)
    return Effect.gen(function* () {
      expect(yield* ensure).toBe(false)
      expect(server.asked.map((each) => each.path)).toEqual(["/api/work_pools/cpln/queues/hi%20there"])
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("creates one that is missing, and does not mind when another agent was faster", () => {
    const outcomes: Array<boolean> = []
    return Effect.gen(function* () {
      for (const status of [201, 409]) {
        const server = serving((asked) => (asked.method === "GET" ? { status: 404 } : { ...queue, status }))
        outcomes.push(yield* Effect.provide(ensure, server.layer))
        expect(server.asked[1]).toMatchObject({
          path: "/api/work_pools/cpln/queues",
          body: { name: "hi there" }
        })
      }
      expect(outcomes).toEqual([true, false])
    })
  })
})

describe("version", () => {
  const version = Prefect.use((prefect) => prefect.version)

  it.effect("is read once", () => {
    const server = asking("/api/admin/version", { status: 200, body: "3.8.8" })
    return Effect.gen(function* () {
      const prefect = yield* Prefect
      yield* Effect.all([prefect.version, prefect.version], { concurrency: "unbounded" })
      expect(yield* prefect.version).toEqual({ line: "3", text: "3.8.8" })
      expect(server.asked).toHaveLength(1)
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("is read again after an outage", () => {
    let up = true
    let text = "2.20.25"
    const server = serving((asked) =>
      asked.path.endsWith("/version") ? { status: 200, body: text } : { status: up ? 204 : 503 }
    )
    return Effect.gen(function* () {
      const prefect = yield* Prefect
      expect((yield* prefect.version).line).toBe("2")
      up = false
      const fiber = yield* Effect.forkChild(Effect.flip(prefect.heartbeat("cpln", "w", 30)))
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(fiber)
      text = "3.8.8"
      expect((yield* prefect.version).line).toBe("3")
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("tells what to look at when the answer is not a Prefect server's", () => {
    const answers: ReadonlyArray<Answer> = [
      { status: 404 },
      { status: 200, body: { version: 1 } },
      { status: 200, body: "<html>" }
    ]
    return Effect.gen(function* () {
      for (const answer of answers) {
        const server = serving(() => answer, { url: "http://prefect.test" })
        const error = yield* version.pipe(Effect.provide(server.layer), Effect.flip)
        expect(error._tag).toBe("Undecodable")
        expect(error.message).toContain("http://prefect.test/api")
      }
    })
  })
})

describe("what a server has not got", () => {
  it.effect("labels: are not sent before 3.1.2", () => {
    const sent = (version: string) => {
      const server = asking("/api/admin/version", { status: 200, body: version })
      return Prefect.use((prefect) => prefect.labelRun("r", { "prefect.worker.name": "w" })).pipe(
        Effect.provide(server.layer),
        Effect.map(() => server.asked.some((each) => each.method === "PATCH"))
      )
    }
    return Effect.gen(function* () {
      expect(yield* sent("2.20.25")).toBe(false)
      expect(yield* sent("3.1.1")).toBe(false)
      expect(yield* sent("3.1.2")).toBe(true)
      expect(yield* sent("3.10.0.dev1+5.gabcdef")).toBe(true)
      expect(yield* sent("4.0.0")).toBe(true)
    })
  })

  it.effect("events: are not sent again once a server said that they are off", () => {
    const server = asking("/api/admin/version", { status: 200, body: "2.20.25" }, { status: 404 })
    return Effect.gen(function* () {
      const prefect = yield* Prefect
      yield* prefect.emitEvents([{ id: "e" }])
      yield* prefect.emitEvents([{ id: "e" }])
      expect(server.asked.filter((each) => each.path === "/api/events")).toHaveLength(1)
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("a variable: is none, and one that is null is null", () => {
    const none = serving(() => ({ status: 404, body: { detail: "Variable not found." } }))
    const nothing = serving(() => ({ status: 200, body: { name: "v", value: null } }))
    const read = Prefect.use((prefect) => prefect.readVariable("v"))
    return Effect.gen(function* () {
      expect(yield* Effect.provide(read, none.layer)).toEqual(Option.none())
      expect(yield* Effect.provide(read, nothing.layer)).toEqual(Option.some(null))
    })
  })

  it.effect("a worker: that is gone needs no deleting", () => {
    const server = serving(() => ({ status: 404, body: { detail: "Worker not found." } }))
    return Effect.gen(function* () {
      yield* Prefect.use((prefect) => prefect.deleteWorker("cpln", "w"))
      expect(server.asked).toHaveLength(1)
    }).pipe(Effect.provide(server.layer))
  })
})

describe("writeLogs", () => {
  const record = (message: string, at = 0) => ({ runId: "r", name: "n", level: 20, message, at })
  const sizes = (asked: ReadonlyArray<Asked>) => asked.map((each) => (each.body as Array<unknown>).length)

  it.effect("sends batches of 500 lines in the caller's order", () => {
    const server = serving(() => ({ status: 201 }))
    return Effect.gen(function* () {
      yield* Prefect.use((prefect) => prefect.writeLogs(ids.concat(ids, ids).map((id, at) => record(id, at))))
      expect(sizes(server.asked)).toEqual([500, 500, 350])
      expect(server.asked.flatMap((each) => each.body)[501]).toEqual({
        name: "n",
        level: 20,
        message: "r-051",
        timestamp: "1970-01-01T00:00:00.501Z",
        flow_run_id: "r"
      })
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("keeps a batch below 1 MB, and sends nothing for nothing", () => {
    const server = serving(() => ({ status: 201 }))
    return Effect.gen(function* () {
      const prefect = yield* Prefect
      yield* prefect.writeLogs([])
      yield* prefect.writeLogs([1, 1, 1, 5, 1].map((share) => record("ü".repeat(share * 100_000))))
      expect(sizes(server.asked)).toEqual([3, 1, 1])
    }).pipe(Effect.provide(server.layer))
  })
})

describe("no request of this client", () => {
  it.effect("carries force as anything but false", () => {
    const server = serving((asked) => {
      if (asked.path.endsWith("/version")) return { status: 200, body: "3.8.8" }
      if (asked.path.endsWith("/set_state")) {
        return {
          status: 201,
          body: { state: { type: "X", timestamp: "2026-11-24T12:00:00Z" }, status: "ACCEPT" }
        }
      }
      return { status: asked.path.includes("/queues/") ? 404 : 200, body: [] }
    })
    const types = ["SCHEDULED", "PENDING", "COMPLETED", "CRASHED", "CANCELLED"] as const
    return Effect.gen(function* () {
      const prefect = yield* Prefect
      const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        ...types.map((type) => prefect.propose("r", { type, transitionId: "t" })),
        prefect.createWorkPool({ name: "p", type: "cpln", baseJobTemplate: {} }),
        prefect.updateWorkPool("p", { baseJobTemplate: {} }),
        prefect.ensureQueue("p", "q"),
        prefect.heartbeat("p", "w", 30),
        prefect.deleteWorker("p", "w"),
        prefect.workers("p"),
        prefect.scheduledRuns({ pool: "p", queues: [], before: 0, limit: 200 }),
        prefect.findRuns({}),
        prefect.changeRun("r", { infrastructurePid: "o:g:w:c", tags: [], empiricalPolicy: {} }),
        prefect.labelRun("r", { a: "b" }),
        prefect.renewLease("l", 300),
        prefect.writeLogs([record("line")]),
        prefect.emitEvents([{ id: "e" }])
      ]
      for (const call of calls) yield* Effect.ignore(call)

      const forced = (value: unknown): boolean =>
        typeof value === "object" &&
        value !== null &&
        Object.entries(value).some(([key, each]) => (key === "force" && each !== false) || forced(each))
      expect(server.asked.filter((each) => each.path.endsWith("/set_state"))).toHaveLength(types.length)
      expect(server.asked.filter((each) => each.path.includes("force") || forced(each.body))).toEqual([])
    }).pipe(Effect.provide(server.layer))
  })
})

const record = (message: string) => ({ runId: "r", name: "n", level: 20, message, at: 0 })
