/**
 * What launching a run would come to, in words, without doing any of it.
 *
 * Invariant: reads only, and the same ones that a launch makes before its claim.
 */
import { Effect } from "effect"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { at } from "../../cpln/place.ts"
import { Workloads } from "../../cpln/workloads.ts"
import type { ApiError } from "../../http/errors.ts"
import type { About } from "../../observe/say.ts"
import type { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { RunsConfig } from "../config.ts"
import type { OtherInfrastructure } from "../prepare/definition.ts"
import { earlierAttempts } from "../look/earlier.ts"
import { poolTag } from "../decide/normalise.ts"
import type { Places } from "../places.ts"
import { type Preparation, prepare, type Prepared } from "../prepare/prepare.ts"
import { Sightings } from "../look/sightings.ts"

export interface Foretold {
  readonly about: About
  readonly words: string
  /** What the run would be warned of. */
  readonly warnings: ReadonlyArray<string>
}

export const foretell = Effect.fn("runs.foretell")(function* (
  run: FlowRun
): Effect.fn.Return<
  Foretold,
  OtherInfrastructure | ApiError,
  Prefect | ControlPlane | RunsConfig | Places | Preparation | Sightings
> {
  const about: About = { runId: run.id }
  const says = (words: string): Foretold => ({ about, words, warnings: [] })
  const earlier = yield* earlierAttempts(run, (yield* Sightings).of(run.id))
  if (earlier.live !== undefined) {
    return says(
      `Would not claim it yet: an earlier job of it (command ${earlier.live.command.id}) is still alive, and would be stopped first.`
    )
  }
  if (earlier.adoptable !== undefined) {
    const { command, place } = earlier.adoptable
    return says(
      `Would claim it and take over its job of an earlier attempt: command ${command.id} in workload ${place.workload.gvc}/${place.workload.name}.`
    )
  }
  const prepared = yield* prepare(run).pipe(
    Effect.catchTag("RunRefused", (refused) => Effect.succeed(refused.message))
  )
  if (typeof prepared === "string")
    return says(`Would set the run to CRASHED, because it cannot be started: ${prepared}`)
  const { flowName, wanted, warnings, what } = prepared
  const { gvc, name } = wanted.place.workload
  const image = what.containerOverrides[0]?.image ?? "of the workload"
  return {
    about: { ...about, flow: flowName, gvc, workload: name },
    words: `Would claim the run and start it as a job in workload ${gvc}/${name} (${yield* workloadOf(prepared)}), location ${what.location}, image ${image}, try ${earlier.claims + 1}.`,
    warnings
  }
})

const workloadOf = Effect.fnUntraced(function* ({ wanted: { place } }: Prepared) {
  const { poolId } = yield* RunsConfig
  return yield* Workloads.use((workloads) => workloads.read(place.workload)).pipe(
    Effect.map(({ tags }) =>
      String(tags?.[poolTag]) === poolId
        ? "which is there"
        : "which is there, but is not this pool's: it would be refused"
    ),
    Effect.catchTag("NotFound", () => Effect.succeed("which would be made")),
    at(place.access)
  )
})
