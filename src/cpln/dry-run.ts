/**
 * What the platform would make of a workload: it is asked with `dryRun=true`, which has no effect there.
 *
 * Invariant: no request of this file is sent without that word.
 */
import { Duration, Effect } from "effect"
import { HttpClientRequest } from "effect/http"
import { json, makeApi } from "../http/api.ts"
import type { Access } from "./control-plane.ts"
import { Workload, type WorkloadRef } from "./schemas.ts"
import { bareToken } from "./token.ts"

/** The workload as it would be stored; `Refused` says why it would not be. */
export const dryRun = Effect.fn("cpln.dryRun")(function* (
  access: Access,
  workload: WorkloadRef,
  body: {
    readonly tags: Readonly<Record<string, unknown>>
    readonly spec: Readonly<Record<string, unknown>>
  }
) {
  const token = bareToken(access.token)
  const api = yield* makeApi({
    service: "Control Plane",
    baseUrl: access.endpoint,
    ratePerSecond: 0,
    concurrency: 1,
    timeout: Duration.seconds(30),
    prepare: (request) => Effect.succeed(HttpClientRequest.bearerToken(request, token))
  })
  const collection = workload.path.slice(0, workload.path.lastIndexOf("/"))
  const request = HttpClientRequest.make("PUT")(`${collection}?dryRun=true`).pipe(
    HttpClientRequest.bodyJsonUnsafe({ kind: "workload", name: workload.name, ...body })
  )
  return (yield* Effect.flatMap(api.repeatable(request), json(Workload))).value
}, Effect.scoped)
