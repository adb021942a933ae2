/**
 * Workloads and where they are deployed, and the org, GVC and locations that they stand in.
 *
 * Invariant: nothing here overwrites what was not read: a workload is created under a name that is free, or replaced in
 * the version that was judged.
 */
import { Context, Duration, Effect } from "effect"
import { HttpClientRequest } from "effect/http"
import { type Api, json } from "../http/api.ts"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import { allPages, rowsOf } from "./paging.ts"
import { Deployment, Gvc, type Term, Workload, type WorkloadRef } from "./schemas.ts"

export class Workloads extends Context.Service<
  Workloads,
  {
    /** The cheapest authenticated call: does the credential open this org? */
    readOrg: Effect.Effect<void, ApiError>
    readGvc(gvc: string): Effect.Effect<Gvc, ApiError>
    readLocation(name: string): Effect.Effect<void, ApiError>
    read(workload: WorkloadRef): Effect.Effect<Workload, ApiError>
    /** `Conflict` when the name is taken. */
    create(
      workload: WorkloadRef,
      body: {
        readonly tags: Readonly<Record<string, string>>
        readonly spec: Readonly<Record<string, unknown>>
      }
    ): Effect.Effect<void, ApiError>
    /** `Conflict` when it is not in the version of `read` any more. */
    replace(
      workload: WorkloadRef,
      read: Workload,
      body: {
        readonly tags: Readonly<Record<string, unknown>>
        readonly spec: Readonly<Record<string, unknown>>
      }
    ): Effect.Effect<void, ApiError>
    /** Sets tags, or takes away those that are null. `Conflict` when it is not in the version of `read` any more. */
    tag(
      workload: WorkloadRef,
      read: Workload,
      tags: Readonly<Record<string, string | null>>
    ): Effect.Effect<void, ApiError>
    /** One that is gone already counts as removed: the first try may have been answered too late. */
    remove(workload: WorkloadRef): Effect.Effect<void, ApiError>
    /** As `remove`, in one try: one that others may make anew must not be removed by a repetition. */
    removeOnce(workload: WorkloadRef): Effect.Effect<void, ApiError>
    /** Workloads of one GVC that match every term, all pages; `between` is done before every page but the first. */
    find(
      gvc: string,
      terms: ReadonlyArray<Term>,
      between?: Effect.Effect<void>
    ): Effect.Effect<ReadonlyArray<Workload>, ApiError>
    /** One deployment per location of the GVC. */
    deployments(workload: WorkloadRef): Effect.Effect<Seen<ReadonlyArray<Deployment>>, ApiError>
  }
>()("agent/cpln/Workloads") {}

/** A removal whose turn comes later is not sent: what it rests on would be too old. */
const removalPatience = Duration.seconds(1)

export const makeWorkloads = (api: Api, org: string): Workloads["Service"] => {
  const orgPath = `/org/${encodeURIComponent(org)}`
  const get = (path: string) => api.repeatable(HttpClientRequest.get(path))

  const collectionOf = ({ path }: WorkloadRef) => path.slice(0, path.lastIndexOf("/"))

  const create = Effect.fn("Workloads.create")(function* (
    workload: WorkloadRef,
    body: {
      readonly tags: Readonly<Record<string, string>>
      readonly spec: Readonly<Record<string, unknown>>
    }
  ) {
    yield* HttpClientRequest.post(collectionOf(workload)).pipe(
      HttpClientRequest.bodyJsonUnsafe({ kind: "workload", name: workload.name, ...body }),
      // A repeated create that was made the first time is a `Conflict`, which the caller settles by reading.
      api.repeatable
    )
  })

  const find = Effect.fn("Workloads.find")(function* (
    gvc: string,
    terms: ReadonlyArray<Term>,
    between?: Effect.Effect<void>
  ) {
    const query = HttpClientRequest.post(`${orgPath}/workload/-query`).pipe(
      HttpClientRequest.bodyJsonUnsafe({
        kind: "workload",
        fetch: "items",
        spec: { match: "all", terms: [{ op: "=", rel: "gvc", value: gvc }, ...terms] }
      })
    )
    return (yield* allPages(api, query, rowsOf(Workload), (each) => each.name, between)).value
  })

  return {
    readOrg: Effect.asVoid(get(orgPath)),
    readGvc: Effect.fn("Workloads.readGvc")(function* (gvc: string) {
      return (yield* Effect.flatMap(get(`${orgPath}/gvc/${encodeURIComponent(gvc)}`), json(Gvc))).value
    }),
    readLocation: (name) => Effect.asVoid(get(`${orgPath}/location/${encodeURIComponent(name)}`)),
    read: Effect.fn("Workloads.read")(function* (workload: WorkloadRef) {
      return (yield* Effect.flatMap(get(workload.path), json(Workload))).value
    }),
    create,
    replace: Effect.fn("Workloads.replace")(function* (workload: WorkloadRef, { version }: Workload, body) {
      yield* HttpClientRequest.put(collectionOf(workload)).pipe(
        HttpClientRequest.bodyJsonUnsafe({
          kind: "workload",
          name: workload.name,
          ...(version == null ? {} : { version }),
          ...body
        }),
        api.repeatable
      )
    }),
    tag: Effect.fn("Workloads.tag")(function* (workload: WorkloadRef, { version }: Workload, tags) {
      yield* HttpClientRequest.patch(workload.path).pipe(
        HttpClientRequest.bodyJsonUnsafe({ ...(version == null ? {} : { version }), tags }),
        api.repeatable
      )
    }),
    removeOnce: Effect.fn("Workloads.removeOnce")(function* (workload: WorkloadRef) {
      yield* api
        .once(HttpClientRequest.make("DELETE")(workload.path), { patience: removalPatience })
        .pipe(Effect.catchTag("NotFound", () => Effect.void))
    }),
    remove: Effect.fn("Workloads.remove")(function* (workload: WorkloadRef) {
      yield* api
        .repeatable(HttpClientRequest.make("DELETE")(workload.path))
        .pipe(Effect.catchTag("NotFound", () => Effect.void))
    }),
    find,
    deployments: Effect.fn("Workloads.deployments")(function* (workload: WorkloadRef) {
      return yield* allPages(
        api,
        HttpClientRequest.get(`${workload.path}/deployment`),
        rowsOf(Deployment),
        (each) => each.name
      )
    })
  }
}
