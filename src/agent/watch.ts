/**
 * Observation in bulk: all open runs of the pool and all live jobs of the places they name, in few requests; then one
 * reconcile for each run, and for each live job whose run is not open any more.
 *
 * Invariant: all pages are followed, and absence from a page proves nothing: a live job without an open run is judged by
 * a read of its run.
 */
import { Effect } from "effect"
import { Commands } from "../cpln/commands.ts"
import type { Command, Term } from "../cpln/schemas.ts"
import type { ApiError } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import { Relay } from "../logs/relay.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { Board } from "../runs/board.ts"
import { RunsConfig } from "../runs/config.ts"
import { Launcher } from "./launcher.ts"
import type { Bulk } from "../runs/look.ts"
import { agentTag, isFinal, runTag, tagOf } from "../runs/normalise.ts"
import { timeOf } from "../runs/phase.ts"
import { at, type Place, placeKey } from "../cpln/place.ts"
import { placeFromText, Places } from "../runs/places.ts"
import { type Outcome, reconcile, type ReconcileEnvironment } from "../runs/reconcile.ts"
import { deletedRun } from "./deleted.ts"

const openTypes = ["PENDING", "RUNNING", "CANCELLING", "PAUSED"]

/** Live commands that run a flow. */
const liveJobs: ReadonlyArray<Term> = [
  { op: "=", property: "type", value: "runCronWorkload" },
  { op: "!=", property: "lifecycleStage", value: "completed" },
  { op: "!=", property: "lifecycleStage", value: "failed" },
  { op: "!=", property: "lifecycleStage", value: "cancelled" },
  { op: "exists", tag: runTag }
]

/** How many runs or workloads are worked on at once. */
const concurrency = 16

export type WatchEnvironment = ReconcileEnvironment | Launcher | Relay

/** What one cycle saw, for the lines of the syncs. */
export interface Cycle {
  readonly runs: number
  readonly jobs: number
  readonly unreachable: number
}

interface Jobs {
  /** Live jobs by run id. */
  readonly byRun: ReadonlyMap<string, Bulk>
  readonly unreachable: ReadonlyMap<string, string>
}

/** One whole cycle. `wide` also asks for handed-back runs, which only the syncs need. */
export const cycle = Effect.fn("agent.cycle")(function* (
  wide: boolean
): Effect.fn.Return<Cycle, ApiError, WatchEnvironment> {
  const runs = yield* openRuns(wide)
  const places = yield* placesToAsk(runs.value)
  const jobs = yield* liveJobsOf(places)
  yield* (yield* Launcher).setLive(yield* countOwn(jobs))
  yield* Effect.forEach(runs.value, (run) => oneRun({ value: run, at: runs.at }, jobs), {
    concurrency,
    discard: true
  })
  yield* jobsWithoutOpenRun(runs.value, jobs)
  yield* forgetWhatIsOver(places, jobs, runs.value)
  return { runs: runs.value.length, jobs: jobs.byRun.size, unreachable: jobs.unreachable.size }
})

const openRuns = Effect.fnUntraced(function* (wide: boolean) {
  const prefect = yield* Prefect
  const { pool } = yield* RunsConfig
  const open = yield* prefect.findRuns({ pool, stateTypes: openTypes })
  if (!wide) return open
  const waiting = yield* prefect.findRuns({ pool, stateNames: ["AwaitingRetry", "Cancelling"] })
  const known = new Set(open.value.map((run) => run.id))
  return { value: [...open.value, ...waiting.value.filter((run) => !known.has(run.id))], at: open.at }
})

const placesToAsk = Effect.fnUntraced(function* (runs: ReadonlyArray<FlowRun>) {
  const known = yield* Places
  const board = yield* Board
  const found = new Map(known.all().map((place) => [placeKey(place), place]))
  for (const run of runs) {
    const place = board.of(run.id).place ?? (yield* placeFromText(run.infrastructure_pid ?? ""))
    if (place !== undefined) found.set(placeKey(place), place)
  }
  return [...found.values()]
})

/** One query per workload; a workload that is gone has no jobs, one that does not answer is unreachable. */
const liveJobsOf = Effect.fnUntraced(function* (places: ReadonlyArray<Place>) {
  const byRun = new Map<string, Bulk & { readonly commands: Array<Command> }>()
  const unreachable = new Map<string, string>()
  yield* Effect.forEach(
    places,
    (place) =>
      Commands.use((commands) => commands.find(place.workload, liveJobs)).pipe(
        Effect.map((seen) => {
          for (const command of seen.value) {
            const run = tagOf(command, runTag)
            if (run === undefined || isFinal(command)) continue
            const known = byRun.get(run)
            if (known === undefined) byRun.set(run, { place, commands: [command], at: seen.at })
            else known.commands.push(command)
          }
        }),
        Effect.catchTag("NotFound", () => Effect.void),
        Effect.catch((error) => Effect.sync(() => unreachable.set(placeKey(place), error.message))),
        at(place.access)
      ),
    { concurrency, discard: true }
  )
  return { byRun, unreachable } satisfies Jobs
})

/** Live commands of this very agent, from observation: what `--limit` counts. */
const countOwn = Effect.fnUntraced(function* (jobs: Jobs) {
  const { agentLink } = yield* RunsConfig
  let own = 0
  for (const { commands } of jobs.byRun.values()) {
    own += commands.filter((each) => tagOf(each, agentTag) === agentLink).length
  }
  return own
})

/** A failure of one run's reconcile is that run's matter alone: it is looked at again in the next cycle. */
export const oneRun = Effect.fnUntraced(function* (run: Seen<FlowRun>, jobs: Jobs | undefined) {
  if ((yield* Launcher).isLaunching(run.value.id)) return
  yield* reconcile(run, jobs?.byRun.get(run.value.id)).pipe(
    Effect.tap((outcome) => followJob(run.value, outcome)),
    Effect.catch((error) => Effect.logDebug(`run ${run.value.id}: ${error.message}; looking again`))
  )
})

const followJob = Effect.fnUntraced(function* (run: FlowRun, outcome: Outcome | undefined) {
  if (outcome?.job === undefined || isFinal(outcome.job.command)) return
  const { command, memory, place } = outcome.job
  yield* (yield* Relay).follow({
    place,
    commandId: command.id,
    created: timeOf(command.created) ?? 0,
    runId: run.id,
    flow: memory.flowName,
    streamOutput: memory.streamOutput
  })
})

/** Jobs that outlive their run, and runs whose stop has not been seen to the end. */
const jobsWithoutOpenRun = Effect.fnUntraced(function* (open: ReadonlyArray<FlowRun>, jobs: Jobs) {
  const prefect = yield* Prefect
  const launcher = yield* Launcher
  const board = yield* Board
  const openIds = new Set(open.map((run) => run.id))
  const ids = [...new Set([...jobs.byRun.keys(), ...board.stopping()])].filter(
    (id) => !openIds.has(id) && !launcher.isLaunching(id)
  )
  if (ids.length === 0) return
  const found = yield* prefect.findRuns({ ids })
  yield* Effect.forEach(found.value, (run) => oneRun({ value: run, at: found.at }, jobs), {
    concurrency,
    discard: true
  })
  const seen = new Set(found.value.map((run) => run.id))
  yield* Effect.forEach(
    ids.filter((id) => !seen.has(id)),
    (id) => {
      const bulk = jobs.byRun.get(id)
      return bulk === undefined ? Effect.sync(() => board.forget(id)) : deletedRun(id, bulk)
    },
    { concurrency, discard: true }
  )
})

/** Memory stays as large as the live work: what neither is open nor has a live job is dropped. */
const forgetWhatIsOver = Effect.fnUntraced(function* (
  asked: ReadonlyArray<Place>,
  jobs: Jobs,
  runs: ReadonlyArray<FlowRun>
) {
  const places = yield* Places
  const board = yield* Board
  const launcher = yield* Launcher
  const relay = yield* Relay
  board.retain(
    new Set([
      ...runs.map((run) => run.id),
      ...jobs.byRun.keys(),
      ...launcher.launching(),
      ...board.stopping()
    ])
  )
  const busy = new Set([
    ...[...jobs.byRun.values()].map((each) => placeKey(each.place)),
    ...runs.flatMap((run) => board.of(run.id).place ?? []).map(placeKey)
  ])
  for (const place of asked) {
    if (!busy.has(placeKey(place)) && !jobs.unreachable.has(placeKey(place))) places.forget(place)
  }
  if (jobs.unreachable.size > 0) return
  const live = new Set([...jobs.byRun.values()].flatMap((each) => each.commands.map((command) => command.id)))
  yield* relay.retain(live)
})
