/**
 * Commands are how Control Plane runs jobs: one `runCronWorkload` command is one run of a cron workload.
 *
 * Invariant: this module never posts a start twice. The service has no idempotency key, so when an answer is lost the
 * caller gets `StartInDoubt` and settles it by a query for the attempt.
 */
import { Context, type Effect, Schema } from "effect"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import { type Command, type Term, WorkloadRef } from "./schemas.ts"

/** What differs from the workload's own container of that name. `command` is the one-string entrypoint. */
export interface ContainerOverride {
  readonly name: string
  readonly image?: string
  readonly command?: string
  readonly args?: ReadonlyArray<string>
  readonly env?: ReadonlyArray<{ readonly name: string; readonly value: string }>
  readonly cpu?: string
  readonly memory?: string
}

export interface StartCommand {
  /** Short location name, one of the workload's. */
  readonly location: string
  readonly containerOverrides: ReadonlyArray<ContainerOverride>
  readonly activeDeadlineSeconds?: number
  readonly tags: Readonly<Record<string, string>>
}

/** The job may have been made all the same: timeout of 15 s, reset, 408, 5xx, or a success without an id. */
export class StartInDoubt extends Schema.TaggedError<StartInDoubt>()("StartInDoubt", {
  workload: WorkloadRef,
  detail: Schema.String
}) {
  override get message() {
    return `No clear answer to the start in ${this.workload.path} (${this.detail}). The job may run: looking for it by its attempt tag.`
  }
}

export class Commands extends Context.Service<
  Commands,
  {
    /** Starts one run and returns the command's id. Never repeated by itself; surely not made on any other error. */
    start(workload: WorkloadRef, what: StartCommand): Effect.Effect<string, StartInDoubt | ApiError>
    get(workload: WorkloadRef, id: string): Effect.Effect<Seen<Command>, ApiError>
    /** All commands that match every term, all pages, oldest first. 404 (`NotFound`) when the workload is gone. */
    find(
      workload: WorkloadRef,
      terms: ReadonlyArray<Term>
    ): Effect.Effect<Seen<ReadonlyArray<Command>>, ApiError>
    /** Asks for a stop of the replica. Answers "already exists" (400) and 404 are `"already"`: confirm by the command. */
    stopReplica(
      workload: WorkloadRef,
      what: { readonly replica: string; readonly location: string }
    ): Effect.Effect<"asked" | "already", ApiError>
  }
>()("agent/cpln/Commands") {}
