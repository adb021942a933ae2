import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { WorkloadRef } from "../../src/cpln/schemas.ts"
import { makeWorkloads } from "../../src/cpln/workloads.ts"
import { answer, apiOf, inTurn, reset, type serving } from "../http/service.ts"

const workload = new WorkloadRef({ org: "acme", gvc: "dev", name: "p1-job" })
const path = "/org/acme/gvc/dev/workload/p1-job"

const workloadsOf = (service: ReturnType<typeof serving>) =>
  Effect.map(apiOf(service), (api) => makeWorkloads(api, "acme"))

const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(fiber)
  })

describe("a workload", () => {
  const body = { tags: { "prefect.io/work-pool-id": "p1" }, spec: { type: "cron" } }

  it.effect("is created in its GVC's collection, so that a name that is taken is a conflict", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(201, "Created", { location: path }))
      const workloads = yield* workloadsOf(service)
      yield* workloads.create(workload, body)
      expect(service.asked).toMatchObject([
        {
          method: "POST",
          path: "/org/acme/gvc/dev/workload",
          body: { kind: "workload", name: "p1-job", ...body }
        }
      ])
      const taken = yield* workloadsOf(inTurn(answer(409, { message: "exists" })))
      expect((yield* Effect.flip(taken.create(workload, body)))._tag).toBe("Conflict")
    })
  )

  it.effect("whose creation was answered too late is a conflict with itself, to be settled by a read", () =>
    Effect.gen(function* () {
      const service = inTurn(reset, answer(409))
      const workloads = yield* workloadsOf(service)
      expect((yield* inTime(Effect.flip(workloads.create(workload, body))))._tag).toBe("Conflict")
      expect(service.asked.every(({ method }) => method === "POST")).toBe(true)
    })
  )

  it.effect("is read with its tags and spec as they are, unknown fields and all", () =>
    Effect.gen(function* () {
      const stored = {
        kind: "workload",
        name: "p1-job",
        version: 3,
        tags: { "cpln/createdByPrefect": "true", odd: 5 },
        spec: { type: "cron", later: { deep: [1] } }
      }
      const workloads = yield* workloadsOf(inTurn(answer(200, stored)))
      expect(yield* workloads.read(workload)).toEqual({
        name: "p1-job",
        version: 3,
        tags: stored.tags,
        spec: stored.spec
      })
    })
  )

  it.effect("is gone after it was removed, also when it was gone before or the answer came too late", () =>
    Effect.gen(function* () {
      for (const service of [
        inTurn(answer(202)),
        inTurn(answer(204)),
        inTurn(answer(404)),
        inTurn(reset, answer(404))
      ]) {
        const workloads = yield* workloadsOf(service)
        yield* inTime(workloads.remove(workload))
        expect(service.asked[0]).toMatchObject({ method: "DELETE", path })
      }
      const busy = yield* workloadsOf(inTurn(answer(409)))
      expect((yield* Effect.flip(busy.remove(workload)))._tag).toBe("Conflict")
    })
  )
})

describe("a workload that is used no more", () => {
  it.effect("is marked in the version that was read, and the mark is taken away by null", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(200), answer(409))
      const workloads = yield* workloadsOf(service)
      const read = { name: "p1-job", version: 7 }
      yield* workloads.tag(workload, read, { "prefect.io/idle-since": "2026-03-01T12:00:00.000Z" })
      const changed = yield* Effect.flip(workloads.tag(workload, read, { "prefect.io/idle-since": null }))
      expect(changed._tag).toBe("Conflict")
      expect(service.asked).toMatchObject([
        {
          method: "PATCH",
          path,
          body: { version: 7, tags: { "prefect.io/idle-since": "2026-03-01T12:00:00.000Z" } }
        },
        { method: "PATCH", path, body: { version: 7, tags: { "prefect.io/idle-since": null } } }
      ])
    })
  )

  it.effect("is removed in one try: a repetition could meet one that was made anew", () =>
    Effect.gen(function* () {
      for (const lost of [reset, answer(503)]) {
        const service = inTurn(lost, answer(202))
        const workloads = yield* workloadsOf(service)
        expect((yield* inTime(Effect.flip(workloads.removeOnce(workload))))._tag).toBe("Unavailable")
        expect(service.asked).toHaveLength(1)
      }
      yield* (yield* workloadsOf(inTurn(answer(404)))).removeOnce(workload)
    })
  )
})

describe("finding workloads", () => {
  it.effect("asks the org for those of one GVC, by its bare name, and reads every page", () =>
    Effect.gen(function* () {
      const service = inTurn(
        answer(200, {
          kind: "queryresult",
          items: [{ name: "a" }],
          links: [{ rel: "next", href: "/org/acme/workload/-query?next=2" }]
        }),
        answer(200, { items: [{ name: "b", tags: {} }] })
      )
      const workloads = yield* workloadsOf(service)
      const term = { op: "=", tag: "prefect.io/work-pool-id", value: "p1" } as const
      expect((yield* workloads.find("dev", [term])).map(({ name }) => name)).toEqual(["a", "b"])
      expect(service.asked[0]).toMatchObject({
        method: "POST",
        path: "/org/acme/workload/-query",
        body: {
          kind: "workload",
          fetch: "items",
          spec: { match: "all", terms: [{ op: "=", rel: "gvc", value: "dev" }, term] }
        }
      })
    })
  )
})

describe("where a workload is deployed", () => {
  it.effect("is one deployment per location, with what its jobs came to", () =>
    Effect.gen(function* () {
      const execution = {
        name: "command-c-1",
        status: "failed",
        replica: "command-c-1-abcde",
        containers: { main: { name: "main", restarts: { exitCode: 137, reason: "OOMKilled" } } }
      }
      const service = inTurn(
        answer(
          200,
          {
            items: [
              { name: "aws-us-west-2", status: { ready: true, message: null, jobExecutions: [execution] } },
              { name: "gcp-us-east1", status: null }
            ],
            links: []
          },
          { date: "Tue, 24 Nov 2026 12:00:00 GMT" }
        )
      )
      const workloads = yield* workloadsOf(service)
      const seen = yield* workloads.deployments(workload)
      expect(service.asked[0]!.path).toBe(`${path}/deployment`)
      expect(seen.at).toBe(Date.parse("2026-11-24T12:00:00Z"))
      expect(seen.value[0]?.status?.jobExecutions).toEqual([execution])
      expect(seen.value[1]).toEqual({ name: "gcp-us-east1", status: null })
    })
  )
})

describe("the org, its GVCs and locations", () => {
  it.effect("are looked at by one read each", () =>
    Effect.gen(function* () {
      const gvc = { name: "dev", spec: { staticPlacement: { locationLinks: ["//location/aws-us-west-2"] } } }
      const service = inTurn(answer(200, gvc))
      const workloads = yield* workloadsOf(service)
      yield* workloads.readOrg
      expect(yield* workloads.readGvc("dev")).toEqual(gvc)
      yield* workloads.readLocation("aws-us-west-2")
      expect(service.asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
        "GET /org/acme",
        "GET /org/acme/gvc/dev",
        "GET /org/acme/location/aws-us-west-2"
      ])
    })
  )

  it.effect("that do not exist, or may not be read, are told apart", () =>
    Effect.gen(function* () {
      const workloads = yield* workloadsOf(inTurn(answer(404), answer(403), answer(401)))
      expect((yield* Effect.flip(workloads.readLocation("mars")))._tag).toBe("NotFound")
      expect((yield* Effect.flip(workloads.readGvc("dev")))._tag).toBe("Forbidden")
      expect((yield* Effect.flip(workloads.readOrg))._tag).toBe("Unauthorised")
    })
  )
})
