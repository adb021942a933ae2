/**
 * Commands are how Control Plane runs jobs: one `runCronWorkload` command is one run of a cron workload.
 *
 * Invariant: this module never posts a start twice. The service has no idempotency key, so when an answer is lost the
 * caller gets `StartInDoubt` and settles it by a query for the attempt.
 */
import { Context, Duration, Effect, Schema } from "effect"
import { HttpClientRequest } from "effect/http"
import { type Api, json } from "../http/api.ts"
import type { ApiError } from "../http/errors.ts"
import { type IsUnchanged, keptRows } from "../http/rows.ts"
import type { Seen } from "../http/seen.ts"
import { allPages, firstPage, rowsOf } from "./paging.ts"
import { Command, type Term, WorkloadRef } from "./schemas.ts"

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
    /**
     * Starts one run and returns the command's id. Never repeated by itself; surely not made on any other error. Not sent
     * (`Unavailable`) when its turn among the requests does not come within `patience`, 5 s unless told.
     */
    start(
      workload: WorkloadRef,
      what: StartCommand,
      patience?: Duration.Duration
    ): Effect.Effect<string, StartInDoubt | ApiError>
    get(workload: WorkloadRef, id: string): Effect.Effect<Seen<Command>, ApiError>
    /** All commands that match every term, all pages, oldest first. 404 (`NotFound`) when the workload is gone. */
    find(
      workload: WorkloadRef,
      terms: ReadonlyArray<Term>
    ): Effect.Effect<Seen<ReadonlyArray<Command>>, ApiError>
    /** The newest commands by their creation, of any type and stage, one page; `more` when there are older ones. */
    latest(
      workload: WorkloadRef
    ): Effect.Effect<Seen<{ readonly items: ReadonlyArray<Command>; readonly more: boolean }>, ApiError>
    /**
     * Asks for a stop of the replica. `"already"`: one is under way ("already exists", 400 or 409), or the replica or
     * the workload is gone (404); either is to be confirmed by the command.
     */
    stopReplica(
      workload: WorkloadRef,
      what: { readonly replica: string; readonly location: string }
    ): Effect.Effect<"asked" | "already", ApiError>
  }
>()("agent/cpln/Commands") {}

/** An answer to a start that takes longer than this, from its turn on, is a doubt. */
const startTimeout = Duration.seconds(15)
/** A start that waits longer for its turn is not sent: what proved that it is still wanted would be too old. */
const startPatience = Duration.seconds(5)

/** Every change of a command is a new version of it. */
const isUnchanged: IsUnchanged<Command> = (row, command) =>
  typeof row["version"] === "number" &&
  row["version"] === command.version &&
  row["lastModified"] === command.lastModified &&
  row["lifecycleStage"] === command.lifecycleStage

export const makeCommands = (api: Api): Commands["Service"] => {
  const live = keptRows(Command, isUnchanged)
  const inDoubt = (workload: WorkloadRef, detail: string) => new StartInDoubt({ workload, detail })

  const start = Effect.fn("Commands.start")(function* (
    workload: WorkloadRef,
    what: StartCommand,
    patience: Duration.Duration = startPatience
  ) {
    const { tags, ...spec } = what
    const request = HttpClientRequest.post(`${workload.path}/-command`).pipe(
      HttpClientRequest.bodyJsonUnsafe({ type: "runCronWorkload", tags, spec })
    )
    const answer = yield* api
      .once(request, { timeout: startTimeout, patience })
      .pipe(
        Effect.mapError((error) =>
          error._tag === "Unavailable" && error.mayHaveHappened ? inDoubt(workload, error.detail) : error
        )
      )
    return (
      idFrom(answer.headers["location"]) ??
      (yield* inDoubt(workload, `status ${answer.status} without the command's id`))
    )
  })

  const get = Effect.fn("Commands.get")(function* (workload: WorkloadRef, id: string) {
    return yield* api
      .repeatable(HttpClientRequest.get(`${workload.path}/-command/${encodeURIComponent(id)}`))
      .pipe(Effect.flatMap(json(Command)))
  })

  const find = Effect.fn("Commands.find")(function* (workload: WorkloadRef, terms: ReadonlyArray<Term>) {
    const query = HttpClientRequest.post(`${workload.path}/-command/-query`).pipe(
      HttpClientRequest.bodyJsonUnsafe({ kind: "command", fetch: "items", spec: { match: "all", terms } })
    )
    const found = yield* allPages(api, query, live, (each) => each.id)
    return { value: [...found.value].sort(oldestFirst), at: found.at }
  })

  const latest = Effect.fn("Commands.latest")(function* (workload: WorkloadRef) {
    const query = HttpClientRequest.post(`${workload.path}/-command/-query`).pipe(
      HttpClientRequest.bodyJsonUnsafe({
        kind: "command",
        fetch: "items",
        spec: { match: "all", terms: [], sort: { by: "created", order: "desc" } }
      })
    )
    return yield* firstPage(api, query, rowsOf(Command))
  })

  const stopReplica = Effect.fn("Commands.stopReplica")(function* (
    workload: WorkloadRef,
    spec: { readonly replica: string; readonly location: string }
  ) {
    return yield* HttpClientRequest.post(`${workload.path}/-command`).pipe(
      HttpClientRequest.bodyJsonUnsafe({ type: "stopReplica", spec }),
      api.repeatable,
      Effect.as("asked" as const),
      // A repetition is harmless: a replica's name is never used again, and a second stop of it is refused.
      Effect.catchTag(["NotFound", "Conflict"], () => Effect.succeed("already" as const)),
      Effect.catchTag("Refused", (error) =>
        /already exists/iu.test(error.detail) ? Effect.succeed("already" as const) : Effect.fail(error)
      )
    )
  })

  return { start, get, find, latest, stopReplica }
}

/** The last segment of a `Location`, absolute or not; a segment with a dash in front is no id but an operation. */
const idFrom = (location: string | undefined): string | undefined => {
  const id = location
    ?.split(/[?#]/u, 1)[0]
    ?.split("/")
    .findLast((part) => part !== "")
  return id === undefined || !/^[\w.~][\w.~-]*$/u.test(id) ? undefined : id
}

const oldestFirst = (a: Command, b: Command): number =>
  a.created === b.created ? (a.id < b.id ? -1 : 1) : a.created < b.created ? -1 : 1
