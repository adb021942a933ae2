/**
 * Makes the story of a violation short: takes events, runs and replicas away, and evens out what is left, for as long as
 * the same promise is still broken.
 *
 * Invariant: the result breaks the promise when it is played; within the given time it is the smallest plan that was found.
 */
import type { Plan } from "./plan.ts"

export interface Shrunk {
  readonly plan: Plan
  readonly tried: number
}

/** Lists from which a part is missing: halves first, then quarters, down to single entries. */
const without = function* <A>(all: ReadonlyArray<A>): Iterable<ReadonlyArray<A>> {
  for (let size = Math.ceil(all.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < all.length; from += size) {
      yield [...all.slice(0, from), ...all.slice(from + size)]
    }
  }
}

/** Every plan that is a little smaller or plainer. */
const smaller = function* (plan: Plan): Iterable<Plan> {
  for (const events of without(plan.events)) yield { ...plan, events }
  for (const runs of without(plan.runs)) {
    if (runs.length === 0) continue
    const ids = new Set(runs.map(({ id }) => id))
    const events = plan.events.filter(({ event }) => !("run" in event) || ids.has(event.run))
    yield { ...plan, runs, events }
  }
  for (let replicas = 1; replicas < plan.replicas; replicas++) {
    yield {
      ...plan,
      replicas,
      events: plan.events.filter(({ event }) => !("slot" in event) || event.slot < replicas)
    }
  }
  const plain: ReadonlyArray<Partial<Plan>> = [
    { clocks: [0, 0, 0, 0, 0] },
    { latency: { least: 10, most: 10 } },
    { stopping: { grace: 10, endsAs: "cancelled" } },
    { oneLink: true },
    { line: "3" }
  ]
  for (const change of plain) yield { ...plan, ...change }
  for (const run of plan.runs) {
    for (const plainer of [
      { ...run, flow: {} },
      { ...run, retries: 0 },
      { ...run, due: 0 }
    ]) {
      yield { ...plan, runs: plan.runs.map((each) => (each === run ? plainer : each)) }
    }
  }
}

const weight = (plan: Plan): string => JSON.stringify(plan)

/** `breaks` plays a plan and says whether the promise is still broken; `until` is by `performance.now()`. */
export const shrink = (plan: Plan, breaks: (plan: Plan) => boolean, until: number): Shrunk => {
  let best = plan
  let tried = 0
  const seen = new Set<string>([weight(plan)])
  for (let better = true; better;) {
    better = false
    for (const candidate of smaller(best)) {
      if (performance.now() > until) return { plan: best, tried }
      const key = weight(candidate)
      if (seen.has(key)) continue
      seen.add(key)
      tried++
      if (!breaks(candidate)) continue
      best = candidate
      better = true
      break
    }
  }
  return { plan: best, tried }
}
