/**
 * The schedules of cron workloads: the next moment of each is planned, and again whenever it was reached or changed.
 *
 * Invariant: a workload has at most one plan, and a suspended one has none. A schedule fires in every location of its GVC.
 */
import { Clock, Cron, Effect, Layer, Result } from "effect"
import { Jobs } from "../jobs/jobs.ts"
import { at, textOf } from "../json.ts"
import { gvcOf, locationsOf } from "../resources/gvc.ts"
import { type Plan, Scheduler } from "../scheduler.ts"
import { type Resource, Store } from "../store.ts"
import { typeOf } from "../workload/rules.ts"
import { isSuspendedAt } from "./scale.ts"

const scheduleOf = ({ kind, body }: Resource): Cron.Cron | undefined => {
  if (kind !== "workload" || typeOf(body) !== "cron") return undefined
  const text = textOf(at(body, ["spec", "job", "schedule"]))
  return text === undefined ? undefined : Result.getOrUndefined(Cron.parse(text.trim(), "UTC"))
}

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const store = yield* Store
    const scheduler = yield* Scheduler
    const jobs = yield* Jobs
    const clock = yield* Clock.Clock
    const plans = new Map<string, Plan>()

    const openLocations = (workload: Resource) =>
      locationsOf(gvcOf(workload, store), store).filter((location) => !isSuspendedAt(workload.body, location))

    const fire = (workload: Resource, moment: number): Effect.Effect<void> =>
      Effect.gen(function* () {
        for (const location of openLocations(workload)) yield* jobs.fire(workload, location, moment)
        plan(workload)
      })

    const plan = (workload: Resource) => {
      const before = plans.get(workload.path)
      if (before !== undefined) scheduler.cancel(before)
      plans.delete(workload.path)
      const schedule = store.get(workload.path) === workload ? scheduleOf(workload) : undefined
      // A GVC without a location today may have one at the moment itself.
      if (schedule === undefined || at(workload.body, ["spec", "defaultOptions", "suspend"]) === true) return
      // A date that never comes, such as the 30th of February, has no next one.
      const next = Result.try(() => Cron.next(schedule, new Date(clock.currentTimeMillisUnsafe())).getTime())
      if (Result.isFailure(next)) return
      plans.set(workload.path, scheduler.plan(next.success, fire(workload, next.success)))
    }

    store.watch((resource) => {
      if (resource.kind === "workload") plan(resource)
    })
  })
)
