/**
 * Workloads and where they are deployed, and the org, GVC and locations that they stand in.
 *
 * Invariant: nothing here overwrites: a workload is created under a name that is free, or read.
 */
import { Context, type Effect } from "effect"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import type { Deployment, Gvc, Term, Workload, WorkloadRef } from "./schemas.ts"

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
    remove(workload: WorkloadRef): Effect.Effect<void, ApiError>
    /** Workloads of one GVC that match every term, all pages. */
    find(gvc: string, terms: ReadonlyArray<Term>): Effect.Effect<ReadonlyArray<Workload>, ApiError>
    /** One deployment per location of the GVC. */
    deployments(workload: WorkloadRef): Effect.Effect<Seen<ReadonlyArray<Deployment>>, ApiError>
  }
>()("agent/cpln/Workloads") {}
