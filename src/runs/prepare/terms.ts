/**
 * What the definition of a run says of its job's whole life, for jobs that were started before this process was: after a
 * restart that is asked for all of them at once.
 *
 * Invariant: runs of one deployment with the same job variables are one answer, because nothing else of a run can change
 * it. It is kept as shortly as what it is made from; a failure is never kept.
 */
import { Cache, Context, Duration, Effect, Layer, Option } from "effect"
import type { ApiError } from "../../http/errors.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { RunsConfig } from "../config.ts"
import { deadlineOf, definitionOf } from "./definition.ts"
import type { Preparation } from "./preparation.ts"

export interface JobTerms {
  /** `job_watch_timeout_seconds` in ms; null for none, and for a run that could not be launched here any more. */
  readonly deadline: number | null
  /** Undefined for a run that could not be launched here any more. */
  readonly streamOutput: boolean | undefined
}

const noTerms: JobTerms = { deadline: null, streamOutput: undefined }

export class Terms extends Context.Service<
  Terms,
  {
    of(run: FlowRun): Effect.Effect<JobTerms, ApiError, Preparation | RunsConfig>
  }
>()("agent/runs/Terms") {
  static readonly layer = Layer.effect(
    Terms,
    Effect.gen(function* () {
      const cache = yield* Cache.make<string, JobTerms>({
        capacity: 2_000,
        timeToLive: Duration.seconds(20),
        lookup: () => Effect.succeed(noTerms)
      })
      return Terms.of({
        of: Effect.fnUntraced(function* (run) {
          const key = JSON.stringify([run.flow_id, run.deployment_id, run.job_variables])
          const known = yield* Cache.getOption(cache, key)
          if (Option.isSome(known)) return known.value
          const terms = yield* read(run)
          yield* Cache.set(cache, key, terms)
          return terms
        })
      })
    })
  )
}

const read = (run: FlowRun): Effect.Effect<JobTerms, ApiError, Preparation | RunsConfig> =>
  definitionOf(run).pipe(
    Effect.map((definition) => ({
      deadline: deadlineOf(definition) ?? null,
      streamOutput: definition.streamOutput
    })),
    Effect.catchTag(["RunRefused", "OtherInfrastructure"], () => Effect.succeed(noTerms))
  )
