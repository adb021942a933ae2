/**
 * The modelled Prefect server as an agent's client shows it: with latency, faults and the server's clock.
 *
 * Invariant: ages come from whole seconds, as from a `Date` header; what a call does is done by the model in one step.
 */
import { Clock, Effect, Layer, Option } from "effect"
import { type ApiError, NotFound, Refused } from "../../../src/http/errors.ts"
import { everyPage } from "../../../src/prefect/pages.ts"
import { Prefect } from "../../../src/prefect/prefect.ts"
import type { Line, Moment } from "./faults.ts"
import { served } from "./faults.ts"
import { answered } from "./landing.ts"
import type { PrefectModel } from "./prefect-model.ts"
import type { World } from "./world.ts"

/** Of one try of the real client, in ms. */
const timeout = 30_000

/** One call, and the server that it came to. */
interface Asked extends Moment {
  readonly model: PrefectModel
}

export const prefectFor = (world: World, line: Line): Layer.Layer<Prefect> => {
  const { faults } = world
  const { by } = line

  const call = <A>(name: string, subject: string, commit: (asked: Asked) => A | undefined) =>
    served(faults, line, { service: "Prefect", name, by, subject }, timeout, (moment) =>
      Effect.suspend((): Effect.Effect<A, ApiError> => {
        const model = world.server()
        model.serve(moment.now)
        const value = commit({ ...moment, model })
        return value === undefined
          ? Effect.fail(
              new NotFound({ service: "Prefect", request: `${name} ${subject}`, detail: "not found" })
            )
          : Effect.succeed(value)
      })
    )

  const inTrueTime = <A, E>(what: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    faults.clock === undefined ? what : Effect.provideService(what, Clock.Clock, faults.clock)

  /** The `Date` header of an answer. */
  const dated = (now: number) => Math.floor((now + world.skew.prefect) / 1000) * 1000
  const seen = <A>(name: string, subject: string, commit: (asked: Asked) => A | undefined) =>
    call(name, subject, (asked) => {
      const value = commit(asked)
      return value === undefined ? undefined : { value, at: dated(asked.now) }
    })

  return Layer.succeed(Prefect, {
    url: "http://prefect.test/api",
    version: call("version", "", ({ model }) => ({ line: model.line, text: model.version })),

    readWorkPool: (name) => call("readWorkPool", name, ({ model }) => model.pools.get(name)?.pool),
    createWorkPool: ({ name }) => call("createWorkPool", name, ({ model }) => model.pools.get(name)?.pool),
    updateWorkPool: (name) =>
      Effect.asVoid(call("updateWorkPool", name, ({ model }) => model.pools.get(name)?.pool)),
    ensureQueue: (pool, queue) =>
      call("ensureQueue", `${pool}/${queue}`, ({ model }) => {
        const stored = model.pools.get(pool)
        if (stored === undefined) return undefined
        if (stored.queues.some((each) => each.name === queue)) return false
        model.pools.set(pool, {
          ...stored,
          queues: [...stored.queues, { name: queue, priority: stored.queues.length + 1, isPaused: false }]
        })
        return true
      }),
    queueNames: (pool) =>
      call("queueNames", pool, ({ model }) => model.pools.get(pool)?.queues.map(({ name }) => name)),
    pausedQueues: (pool) =>
      call("pausedQueues", pool, ({ model }) =>
        model.pools.get(pool)?.queues.flatMap(({ isPaused, name }) => (isPaused ? [name] : []))
      ),
    heartbeat: (pool, worker) =>
      Effect.asVoid(
        call("heartbeat", pool, ({ model, now }) => {
          if (!model.pools.has(pool)) return undefined
          model.workers.set(worker, { pool, seenAt: now })
          model.chronicle.add({ at: now, by, what: "worker seen", name: worker })
          return true
        })
      ),
    deleteWorker: (pool, worker) =>
      Effect.asVoid(
        call("deleteWorker", pool, ({ model, now }) => {
          if (model.workers.delete(worker))
            model.chronicle.add({ at: now, by, what: "worker deleted", name: worker })
          return true
        })
      ),
    workers: (pool) =>
      call("workers", pool, ({ model, now }) =>
        [...model.workers]
          .filter(([, each]) => each.pool === pool)
          .map(([name, { seenAt }]) => ({
            name,
            status: now - seenAt < 90_000 ? "ONLINE" : "OFFLINE",
            last_heartbeat_time: new Date(seenAt).toISOString()
          }))
      ),

    scheduledRuns: (ask) => seen("scheduledRuns", ask.pool, ({ asOf, model }) => model.scheduled(asOf, ask)),
    readRun: (id) => seen("readRun", id, ({ asOf, model }) => model.run(id, asOf)),
    findRuns: (filter) =>
      everyPage(
        ({ limit, offset }) =>
          seen("findRuns", filter.pool ?? "", ({ asOf, model }) =>
            model.find(asOf, filter).slice(offset, offset + limit)
          ),
        (run) => run.id
      ),
    countRuns: (filter) =>
      seen("countRuns", filter.pool ?? "", ({ asOf, model }) => model.find(asOf, filter).length).pipe(
        Effect.map(({ value }) => value)
      ),
    lastEnded: (pool) =>
      call("lastEnded", pool, ({ asOf, model }) =>
        model
          .find(asOf, { pool, stateTypes: ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"] })
          .toSorted((a, b) => Date.parse(b.state?.timestamp ?? "") - Date.parse(a.state?.timestamp ?? ""))
          .slice(0, 200)
      ),
    history: (runId) =>
      // Of a run that is not there: none, and no 404.
      call("history", runId, ({ asOf, model }) =>
        model.run(runId, asOf) === undefined
          ? []
          : model.states(runId).filter((each) => Date.parse(each.timestamp) <= asOf)
      ),
    propose: (runId, proposal) =>
      call("propose", runId, ({ model, now }) => model.proposeLate(now, by, runId, proposal)).pipe(
        Effect.flatMap((proposed) => inTrueTime(answered(proposed))),
        Effect.tap(line.gate)
      ),
    changeRun: (runId, { infrastructurePid, tags, empiricalPolicy }) =>
      Effect.asVoid(
        call("changeRun", runId, ({ model, now, sent }) => {
          const change = {
            ...(infrastructurePid === undefined ? {} : { infrastructure_pid: infrastructurePid }),
            ...(tags === undefined ? {} : { tags }),
            ...(empiricalPolicy === undefined ? {} : { empirical_policy: empiricalPolicy })
          }
          return model.change(now, by, runId, change, sent) || undefined
        })
      ),
    labelRun: (runId) => Effect.asVoid(call("labelRun", runId, ({ model }) => model.run(runId))),
    renewLease: (lease, seconds) =>
      call("renewLease", lease, ({ model, now }) => ({
        renewed: model.renewLease(now, by, lease, seconds)
      })).pipe(
        Effect.flatMap(({ renewed }) =>
          renewed
            ? Effect.void
            : Effect.fail(
                new Refused({
                  service: "Prefect",
                  request: "renewLease",
                  status: 410,
                  detail: "lease is gone"
                })
              )
        )
      ),

    readDeployment: (id) => call("readDeployment", id, ({ model }) => model.deployments.get(id)),
    readFlow: (id) => call("readFlow", id, ({ model }) => model.flows.get(id)),
    readContext: ({ flow_id, id }) =>
      call("readContext", id, ({ model }) => {
        const [flow, flow_run] = [model.flows.get(flow_id), model.run(id)]
        return flow === undefined || flow_run === undefined
          ? undefined
          : { flow: { ...flow }, flow_run: { ...flow_run } }
      }),
    readBlock: (id) =>
      call("readBlock", id, ({ model }) => {
        const data = model.blocks.get(id)
        const slug = model.blockTypes.get(id)
        return data === undefined
          ? undefined
          : { id, data, ...(slug === undefined ? {} : { block_type: { slug } }) }
      }),
    readBlockByName: (typeSlug, name) =>
      call("readBlockByName", `${typeSlug}/${name}`, ({ model }) => {
        const data = model.blocks.get(`${typeSlug}/${name}`)
        return data === undefined ? undefined : { id: name, name, data }
      }),
    readVariable: (name) =>
      call("readVariable", name, ({ model }) =>
        model.variables.has(name) ? Option.some(model.variables.get(name)) : Option.none()
      ),

    writeLogs: (records) =>
      Effect.asVoid(
        call("writeLogs", records[0]?.runId ?? "", ({ model }) => {
          for (const { at, level, message, runId } of records)
            model.logs.push({ at, by, level, message, runId })
          return true
        })
      ),
    emitEvents: (events) =>
      Effect.asVoid(
        events.length === 0
          ? Effect.void
          : call("emitEvents", "", ({ model }) => {
              model.events.push(...events)
              return true
            })
      )
  })
}
