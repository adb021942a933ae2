/**
 * Observation in bulk: all open runs of the pool and all live jobs of the places they name, in few requests; then one
 * reconcile for each run, and for each live job whose run is not open any more.
 *
 * Invariant: all pages are followed, and absence from a page proves nothing: a live job without an open run is judged by
 * a read of its run. Runs and jobs of other pools are left alone.
 */
import { Duration, Effect, Semaphore } from "effect"
import { type Place, placeKey } from "../cpln/place.ts"
import { type ApiError, isTransient } from "../http/errors.ts"
import type { Seen } from "../http/seen.ts"
import { parseClaimMessage } from "../job/claim-message.ts"
import { parseInfrastructurePid } from "../job/infrastructure-pid.ts"
import { Relay } from "../logs/relay.ts"
import { pageSize } from "../prefect/pages.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { attemptMemory, Board } from "../runs/look/board.ts"
import { Brake } from "../runs/act/brake.ts"
import { RunsConfig } from "../runs/config.ts"
import { isToRunHere } from "../runs/prepare/definition.ts"
import { holdsLease, renewLease } from "../runs/reconcile/lease.ts"
import { type Bulk, isBulk } from "../runs/look/look.ts"
import { agentTag, isFinal, tagOf } from "../runs/decide/normalise.ts"
import { timeOf } from "../runs/decide/phase.ts"
import { Places } from "../runs/places.ts"
import { isQuiet } from "../runs/reconcile/quiet.ts"
import type { Sightings } from "../runs/look/sightings.ts"
import { type Outcome, reconcile, type ReconcileEnvironment } from "../runs/reconcile/reconcile.ts"
import { steadyMillis } from "../runs/steady.ts"
import { tellStopped } from "../runs/act/stopped.ts"
import { alone } from "./alone.ts"
import { deletedRun } from "./deleted.ts"
import { Endings } from "./endings.ts"
import { Launcher } from "./launcher.ts"
import { isRefusal, type Jobs, liveJobsOf } from "./live-jobs.ts"
import { makeOutages } from "./outages.ts"
import { placesOf, placesToAsk } from "./places-of-runs.ts"

/** Cancelled in the old way, with the type of an end; and handed back. */
const alsoNamed = ["Cancelling", "AwaitingRetry"]
const openTypes = ["PENDING", "RUNNING", "CANCELLING", "PAUSED"]

/** How many runs are worked on at once. */
const concurrency = 16
/** Observation stays under ten requests a second: pause for each request of a cycle, in ms. */
const perRequest = 100

export type WatchEnvironment = ReconcileEnvironment | Launcher | Relay | Endings | Sightings

/** What one cycle saw, for the lines of the syncs. */
export interface Cycle {
  readonly runs: number
  readonly jobs: number
  /** Workloads that did not answer, and why. */
  readonly unreachable: ReadonlyMap<string, ApiError>
  /** How many live jobs each agent has, by the tag that its commands carry. */
  readonly byAgent: ReadonlyMap<string, number>
  /** What it cost: pages of runs and a query per workload. */
  readonly requests: number
}

const noJobs: Bulk = []

/**
 * The cycles of one agent: never two at once, and no narrow one while there is nothing that it could see: then a launch
 * of ours, or the next sync, begins it anew.
 */
export const makeCycles = Effect.fnUntraced(function* (every: Duration.Duration) {
  const one = yield* Semaphore.make(1)
  let idle = false
  let startedThen = 0
  const tellOutages = makeOutages()
  const look = Effect.fnUntraced(function* (wide: boolean) {
    const started = (yield* Launcher).started()
    const seen = yield* cycle(wide)
    idle = seen.runs === 0 && seen.jobs === 0 && seen.unreachable.size === 0
    yield* tellOutages(seen.unreachable)
    startedThen = started
    return seen
  }, one.withPermit)
  return {
    /** `wide` also asks for runs that wait for a retry, which only the syncs need. */
    look,
    /** Gives the pause until the next one: longer than the interval where that many requests need it. */
    lookUnlessIdle: Effect.gen(function* () {
      const { launching, started } = yield* Launcher
      const { size } = yield* Board
      const places = (yield* Places).all()
      const waiting = launching().length + size() + places.length + (yield* Endings).waiting()
      if (idle && started() === startedThen && waiting === 0) return every
      const { requests } = yield* look(false)
      return Duration.max(every, Duration.millis(requests * perRequest))
    })
  }
})

/** One whole cycle. `wide` also asks for runs that wait for a retry, which only the syncs need. */
export const cycle = Effect.fn("agent.cycle")(function* (
  wide: boolean
): Effect.fn.Return<Cycle, ApiError, WatchEnvironment> {
  const launcher = yield* Launcher
  const startedBefore = launcher.started()
  const runs = yield* openRuns(wide)
  const places = yield* placesToAsk(runs.value)
  const jobs = yield* liveJobsOf(places)
  const byAgent = countByAgent(jobs)
  // What `--limit` counts. What does not answer may hold any number: then the last count stands. What refuses us holds none
  // that we could have started.
  if (Array.from(jobs.unreachable.values()).every(isRefusal)) {
    yield* launcher.setLive(byAgent.get((yield* RunsConfig).agentLink) ?? 0, startedBefore)
  }
  yield* Effect.forEach(
    wide ? runs.value : yield* notQuiet(runs, jobs),
    (run) => Effect.flatMap(seenOf(run, jobs), (bulk) => oneRun({ value: run, at: runs.at }, bulk)),
    { concurrency, discard: true }
  )
  yield* jobsWithoutOpenRun(runs.value, jobs)
  yield* (yield* Brake).weigh(new Set(jobs.byRun.keys()), jobs.unreachable.size === 0)
  yield* forgetWhatIsOver(wide, places, jobs, runs.value)
  const live = new Map([...jobs.byRun.values()].flat().map(({ command }) => [command.id, command]))
  yield* (yield* Endings).tell(live, new Set(jobs.unreachable.keys()))
  return {
    runs: runs.value.length,
    jobs: jobs.byRun.size,
    unreachable: jobs.unreachable,
    byAgent,
    requests: Math.floor(runs.value.length / pageSize) + 1 + places.length
  }
})

const openRuns = Effect.fnUntraced(function* (wide: boolean) {
  const prefect = yield* Prefect
  const { pool, poolId } = yield* RunsConfig
  // A pool that was made anew under the same name is another pool, and its runs are not ours.
  const ours = (runs: ReadonlyArray<FlowRun>) => runs.filter((run) => run.work_pool_id === poolId)
  const open = yield* prefect.findRuns({ pool, stateTypes: openTypes, ...(wide ? { alsoNamed } : {}) })
  if (!wide) return { value: ours(open.value), at: open.at }
  // What waits in its job for a retry, also under the name that it has once a person gave it another time.
  const waiting = yield* prefect.findRuns({ pool, stateTypes: ["SCHEDULED"], started: true })
  const known = new Set(open.value.map((run) => run.id))
  return {
    value: ours([...open.value, ...waiting.value.filter((run) => !known.has(run.id))]),
    at: open.at
  }
})

/** Without the runs that are as they were looked at last; only the syncs look at those too. */
const notQuiet = Effect.fnUntraced(function* (runs: Seen<ReadonlyArray<FlowRun>>, jobs: Jobs) {
  const board = yield* Board
  const now = yield* steadyMillis
  return runs.value.filter((run) => {
    const memory = board.of(run.id)
    if (!isQuiet(memory, run, jobs.byRun.get(run.id), now)) return true
    memory.newestAt = Math.max(memory.newestAt, runs.at)
    return false
  })
})

/**
 * Its live jobs; where one of its workloads gave no answer, that: waited for again with each run, it would hold up all
 * others. One that refuses does so quickly, and may still answer for a single job.
 */
const seenOf = Effect.fnUntraced(function* (run: FlowRun, { byRun, unreachable }: Jobs) {
  const bulk = byRun.get(run.id)
  if (bulk !== undefined || unreachable.size === 0) return bulk
  return (yield* placesOf(run))
    .map((place) => unreachable.get(placeKey(place)))
    .find((error) => error !== undefined && isTransient(error))
})

const countByAgent = (jobs: Jobs): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const { command } of [...jobs.byRun.values()].flat()) {
    const agent = tagOf(command, agentTag)
    if (agent !== undefined) counts.set(agent, (counts.get(agent) ?? 0) + 1)
  }
  return counts
}

/** A failure of one run's reconcile is that run's matter alone: it is looked at again in the next cycle. */
export const oneRun = Effect.fnUntraced(function* (run: Seen<FlowRun>, bulk: Bulk | ApiError = noJobs) {
  // First, and also while its start is tried again: whatever else there is to do may take long.
  if (holdsLease(run.value)) {
    yield* renewLease(run, attemptMemory((yield* Board).of(run.value.id), run.value))
  }
  if ((yield* Launcher).isLaunching(run.value.id)) return
  yield* isOurs(run.value, bulk).pipe(
    Effect.flatMap((ours) =>
      ours ? Effect.flatMap(reconcile(run, bulk), (outcome) => followJob(run.value, outcome)) : Effect.void
    ),
    alone(run.value.id)
  )
})

/**
 * Nothing is concluded of a run that has no trace of our kind, unless its definition says that it is for us: other
 * agents may serve the same pool.
 */
const isOurs = Effect.fnUntraced(function* (run: FlowRun, bulk: Bulk | ApiError) {
  const marked =
    (isBulk(bulk) && bulk.length > 0) ||
    parseClaimMessage(run.state?.message ?? "") !== undefined ||
    parseInfrastructurePid(run.infrastructure_pid ?? "") !== undefined
  return marked || (yield* isToRunHere(run))
})

const followJob = Effect.fnUntraced(function* (run: FlowRun, outcome: Outcome | undefined) {
  if (outcome?.job === undefined || isFinal(outcome.job.found.command)) return
  const { found, memory } = outcome.job
  yield* (yield* Relay).follow({
    place: found.place,
    commandId: found.command.id,
    created: timeOf(found.command.created) ?? 0,
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
  const { poolId } = yield* RunsConfig
  const brake = yield* Brake
  const forget = (id: string) => {
    board.forget(id)
    brake.withdraw(id)
  }
  const openIds = new Set(open.map((run) => run.id))
  const ids = [...new Set([...jobs.byRun.keys(), ...board.stopping()])].filter(
    (id) => !openIds.has(id) && !launcher.isLaunching(id)
  )
  if (ids.length === 0) return
  const found = yield* prefect.findRuns({ ids })
  yield* Effect.forEach(
    found.value.filter((run) => run.work_pool_id === poolId),
    (run) => Effect.flatMap(seenOf(run, jobs), (bulk) => oneRun({ value: run, at: found.at }, bulk)),
    { concurrency, discard: true }
  )
  const seen = new Set(found.value.map((run) => run.id))
  yield* Effect.forEach(
    ids.filter((id) => !seen.has(id)),
    (id) => {
      const bulk = jobs.byRun.get(id)
      if (bulk !== undefined) return alone(id)(deletedRun(id, bulk))
      return Effect.map(tellStopped(board.of(id), []), (open) => (open === 0 ? forget(id) : undefined))
    },
    { concurrency, discard: true }
  )
})

/** Memory stays as large as the live work: what neither is open nor has a live job is dropped. */
const forgetWhatIsOver = Effect.fnUntraced(function* (
  wide: boolean,
  asked: ReadonlyArray<Place>,
  jobs: Jobs,
  runs: ReadonlyArray<FlowRun>
) {
  const places = yield* Places
  const board = yield* Board
  const launcher = yield* Launcher
  const relay = yield* Relay
  // Only a wide cycle saw every run that is remembered: runs that wait for a retry are in no other.
  if (wide) {
    board.retain(
      new Set([
        ...runs.map((run) => run.id),
        ...jobs.byRun.keys(),
        ...launcher.launching(),
        ...board.stopping()
      ])
    )
  }
  const live = [...jobs.byRun.values()].flat()
  const busy = new Set([
    ...live.map(({ place }) => placeKey(place)),
    ...runs.flatMap((run) => board.of(run.id).place ?? []).map(placeKey),
    ...launcher
      .launching()
      .flatMap((id) => board.of(id).place ?? [])
      .map(placeKey)
  ])
  for (const place of asked) {
    if (!busy.has(placeKey(place)) && !jobs.unreachable.has(placeKey(place))) places.forget(place)
  }
  yield* relay.retain(new Set(live.map(({ command }) => command.id)), new Set(jobs.unreachable.keys()))
})
