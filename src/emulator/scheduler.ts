/**
 * Everything that is to happen at a later moment, in one heap and one fiber, by Effect's Clock.
 *
 * Invariant: things happen in order of their time, those of one time in the order they were planned; ten thousand plans
 * cost ten thousand small objects and one sleeping fiber.
 */
import { Cause, Clock, Context, Effect, Latch, Layer } from "effect"

export interface Plan {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly order: number
  what: Effect.Effect<void> | undefined
}

export class Scheduler extends Context.Service<
  Scheduler,
  {
    /** Plans `what` for `at`; a moment in the past is "as soon as possible". It must not wait for long itself. */
    plan(at: number, what: Effect.Effect<void>): Plan
    cancel(plan: Plan): void
    readonly size: () => number
  }
>()("emulator/Scheduler") {
  static readonly layer = Layer.effect(
    Scheduler,
    Effect.gen(function* () {
      const heap: Array<Plan> = []
      const changed = yield* Latch.make(false)
      let order = 0
      let cancelled = 0

      const turn = Effect.gen(function* () {
        changed.closeUnsafe()
        const next = heap[0]
        if (next === undefined) return yield* changed.await
        const now = yield* Clock.currentTimeMillis
        if (next.at > now) return yield* Effect.raceFirst(Effect.sleep(next.at - now), changed.await)
        take(heap)
        const what = next.what
        // Whoever cancels what is done already cancels nothing.
        next.what = undefined
        if (what === undefined) cancelled--
        else yield* Effect.catchCause(what, report)
      })
      yield* turn.pipe(Effect.forever, Effect.forkScoped)

      return Scheduler.of({
        plan: (at, what) => {
          const plan: Plan = { at, order: order++, what }
          put(heap, plan)
          if (heap[0] === plan) changed.openUnsafe()
          return plan
        },
        cancel: (plan) => {
          if (plan.what === undefined) return
          plan.what = undefined
          cancelled++
          // Cancelled plans wait for their time; when they are the greater part, the heap is rebuilt without them.
          if (cancelled > 1000 && cancelled > heap.length / 2) {
            const kept = heap.filter(({ what }) => what !== undefined).sort(before)
            heap.splice(0, heap.length, ...kept)
            cancelled = 0
          }
        },
        size: () => heap.length - cancelled
      })
    })
  )
}

const report = (cause: Cause.Cause<never>) =>
  Cause.hasInterruptsOnly(cause)
    ? Effect.failCause(cause)
    : Effect.logError("emulator: a planned step failed; the others go on", cause)

const before = (a: Plan, b: Plan): number => a.at - b.at || a.order - b.order

const put = (heap: Array<Plan>, plan: Plan): void => {
  let index = heap.push(plan) - 1
  while (index > 0) {
    const parent = (index - 1) >> 1
    if (before(heap[parent]!, plan) <= 0) break
    heap[index] = heap[parent]!
    index = parent
  }
  heap[index] = plan
}

const take = (heap: Array<Plan>): void => {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let index = 0
  for (;;) {
    const left = 2 * index + 1
    if (left >= heap.length) break
    const right = left + 1
    const child = right < heap.length && before(heap[right]!, heap[left]!) < 0 ? right : left
    if (before(last, heap[child]!) <= 0) break
    heap[index] = heap[child]!
    index = child
  }
  heap[index] = last
}
