/**
 * The part of a flow run that happens inside its job: RUNNING, the flow's own time, COMPLETED, and the job ends with 0.
 *
 * Invariant: a job is played once, and only while the emulator says that it runs; a run that the server does not let start is
 * left as it is, and its job ends with 0, as the real engine does it.
 */
import { Cause, Effect, FiberMap, Schedule } from "effect"
import type { EmulatorJobs, Job, PrefectRuns, Run, Verdict } from "./services.ts"

const pollEvery = "250 millis"
const cancelEvery = "2 seconds"
const mostPerRead = 200
const usualSeconds = 1
const longestWait = 30

const secondsOf = ({ parameters }: Run): number => {
  const seconds = parameters?.seconds
  return typeof seconds === "number" && seconds >= 0 ? seconds : usualSeconds
}

const exitOf = ({ parameters }: Run): number => (typeof parameters?.exit === "number" ? parameters.exit : 0)

/** Proposes until the server no longer asks to wait. */
const propose = (runs: PrefectRuns, id: string, type: string, name: string): Effect.Effect<Verdict, Error> =>
  Effect.flatMap(runs.propose(id, type, name), (verdict) =>
    verdict.status === "WAIT"
      ? Effect.andThen(
          Effect.sleep(`${Math.min(longestWait, verdict.details?.delay_seconds ?? 1)} seconds`),
          propose(runs, id, type, name)
        )
      : Effect.succeed(verdict)
  )

const playJob = Effect.fnUntraced(function* (
  jobs: EmulatorJobs,
  runs: PrefectRuns,
  job: Job,
  run: Run | undefined
) {
  if (run !== undefined) {
    const start = yield* propose(runs, run.id, "RUNNING", "Running")
    if (start.status === "ACCEPT") {
      yield* Effect.sleep(`${secondsOf(run)} seconds`)
      const { ends = "COMPLETED" } = run.parameters ?? {}
      if (ends !== "silent") yield* propose(runs, run.id, ends, ends === "FAILED" ? "Failed" : "Completed")
      return yield* jobs.end(job.id, exitOf(run))
    }
    console.log(`run ${run.id} may not start: ${start.status} ${start.details?.reason ?? ""}`)
  }
  yield* jobs.end(job.id, 0)
})

const inParts = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
    all.slice(index * size, (index + 1) * size)
  )

/** What went wrong is told, and the others go on. */
const told = <A, E>(what: string, effect: Effect.Effect<A, E>): Effect.Effect<void> =>
  effect.pipe(
    Effect.asVoid,
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.interrupt
        : Effect.sync(() => console.log(`${what}: ${String(Cause.squash(cause))}`))
    )
  )

/** Never ends by itself. */
export const play = Effect.fnUntraced(function* (jobs: EmulatorJobs, runs: PrefectRuns) {
  const played = yield* FiberMap.make<string, void>()
  let known = new Map<string, string>()
  let count = 0

  const look = Effect.gen(function* () {
    const running = yield* jobs.running
    const fresh = running.filter(({ id }) => !known.has(id))
    // A job that is gone was stopped by somebody else: whoever played it stops too.
    const now = new Map(running.map(({ id, run }) => [id, run]))
    for (const id of known.keys()) if (!now.has(id)) yield* FiberMap.remove(played, id)
    known = new Map([...known].filter(([id]) => now.has(id)))
    for (const part of inParts(fresh, mostPerRead)) {
      const found = new Map((yield* runs.read(part.map(({ run }) => run))).map((run) => [run.id, run]))
      for (const job of part) {
        known.set(job.id, job.run)
        yield* FiberMap.run(
          played,
          job.id,
          told(`job ${job.id}`, playJob(jobs, runs, job, found.get(job.run)))
        )
      }
    }
    count += fresh.length
    if (fresh.length > 0) console.log(`${fresh.length} jobs started, ${running.length} run, ${count} in all`)
  })

  /** The runner in a job notices a cancel by itself, ends the flow and reports. */
  const cancel = Effect.gen(function* () {
    if (known.size === 0) return
    const byRun = new Map([...known].map(([id, run]) => [run, id]))
    for (const { id, parameters } of yield* runs.cancelling) {
      const job = byRun.get(id)
      if (job === undefined || parameters?.deaf === true) continue
      yield* FiberMap.remove(played, job)
      yield* propose(runs, id, "CANCELLED", "Cancelled")
      yield* jobs.end(job, 0)
    }
  })

  yield* told("cancel", cancel).pipe(Effect.repeat(Schedule.spaced(cancelEvery)), Effect.forkScoped)
  yield* told("look", look).pipe(Effect.repeat(Schedule.spaced(pollEvery)))
  return 0
}, Effect.scoped)
