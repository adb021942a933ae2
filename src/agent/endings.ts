/**
 * What became of the jobs that this process started: one line on the run of where its time went, and the event that it
 * was executed.
 *
 * Invariant: told once per job, from the services' own times, in one batch per cycle; nothing is decided here, and a line
 * that cannot be written is lost without harm.
 */
import { Clock, Context, Effect, Layer } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { type Place, placeKey } from "../cpln/place.ts"
import type { Command, JobExecution } from "../cpln/schemas.ts"
import { CurrentLane } from "../http/lane.ts"
import { say } from "../observe/say.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { executionsOf } from "../runs/workloads/executions.ts"
import { exitCodeOf } from "../runs/decide/diagnose.ts"
import { timeline } from "../runs/decide/timeline.ts"
import { WorkerEvents } from "./events.ts"
import { steadyMillis } from "../runs/steady.ts"

export interface OwnJob {
  readonly place: Place
  readonly commandId: string
  readonly runId: string
  readonly flow: string | undefined
}

interface Expected extends OwnJob {
  /** When its command was created, known once it was seen live: for a shorter job no read is made. */
  created: string | undefined
  /** By `steadyMillis`: before this it may be missing from an answer that is older than the job. */
  readonly notBefore: number
}

/** A job that is missing from the live ones this soon after its start may be younger than the answer, in ms. */
const settleAfter = 5_000
const mostExpected = 20_000

export class Endings extends Context.Service<
  Endings,
  {
    expect(job: OwnJob): Effect.Effect<void>
    /** Jobs whose end has not been told. */
    readonly waiting: () => number
    /** `live` are all live commands, by id; places that did not answer say nothing about theirs. */
    tell(live: ReadonlyMap<string, Command>, unreachable: ReadonlySet<string>): Effect.Effect<void>
  }
>()("agent/agent/Endings") {
  static readonly layer = Layer.effect(
    Endings,
    Effect.gen(function* () {
      const prefect = yield* Prefect
      const events = yield* WorkerEvents
      const context = yield* Effect.context<ControlPlane>()
      const expected = new Map<string, Expected>()

      const tellAll = Effect.fnUntraced(function* (ended: ReadonlyArray<Expected>) {
        const runs = yield* prefect.findRuns({ ids: [...new Set(ended.map(({ runId }) => runId))] })
        const byId = new Map(runs.value.map((run) => [run.id, run]))
        const executions = yield* executionsIn(ended)
        const lines = yield* Effect.forEach(
          ended,
          (job) => lineOf(job, byId.get(job.runId), executions.get(job.commandId)),
          { concurrency: 4 }
        )
        const now = yield* Clock.currentTimeMillis
        yield* prefect.writeLogs(
          lines.flat().map(({ message, runId }) => ({
            runId,
            name: "prefect.flow_runs.worker",
            level: 20,
            message,
            at: now
          }))
        )
      })

      const lineOf = Effect.fnUntraced(function* (
        job: Expected,
        run: FlowRun | undefined,
        execution: JobExecution | undefined
      ) {
        if (run === undefined) return []
        const { commandId, flow, place, runId } = job
        const exit = exitCodeOf(execution)
        const message = timeline(run, job.created, execution, exit)
        const { gvc, name, org } = place.workload
        const about = { flow, runId, gvc, workload: name, command: commandId }
        yield* events.executed(run, flow, `${org}:${gvc}:${name}:${commandId}`, exit)
        if (message === "") return []
        yield* say("info", "Job", about, `Job over: ${message}`)
        return [{ runId, message }]
      })

      return Endings.of({
        expect: Effect.fnUntraced(function* (job) {
          if (expected.size >= mostExpected) return
          expected.set(job.commandId, {
            ...job,
            created: undefined,
            notBefore: (yield* steadyMillis) + settleAfter
          })
        }),
        waiting: () => expected.size,
        tell: Effect.fnUntraced(
          function* (live, unreachable) {
            const now = yield* steadyMillis
            for (const job of expected.values()) job.created ??= live.get(job.commandId)?.created
            const ended = [...expected.values()].filter(
              ({ commandId, notBefore, place }) =>
                now >= notBefore && !live.has(commandId) && !unreachable.has(placeKey(place))
            )
            if (ended.length === 0) return
            for (const { commandId } of ended) expected.delete(commandId)
            yield* tellAll(ended).pipe(
              Effect.catch((error) =>
                Effect.logDebug(`the end of ${ended.length} jobs is not told: ${error.message}`)
              )
            )
          },
          Effect.provideContext(context),
          Effect.provideService(CurrentLane, "logs")
        )
      })
    })
  )
}

/** One read per workload gives the executions of all its jobs. */
const executionsIn = Effect.fnUntraced(function* (jobs: ReadonlyArray<OwnJob>) {
  const places = new Map(jobs.map(({ place }) => [placeKey(place), place]))
  const found = yield* Effect.forEach(
    places.values(),
    (place) => executionsOf(place).pipe(Effect.orElseSucceed(() => [])),
    { concurrency: 4 }
  )
  return new Map(
    found.flat().map(({ execution }) => [execution.name.replace(/^command-/u, ""), execution] as const)
  )
})
