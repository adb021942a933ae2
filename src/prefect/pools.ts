/** Work pools, their queues and workers. */
import { Effect, Schema } from "effect"
import { type Api, json } from "../http/api.ts"
import { everyPage } from "./pages.ts"
import type { Prefect } from "./prefect.ts"
import { done, get, patch, path, post, remove } from "./requests.ts"
import { Worker, WorkPool } from "./schemas.ts"

type Pools = Pick<
  Prefect["Service"],
  | "readWorkPool"
  | "createWorkPool"
  | "updateWorkPool"
  | "ensureQueue"
  | "queueNames"
  | "pausedQueues"
  | "heartbeat"
  | "deleteWorker"
  | "workers"
>

const Queue = Schema.Struct({ name: Schema.String, is_paused: Schema.optionalKey(Schema.Boolean) })

const value = <A>(seen: { readonly value: A }): A => seen.value

export const pools = ({ repeatable }: Api): Pools => {
  const queues = Effect.fn("Prefect.queues")(function* (pool: string) {
    const all = yield* everyPage(
      (page) =>
        repeatable(post(path`/work_pools/${pool}/queues/filter`, page)).pipe(
          Effect.flatMap(json(Schema.Array(Queue)))
        ),
      (queue) => queue.name
    )
    return all.value
  })
  return {
    readWorkPool: Effect.fn("Prefect.readWorkPool")(function* (name) {
      return yield* repeatable(get(path`/work_pools/${name}`)).pipe(
        Effect.flatMap(json(WorkPool)),
        Effect.map(value)
      )
    }),

    /** Repeated like a read: a create that got through unnoticed shows as `Conflict`, as another's would. */
    createWorkPool: Effect.fn("Prefect.createWorkPool")(function* ({
      name,
      type,
      description,
      baseJobTemplate
    }) {
      return yield* repeatable(
        post("/work_pools/", { name, type, description, base_job_template: baseJobTemplate })
      ).pipe(Effect.flatMap(json(WorkPool)), Effect.map(value))
    }),

    updateWorkPool: Effect.fn("Prefect.updateWorkPool")(function* (name, { baseJobTemplate }) {
      yield* done(repeatable(patch(path`/work_pools/${name}`, { base_job_template: baseJobTemplate })))
    }),

    ensureQueue: Effect.fn("Prefect.ensureQueue")(function* (pool, queue) {
      const created = done(repeatable(post(path`/work_pools/${pool}/queues`, { name: queue }))).pipe(
        Effect.as(true),
        // Somebody else was faster, or our own earlier attempt: it is there.
        Effect.catchTag("Conflict", () => Effect.succeed(false))
      )
      return yield* done(repeatable(get(path`/work_pools/${pool}/queues/${queue}`))).pipe(
        Effect.as(false),
        Effect.catchTag("NotFound", () => created)
      )
    }),

    queueNames: (pool) => Effect.map(queues(pool), (all) => all.map(({ name }) => name)),

    pausedQueues: (pool) =>
      Effect.map(queues(pool), (all) =>
        all.flatMap(({ is_paused, name }) => (is_paused === true ? [name] : []))
      ),

    heartbeat: Effect.fn("Prefect.heartbeat")(function* (pool, worker, intervalSeconds) {
      yield* done(
        repeatable(
          post(path`/work_pools/${pool}/workers/heartbeat`, {
            name: worker,
            // 3.x takes whole numbers only.
            heartbeat_interval_seconds: Math.max(1, Math.ceil(intervalSeconds))
          })
        )
      )
    }),

    /** A worker or pool that is gone already is as good. */
    deleteWorker: Effect.fn("Prefect.deleteWorker")(function* (pool, worker) {
      yield* done(repeatable(remove(path`/work_pools/${pool}/workers/${worker}`))).pipe(
        Effect.catchTag("NotFound", () => Effect.void)
      )
    }),

    workers: Effect.fn("Prefect.workers")(function* (pool) {
      const all = yield* everyPage(
        (page) =>
          repeatable(post(path`/work_pools/${pool}/workers/filter`, page)).pipe(
            Effect.flatMap(json(Schema.Array(Worker)))
          ),
        (worker) => worker.name
      )
      return all.value
    })
  }
}
