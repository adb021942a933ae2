import { describe, expect, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { routeOf } from "../../src/http/metrics.ts"
import { answer, apiOf, get, inTurn, reset } from "./service.ts"

describe("a route", () => {
  const id = "3f1c1f5e-6f4b-4c1e-8f0a-2b1d9c3e4f5a"
  const routes: ReadonlyArray<readonly [string, string]> = [
    ["GET /org/acme", "/org/{name}"],
    [
      `GET /org/acme/gvc/dev/workload/w-1/-command/${id}`,
      "/org/{name}/gvc/{name}/workload/{name}/-command/{id}"
    ],
    [
      "GET /org/acme/gvc/dev/workload/w-1/-command/c-1",
      "/org/{name}/gvc/{name}/workload/{name}/-command/{id}"
    ],
    ["POST /org/acme/gvc/dev/workload/w-1/-command", "/org/{name}/gvc/{name}/workload/{name}/-command"],
    [
      "POST /org/acme/gvc/dev/workload/w-1/-command/-query",
      "/org/{name}/gvc/{name}/workload/{name}/-command/-query"
    ],
    ["POST /org/acme/workload/-query", "/org/{name}/workload/-query"],
    ["GET /org/acme/gvc/dev/workload/w-1/deployment", "/org/{name}/gvc/{name}/workload/{name}/deployment"],
    ["GET /org/acme/secret/db/-reveal", "/org/{name}/secret/{name}/-reveal"],
    ["GET /logs/org/acme/loki/api/v1/query_range", "/logs/org/{name}/loki/api/v1/query_range"],
    [`GET /flow_runs/${id}`, "/flow_runs/{id}"],
    [`POST /flow_runs/${id}/set_state`, "/flow_runs/{id}/set_state"],
    ["POST /flow_runs/filter", "/flow_runs/filter"],
    ["GET /work_pools/cpln", "/work_pools/{name}"],
    [`GET /work_pools/${id}`, "/work_pools/{name}"],
    ["POST /work_pools/filter", "/work_pools/filter"],
    ["POST /work_pools/filterpool/get_scheduled_flow_runs", "/work_pools/{name}/get_scheduled_flow_runs"],
    ["POST /work_pools/cpln/workers/heartbeat", "/work_pools/{name}/workers/heartbeat"],
    ["DELETE /work_pools/cpln/workers/heartbeat-1", "/work_pools/{name}/workers/{name}"],
    ["GET /work_pools/cpln/queues/default", "/work_pools/{name}/queues/{name}"],
    [
      "GET /block_types/slug/s3/block_documents/name/mine",
      "/block_types/slug/{name}/block_documents/name/{name}"
    ],
    [`POST /v2/concurrency_limits/leases/${id}/renew`, "/v2/concurrency_limits/leases/{id}/renew"]
  ]
  for (const [name, route] of routes) {
    it(`of ${name} is ${route}`, () => expect(routeOf(name)).toBe(route))
  }
})

it.effect("every try is counted once, by the class of its answer, or as having none", () =>
  Effect.gen(function* () {
    const service = inTurn(answer(200), answer(404), reset)
    const api = yield* apiOf(service)
    for (let i = 0; i < 3; i++) yield* Effect.ignore(api.once(get))
    const counted = (yield* Metric.snapshot)
      .filter(({ id }) => id === "agent_http_requests_total")
      .map(({ attributes, state }) => ({ ...attributes, ...state }))
    expect(counted).toEqual(
      ["2xx", "4xx", "none"].map((each) =>
        expect.objectContaining({
          service: "Control Plane",
          method: "GET",
          route: "/org/{name}",
          answer: each,
          count: 1
        })
      )
    )
  }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
)
