/**
 * Starts a job that is no flow run, and settles a start whose answer was lost.
 *
 * Invariant: a start is posted again only when a search by its own tag over the whole doubt horizon found nothing. So one
 * start is one job.
 */
import { Clock, Duration, Effect, Schema } from "effect"
import { Commands, type StartCommand } from "../cpln/commands.ts"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { at, type Place } from "../cpln/place.ts"
import { type ApiError, isTransient } from "../http/errors.ts"
import { CurrentLane } from "../http/lane.ts"
import { freshId } from "../runs/ids.ts"

/** Tells the command of one start from all others. */
export const startTag = "prefect.io/job-start"

/** `surely` is false when an answer was lost and no search could settle it. */
export class JobNotStarted extends Schema.TaggedError<JobNotStarted>()("JobNotStarted", {
  workload: Schema.String,
  reason: Schema.String,
  start: Schema.String,
  surely: Schema.Boolean
}) {
  override get message() {
    return this.surely
      ? `The job was not started in ${this.workload}: ${this.reason}`
      : `It is not known whether the job was started in ${this.workload}: ${this.reason}\n  Look for a command with the tag ${startTag}=${this.start} there before you start it again.`
  }
}

export interface Starting {
  readonly place: Place
  readonly what: StartCommand
  /** True once nobody wants the job any more: nothing is posted again then. */
  readonly unwanted: () => boolean
  /** Makes the workload again after a 404. */
  readonly ensureAgain: Effect.Effect<void, ApiError, ControlPlane>
  /** How long an unanswered start is looked for, in ms. */
  readonly doubtHorizon: number
  /** Nothing is posted later than this, in ms. */
  readonly within: number
  readonly tell: (text: string) => Effect.Effect<void>
}

type Outcome = { readonly id: string } | { readonly retry: string; readonly surely: boolean }

/** The id of the one command. To be run without interruption: what was posted must be known, to be stopped. */
export const startJob = Effect.fn("cplnJob.start")(
  function* (starting: Starting): Effect.fn.Return<string, JobNotStarted | ApiError, ControlPlane> {
    const start = yield* freshId
    const from = yield* Clock.currentTimeMillis
    let pause = 1_000
    for (;;) {
      const outcome = yield* post(starting, start)
      if ("id" in outcome) return outcome.id
      const late = (yield* Clock.currentTimeMillis) - from > starting.within
      if (late || !outcome.surely || starting.unwanted()) {
        const { retry: reason, surely } = outcome
        return yield* new JobNotStarted({ workload: starting.place.workload.path, reason, start, surely })
      }
      yield* starting.tell(`Not started yet, trying again: ${outcome.retry}`)
      yield* Effect.sleep(Duration.millis(pause))
      pause = Math.min(pause * 2, 15_000)
    }
  },
  Effect.provideService(CurrentLane, "launch")
)

const post = Effect.fnUntraced(function* (
  starting: Starting,
  start: string
): Effect.fn.Return<Outcome, ApiError, ControlPlane> {
  const { place, what } = starting
  const tagged = { ...what, tags: { ...what.tags, [startTag]: start } }
  return yield* Commands.use((commands) => commands.start(place.workload, tagged)).pipe(
    Effect.map((id): Outcome => ({ id })),
    Effect.catchTag("StartInDoubt", (doubt) =>
      starting.tell(doubt.message).pipe(
        Effect.andThen(search(starting, start)),
        Effect.map((found): Outcome =>
          found._tag === "Found"
            ? { id: found.id }
            : { retry: doubt.detail, surely: found._tag === "Nothing" }
        )
      )
    ),
    Effect.catchTag("NotFound", (gone) =>
      starting.ensureAgain.pipe(
        Effect.as<Outcome>({ retry: `the workload went away (${gone.message})`, surely: true })
      )
    ),
    Effect.catchIf(isTransient, (error) => Effect.succeed<Outcome>({ retry: error.message, surely: true })),
    at(place.access)
  )
})

type Search = { readonly _tag: "Found"; readonly id: string } | { readonly _tag: "Nothing" | "Unknown" }

/** "Nothing" needs a search that was answered after the horizon; without one in time it stays "Unknown". */
const search = Effect.fnUntraced(function* (
  { doubtHorizon, place, within }: Starting,
  start: string
): Effect.fn.Return<Search, never, Commands> {
  const commands = yield* Commands
  const from = yield* Clock.currentTimeMillis
  let pause = 500
  for (;;) {
    const waited = (yield* Clock.currentTimeMillis) - from
    const found = yield* commands.find(place.workload, [{ op: "=", tag: startTag, value: start }]).pipe(
      Effect.map(({ value }) => value[0]?.id ?? ("nothing" as const)),
      // A workload that is gone has no command of ours.
      Effect.catchTag("NotFound", () => Effect.succeed("nothing" as const)),
      Effect.catch(() => Effect.succeed("unknown" as const))
    )
    if (found === "nothing" && waited > doubtHorizon) return { _tag: "Nothing" }
    if (found !== "nothing" && found !== "unknown") return { _tag: "Found", id: found }
    if (found === "unknown" && waited > Math.max(within, doubtHorizon)) return { _tag: "Unknown" }
    yield* Effect.sleep(Duration.millis(pause))
    pause = Math.min(pause * 2, 8_000)
  }
})
