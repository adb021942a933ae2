/**
 * Prefect for a program that only looks: reads pass, and of a write is told what it would have been.
 *
 * Invariant: every method stands here by name, so that a new one is a write until somebody says otherwise; no write ever
 * reaches the server. Due runs are read by an ordinary filter, because the pool's own poll marks queues and deployments as
 * served.
 */
import { Duration, Effect } from "effect"
import { type ApiError, Refused } from "../http/errors.ts"
import type { Foreteller } from "../observe/foresight.ts"
import type { Prefect, Proposal, RunChange } from "./prefect.ts"
import type { WorkPool } from "./schemas.ts"

const notWritten = (request: string) =>
  new Refused({ service: "Prefect", request, status: 403, detail: "nothing is written in observe mode" })

/** How long a pause of the pool or a queue may go unnoticed. */
const pausesFor = Duration.seconds(30)

const wordsOf = ({ message, type }: Proposal): string => {
  const what = type === "SCHEDULED" ? "Would hand the run back to the pool" : `Would set the run to ${type}`
  return message === undefined ? `${what}.` : `${what}: ${message}`
}

const changesOf = ({ empiricalPolicy, infrastructurePid }: RunChange): string => {
  if (infrastructurePid !== undefined) return `Would write its infrastructure PID: ${infrastructurePid}`
  return empiricalPolicy === undefined ? "Would change its tags." : "Would let the pool offer the run again."
}

export const readOnlyPrefect = Effect.fn("Prefect.readOnly")(function* (
  prefect: Prefect["Service"],
  { tell }: Foreteller
): Effect.fn.Return<Prefect["Service"]> {
  /** Templates that would have been written: the rest of the program goes on as if. */
  const templates = new Map<string, WorkPool["base_job_template"]>()
  const readWorkPool = (name: string) =>
    Effect.map(prefect.readWorkPool(name), (pool) => {
      const template = templates.get(name)
      return template === undefined ? pool : { ...pool, base_job_template: template }
    })

  const pauses = new Map<string, Effect.Effect<ReadonlyArray<string> | "all", ApiError>>()
  /** Names of paused queues, or "all" for a paused pool. */
  const pausedIn = Effect.fnUntraced(function* (pool: string) {
    const known = pauses.get(pool)
    if (known !== undefined) return yield* known
    const read = yield* Effect.cachedWithTTL(
      Effect.gen(function* () {
        return (yield* prefect.readWorkPool(pool)).is_paused === true
          ? ("all" as const)
          : yield* prefect.pausedQueues(pool)
      }),
      pausesFor
    )
    pauses.set(pool, read)
    return yield* read
  })

  return {
    url: prefect.url,
    version: prefect.version,
    readWorkPool,
    queueNames: prefect.queueNames,
    pausedQueues: prefect.pausedQueues,
    workers: prefect.workers,
    readRun: prefect.readRun,
    findRuns: prefect.findRuns,
    countRuns: prefect.countRuns,
    lastEnded: prefect.lastEnded,
    history: prefect.history,
    readDeployment: prefect.readDeployment,
    readFlow: prefect.readFlow,
    readBlock: prefect.readBlock,
    readBlockByName: prefect.readBlockByName,
    readContext: prefect.readContext,
    readVariable: prefect.readVariable,

    scheduledRuns: Effect.fn("Prefect.scheduledRuns")(function* ({ before, limit, pool, queues }) {
      const paused = yield* pausedIn(pool)
      const found = yield* prefect.findRuns({
        pool,
        stateTypes: ["SCHEDULED"],
        dueBefore: before,
        ...(queues.length === 0 ? {} : { queues })
      })
      const open = found.value.filter(
        ({ work_queue_name: queue }) => paused !== "all" && !paused.includes(queue ?? "")
      )
      const time = ({ next_scheduled_start_time: at }: (typeof open)[number]) => Date.parse(at ?? "") || 0
      return { value: open.toSorted((a, b) => time(a) - time(b)).slice(0, limit), at: found.at }
    }),

    createWorkPool: ({ name, type }) =>
      Effect.andThen(
        tell(`pool ${name}`, "Init", {}, `Would create work pool "${name}" of type "${type}".`),
        notWritten("create work pool")
      ),
    updateWorkPool: (name, { baseJobTemplate }) =>
      Effect.suspend(() => {
        templates.set(name, baseJobTemplate)
        return tell(`template ${name}`, "Init", {}, `Would write a template into work pool "${name}".`)
      }),
    ensureQueue: (pool, queue) =>
      Effect.flatMap(prefect.queueNames(pool), (names) =>
        names.includes(queue)
          ? Effect.succeed(false)
          : tell(
              `queue ${pool}/${queue}`,
              "Init",
              {},
              `Would create work queue "${queue}" in pool "${pool}".`
            ).pipe(Effect.as(false))
      ),
    propose: (runId, proposal) =>
      Effect.andThen(
        tell(`${runId} ${proposal.transitionId}`, "Job", { runId }, wordsOf(proposal)),
        notWritten(`set state of ${runId}`)
      ),
    changeRun: (runId, change) =>
      Effect.andThen(
        tell(`${runId} ${changesOf(change)}`, "Job", { runId }, changesOf(change)),
        notWritten(`change ${runId}`)
      ),

    // Signs of life, and words about what was done: there is nothing to tell of them.
    heartbeat: () => Effect.void,
    deleteWorker: () => Effect.void,
    labelRun: () => Effect.void,
    renewLease: () => Effect.void,
    writeLogs: () => Effect.void,
    emitEvents: () => Effect.void
  }
})
