/**
 * Polls the pool for due runs and offers them to the launcher, in the server's order.
 *
 * Invariant: the poll goes on at its interval whatever is under way (the server takes a pool that is not polled for not
 * ready), and wakes early for the next run that is due, so that all runs of one second are launched on fresh data.
 */
import { Clock, Duration, Effect, Ref } from "effect"
import type { ApiError } from "../http/errors.ts"
import { CurrentLane } from "../http/lane.ts"
import type { Seen } from "../http/seen.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { RunsConfig } from "../runs/config.ts"
import { moment } from "../runs/moment.ts"
import { retriesInProcess, timeOf } from "../runs/decide/phase.ts"
import { type Due, makeBacklog } from "./backlog.ts"
import { Launcher } from "./launcher.ts"

/** The server's own maximum. */
const pageSize = 200

export interface PollSettings {
  readonly queues: ReadonlyArray<string>
  readonly interval: Duration.Duration
  readonly prefetch: Duration.Duration
}

export const makePoll = Effect.fn("agent.makePoll")(function* (settings: PollSettings) {
  /** The server's clock minus ours, in ms, as of the last answer. */
  const offset = yield* Ref.make(0)

  const backlog = yield* makeBacklog(settings.queues)

  const ask = Effect.fnUntraced(
    function* (queues: ReadonlyArray<string>) {
      const prefect = yield* Prefect
      const { pool } = yield* RunsConfig
      const now = (yield* Clock.currentTimeMillis) + (yield* Ref.get(offset))
      const answer = yield* prefect.scheduledRuns({
        pool,
        queues,
        before: now + Duration.toMillis(settings.prefetch),
        limit: pageSize
      })
      yield* Ref.set(offset, answer.at - (yield* Clock.currentTimeMillis))
      return answer
    },
    Effect.provideService(CurrentLane, "launch")
  )

  /** A full page may be all of one queue: then each queue is asked by itself, so that none starves. */
  const askAll = Effect.fnUntraced(function* (): Effect.fn.Return<
    Seen<ReadonlyArray<FlowRun>>,
    ApiError,
    Prefect | RunsConfig
  > {
    const first = yield* ask(settings.queues)
    if (first.value.length < pageSize) return first
    const prefect = yield* Prefect
    const { pool } = yield* RunsConfig
    const names = settings.queues.length > 0 ? settings.queues : yield* prefect.queueNames(pool)
    const known = new Map(first.value.map((run) => [run.id, run]))
    for (const name of names) {
      for (const run of (yield* ask([name])).value) known.set(run.id, run)
    }
    return { value: [...known.values()], at: first.at }
  })

  /** One poll; returns how long to wait for the next. */
  return Effect.fn("agent.poll")(function* () {
    const launcher = yield* Launcher
    const { poolId } = yield* RunsConfig
    const seenAt = yield* moment
    const answer = yield* askAll()
    let next = Duration.toMillis(settings.interval)
    const waiting: Array<Due> = []
    for (const run of answer.value) {
      // A pool that was made anew under the same name is another pool.
      if ((run.work_pool_id ?? poolId) !== poolId) continue
      if (retriesInProcess(run) || run.state_type !== "SCHEDULED") continue
      const wait = (timeOf(run.next_scheduled_start_time ?? run.expected_start_time) ?? answer.at) - answer.at
      // The Date header has whole seconds: a run that is due within this second is due.
      const due = wait < 1_000
      const offered = yield* launcher.offer({ run, seenAt }, due)
      if (due) waiting.push({ overdue: -wait, offered })
      else next = Math.min(next, wait - 500)
    }
    yield* backlog(waiting, answer.at, answer.value.length < pageSize)
    return Duration.millis(Math.max(next, 100))
  })
})
