/**
 * A driver without processes: a job lives until its time is over, a signal comes, or it is ended by request.
 *
 * Invariant: ten thousand such jobs cost ten thousand sleeping fibers and nothing else.
 */
import { Clock, Context, Deferred, Effect, Layer } from "effect"
import { Scheduler } from "../scheduler.ts"
import { Settings } from "../settings.ts"
import { Driver, type Pod } from "./driver.ts"
import type { RunEvent } from "./run-state.ts"

interface Job {
  /** Containers that are not over. */
  readonly left: Set<string>
  readonly over: Deferred.Deferred<void>
  readonly emit: (event: RunEvent) => Effect.Effect<void>
}

/** Ends virtual jobs by request. */
export class VirtualJobs extends Context.Service<
  VirtualJobs,
  {
    /** One container, or all; false when no such job lives. */
    end(replica: string, exitCode: number, container?: string): Effect.Effect<boolean>
  }
>()("emulator/jobs/VirtualJobs") {
  /** Where jobs are processes, there is nothing to end. */
  static readonly none = Layer.succeed(VirtualJobs, { end: () => Effect.succeed(false) })
}

const terminated = 143
const killed = 137

const make = Effect.gen(function* () {
  const { runFor } = yield* Settings
  const scheduler = yield* Scheduler
  const jobs = new Map<string, Job>()

  const end = Effect.fnUntraced(function* (replica: string, exitCode: number, container?: string) {
    const job = jobs.get(replica)
    if (job === undefined || (container !== undefined && !job.left.has(container))) return false
    for (const name of container === undefined ? [...job.left] : [container]) {
      job.left.delete(name)
      yield* job.emit({ _tag: "ContainerEnded", container: name, exitCode })
    }
    if (job.left.size === 0) Deferred.doneUnsafe(job.over, Effect.void)
    return true
  })

  const run = Effect.fnUntraced(function* (
    { replica, containers }: Pick<Pod, "containers" | "replica">,
    emit: Job["emit"]
  ) {
    const over = yield* Deferred.make<void>()
    jobs.set(replica, { left: new Set(containers.map(({ name }) => name)), over, emit })
    if (runFor > 0) {
      const now = yield* Clock.currentTimeMillis
      scheduler.plan(now + runFor, Effect.asVoid(end(replica, 0)))
    }
    yield* Deferred.await(over).pipe(Effect.ensuring(Effect.sync(() => jobs.delete(replica))))
  })

  return Context.make(Driver, {
    // Only the names are kept: ten thousand environments would be a lot.
    run: ({ replica, containers }, emit) =>
      run(
        { replica, containers: containers.map(({ name }) => ({ name }) as Pod["containers"][number]) },
        emit
      ),
    exec: () => Effect.fail("there are no processes in virtual mode"),
    signal: (replica, signal) => Effect.asVoid(end(replica, signal === "SIGTERM" ? terminated : killed))
  }).pipe(Context.add(VirtualJobs, { end }))
})

export const layer = Layer.effectContext(make)
