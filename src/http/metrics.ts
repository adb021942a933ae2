/**
 * Counts requests by service, method, route and class of answer.
 *
 * Invariant: a route has its names and ids replaced, so that the number of series does not grow with the work.
 */
import { Effect, Metric } from "effect"

const requests = Metric.counter("agent_http_requests_total", {
  description: "Requests to Prefect and Control Plane, by route and class of answer"
})

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/giu

/** "GET /org/acme/gvc/dev/workload/w/-command/1" to "/org/{name}/gvc/{name}/workload/{name}/-command/{id}". */
export const routeOf = (name: string): string =>
  name
    .replace(/^\S+ /u, "")
    .replace(/\/(org|gvc|workload|deployment|location|identity|secret|policy)\/(?!-)[^/]+/gu, "/$1/{name}")
    .replace(/\/-command\/(?!-)[^/]+/gu, "/-command/{id}")
    .replace(
      /\/(work_pools|queues|workers|name|slug|tag)\/(?!(?:filter|heartbeat)(?:\/|$))[^/]+/gu,
      "/$1/{name}"
    )
    .replace(uuid, "{id}")

/** `answer` is "2xx" to "5xx", or "none". */
export const count = (service: string, method: string, name: string, answer: string): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(requests, { service, method, route: routeOf(name), answer }), 1)
