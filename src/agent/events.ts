/**
 * Worker events of 3.x servers: that this worker started and stopped, and which runs it submitted. The server's event
 * feed and its automations know workers by them.
 *
 * Invariant: events go in batches, behind everything else, and none is waited for; what a full queue drops is the oldest.
 */
import { Clock, Context, DateTime, Duration, Effect, Layer, Queue } from "effect"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { RunsConfig } from "../runs/config.ts"
import { freshId } from "../runs/ids.ts"

type Event = Readonly<Record<string, unknown>>

const mostWaiting = 1_000
const batchEvery = Duration.seconds(10)
/** The server takes at most 100 related resources. */
const mostTags = 90

export class WorkerEvents extends Context.Service<
  WorkerEvents,
  {
    /** "started" and "stopped" of this worker. */
    worker(what: "started" | "stopped"): Effect.Effect<void>
    submitted(run: FlowRun, flowName: string | undefined): Effect.Effect<void>
    /** A job of ours is over; `pid` names it, `exit` is its exit code where that is known. */
    executed(
      run: FlowRun,
      flowName: string | undefined,
      pid: string,
      exit: number | undefined
    ): Effect.Effect<void>
    /** Sends what waits; trouble is no trouble. */
    readonly flush: Effect.Effect<void>
  }
>()("agent/agent/WorkerEvents") {
  static readonly layer = Layer.effect(
    WorkerEvents,
    Effect.gen(function* () {
      const prefect = yield* Prefect
      const config = yield* RunsConfig
      const waiting = yield* Queue.sliding<Event>(mostWaiting)
      const pool = {
        "prefect.resource.id": `prefect.work-pool.${config.poolId}`,
        "prefect.resource.role": "work-pool",
        "prefect.resource.name": config.pool
      }
      const resource = {
        "prefect.resource.id": `prefect.worker.cpln.${slug(config.workerName)}`,
        "prefect.resource.name": config.workerName,
        "prefect.worker-type": "cpln"
      }
      let started: Event | undefined

      const make = Effect.fnUntraced(function* (event: string, related: ReadonlyArray<Event>) {
        return {
          id: yield* freshId,
          occurred: DateTime.formatIso(DateTime.makeUnsafe(yield* Clock.currentTimeMillis)),
          event,
          resource,
          related: [...related, pool],
          payload: {},
          follows: null
        } satisfies Event
      })

      const flush = Effect.gen(function* () {
        yield* prefect.emitEvents(yield* Queue.clear(waiting))
      }).pipe(
        Effect.timeout(Duration.seconds(10)),
        Effect.catch((error) => Effect.logDebug(`worker events were not taken: ${error.message}`))
      )
      yield* Effect.sleep(batchEvery).pipe(Effect.andThen(flush), Effect.forever, Effect.forkScoped)

      return WorkerEvents.of({
        worker: Effect.fnUntraced(function* (what) {
          const event = yield* make(`prefect.worker.${what}`, [])
          yield* Queue.offer(waiting, {
            ...event,
            follows: what === "stopped" ? (started?.["id"] ?? null) : null
          })
          if (what === "started") started = event
        }),
        submitted: Effect.fnUntraced(function* (run, flowName) {
          yield* Queue.offer(
            waiting,
            yield* make("prefect.worker.submitted-flow-run", relatedOf(run, flowName))
          )
        }),
        executed: Effect.fnUntraced(function* (run, flowName, pid, exit) {
          const [flowRun, ...others] = relatedOf(run, flowName)
          const ended = {
            ...flowRun,
            "prefect.infrastructure.identifier": pid,
            ...(exit === undefined ? {} : { "prefect.infrastructure.status-code": String(exit) })
          }
          yield* Queue.offer(waiting, yield* make("prefect.worker.executed-flow-run", [ended, ...others]))
        }),
        flush
      })
    })
  )
}

/** As Prefect's own workers slug their names in resource ids. */
const slug = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/gu, "-")
    .replace(/^-|-$/gu, "")

const relatedOf = (run: FlowRun, flowName: string | undefined): ReadonlyArray<Event> => [
  {
    "prefect.resource.id": `prefect.flow-run.${run.id}`,
    "prefect.resource.role": "flow-run",
    "prefect.resource.name": run.name
  },
  ...(run.deployment_id
    ? [
        {
          "prefect.resource.id": `prefect.deployment.${run.deployment_id}`,
          "prefect.resource.role": "deployment"
        }
      ]
    : []),
  {
    "prefect.resource.id": `prefect.flow.${run.flow_id}`,
    "prefect.resource.role": "flow",
    ...(flowName === undefined ? {} : { "prefect.resource.name": flowName })
  },
  ...run.tags.slice(0, mostTags).map((tag) => ({
    "prefect.resource.id": `prefect.tag.${tag}`,
    "prefect.resource.role": "tag"
  }))
]
