/** Job executions: what a deployment tells of single runs of its job, exit codes and replicas among it. */
import { Cache, Context, Data, Duration, Effect, Exit, Layer } from "effect"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { at, type Place } from "../../cpln/place.ts"
import type { Deployment, JobExecution } from "../../cpln/schemas.ts"
import type { ApiError } from "../../http/errors.ts"
import { Workloads } from "../../cpln/workloads.ts"
import { mainContainer } from "../../job/manifest/containers.ts"
import { steadyMillis } from "../steady.ts"

export interface Execution {
  /** Short name of where it ran. */
  readonly location: string
  readonly execution: JobExecution
}

/** All that the deployments of a workload list, in every location; none for a workload that is gone. */
export const executionsOf = Effect.fn("runs.executionsOf")(function* (place: Place) {
  const deployments = yield* Workloads.use((workloads) => workloads.deployments(place.workload)).pipe(
    Effect.catchTag("NotFound", () => Effect.succeed({ value: [] as ReadonlyArray<Deployment>, at: 0 })),
    at(place.access)
  )
  return deployments.value.flatMap(({ name, status }) =>
    (status?.jobExecutions ?? []).map((execution): Execution => ({ location: name, execution }))
  )
})

/** The command's entry among the job executions of any location. */
export const executionOf = Effect.fn("runs.executionOf")(function* (place: Place, commandId: string) {
  return (yield* executionsOf(place)).find(isOf(commandId))
})

const isOf =
  (commandId: string) =>
  ({ execution }: Execution): boolean =>
    execution.name === `command-${commandId}`

/** Equal places are one entry. */
class Listed extends Data.Class<Place> {}

const mostListed = 500
/** An answer serves all jobs of the workload that are looked at within this time. */
const servesFor = Duration.seconds(3)

/** Executions for looks that are repeated anyway: many jobs with side containers in one workload cost one request. */
export class RecentExecutions extends Context.Service<
  RecentExecutions,
  {
    /** As `executionOf`, and at most three seconds old. */
    of(place: Place, commandId: string): Effect.Effect<Execution | undefined, ApiError, ControlPlane>
  }
>()("agent/runs/RecentExecutions") {
  static readonly layer = Layer.effect(
    RecentExecutions,
    Effect.gen(function* () {
      const read = Effect.fnUntraced(function* (place: Listed) {
        return { all: yield* executionsOf(place), readAt: yield* steadyMillis }
      })
      const lists = yield* Cache.makeWith(read, {
        capacity: mostListed,
        timeToLive: (exit) => (Exit.isSuccess(exit) ? servesFor : Duration.zero)
      })
      return RecentExecutions.of({
        of: Effect.fnUntraced(function* (place, commandId) {
          const key = new Listed(place)
          let list = yield* Cache.get(lists, key)
          // The cache goes by the machine's clock, which may be set back.
          if ((yield* steadyMillis) - list.readAt > Duration.toMillis(servesFor)) {
            yield* Cache.invalidate(lists, key)
            list = yield* Cache.get(lists, key)
          }
          return list.all.find(isOf(commandId))
        })
      })
    })
  )
}

const overStatuses = new Set(["successful", "failed", "removed", "invalid"])

/**
 * Whether the work of a job is over, of which this is all that is left: the command would name its main container, which
 * here is known by the name that it usually has. What is not said is taken for alive.
 */
export const isOver = ({ completionTime, containers, status }: JobExecution): boolean => {
  const main = containers?.[mainContainer]
  const mainEnded = (main?.restarts?.exitCode ?? undefined) !== undefined && main?.ready !== true
  return (completionTime ?? undefined) !== undefined || overStatuses.has(status ?? "") || mainEnded
}
