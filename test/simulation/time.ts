/**
 * Simulated time: a clock and a scheduler in one, on which a whole world runs to its end in a single call.
 *
 * Invariant: nothing waits for real time, and nothing is left to chance: everything that can run does so in the order in
 * which it was asked for, and then the clock goes on to the earliest sleeper, first come, first served.
 */
import {
  Clock,
  Context,
  Duration,
  Effect,
  type Exit,
  type Fiber,
  Random,
  References,
  Scheduler
} from "effect"

interface Sleeper {
  readonly until: number
  readonly order: number
  wake: (() => void) | undefined
}

const isBefore = (a: Sleeper, b: Sleeper) => a.until < b.until || (a.until === b.until && a.order < b.order)

/** The earliest first: a binary heap. */
class Sleepers {
  readonly #heap: Array<Sleeper> = []

  add(sleeper: Sleeper): void {
    const heap = this.#heap
    let at = heap.push(sleeper) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!isBefore(sleeper, heap[above]!)) break
      heap[at] = heap[above]!
      at = above
    }
    heap[at] = sleeper
  }

  take(): Sleeper | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || first === last) return first
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++
      if (!isBefore(heap[below]!, last)) break
      heap[at] = heap[below]!
      at = below
    }
    heap[at] = last
    return first
  }
}

/** Tasks that are run without the clock going on are a loop that no time passes in. */
const mostTasksAtOnce = 2_000_000

export class SimulatedTime implements Clock.Clock, Scheduler.Scheduler {
  readonly executionMode = "async"
  #now: number
  #order = 0
  #tasks: Array<() => void> = []
  readonly #sleepers = new Sleepers()

  constructor(begin: number) {
    this.#now = begin
  }

  // Clock

  currentTimeMillisUnsafe(): number {
    return this.#now
  }

  currentTimeNanosUnsafe(): bigint {
    return BigInt(Math.round(this.#now)) * 1_000_000n
  }

  monotonicTimeNanosUnsafe(): bigint {
    return this.currentTimeNanosUnsafe()
  }

  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = this.currentTimeNanos

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow
    return Effect.callback<void>((resume) => {
      const sleeper: Sleeper = {
        until: this.#now + millis,
        order: this.#order++,
        wake: () => resume(Effect.void)
      }
      if (Number.isFinite(millis)) this.#sleepers.add(sleeper)
      return Effect.sync(() => {
        sleeper.wake = undefined
      })
    })
  }

  /** The world's tests set it; here it is set from the beginning. */
  setTime(timestamp: number): Effect.Effect<void> {
    return Effect.sync(() => void (this.#now = timestamp))
  }

  // Scheduler

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber.currentOpCount >= 2_048
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return {
      scheduleTask: (task) => void this.#tasks.push(task),
      flush: () => this.#runTasks()
    }
  }

  #runTasks(): void {
    for (let ran = 0; this.#tasks.length > 0;) {
      const tasks = this.#tasks
      this.#tasks = []
      for (const task of tasks) task()
      ran += tasks.length
      if (ran > mostTasksAtOnce) throw new Error("something loops without any time passing")
    }
  }

  /** Runs the effect, and everything it starts, until it is done. */
  run<A, E>(effect: Effect.Effect<A, E>, seed: number): Exit.Exit<A, E> {
    const context = Context.make(Clock.Clock, this as Clock.Clock).pipe(
      Context.add(Scheduler.Scheduler, this as Scheduler.Scheduler),
      Context.add(References.TracerEnabled, false)
    )
    let exit: Exit.Exit<A, E> | undefined
    const fiber = Effect.runForkWith(context)(Random.withSeed(effect, seed))
    fiber.addObserver((done) => void (exit = done))
    for (;;) {
      this.#runTasks()
      if (exit !== undefined) return exit
      const sleeper = this.#sleepers.take()
      if (sleeper === undefined) throw new Error("everything waits for something that never comes")
      this.#now = Math.max(this.#now, sleeper.until)
      sleeper.wake?.()
    }
  }
}
