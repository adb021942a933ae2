/**
 * Watches a world from outside while it plays: what its agents ask for, which faults hit them, and what keeps them from
 * acting.
 *
 * Invariant: watching changes nothing.
 */
import type { Call, Fault } from "../runs/world/faults.ts"
import { type Event, kinds } from "../runs/world/events.ts"
import type { World } from "../runs/world/world.ts"
import { joined, type Span } from "./evidence.ts"

/** An answer that is lost is waited for that long, and a loop that failed waits up to a minute. In ms. */
const feltFor = 90_000

export interface Watch {
  /** Faults that hit a call, in order. */
  readonly hits: ReadonlyArray<{ readonly at: number; readonly call: Call; readonly fault: Fault }>
  /** Requests by agent and minute. */
  readonly requests: ReadonlyMap<string, ReadonlyArray<number>>
}

export const watch = (world: World, begin: number, now: () => number): Watch => {
  const hits: Array<Watch["hits"][number]> = []
  const requests = new Map<string, Array<number>>()
  const { faults } = world
  const take = faults.take.bind(faults)
  faults.take = (call) => {
    const at = now()
    const minute = Math.floor((at - begin) / 60_000)
    const own = requests.get(call.by) ?? []
    while (own.length <= minute) own.push(0)
    own[minute]! += 1
    requests.set(call.by, own)
    const fault = take(call)
    if (fault !== undefined) hits.push({ at, call, fault })
    return fault
  }
  return { hits, requests }
}

/** Events that keep no agent from anything: what people and the platform do with runs and jobs. */
const harmless: ReadonlySet<string> = new Set<keyof typeof kinds>([
  "cancel",
  "retry",
  "crash by hand",
  "run deleted",
  "platform stops",
  "containers killed",
  "failed corrected",
  "job vanishes",
  "state forced",
  "rescheduled",
  "tags edited"
])

const secondsOf = (event: Event): number => {
  const {
    down = 0,
    seconds = 0,
    within = 0
  } = event as Partial<Readonly<Record<"down" | "seconds" | "within", number>>>
  return within + Math.max(down, seconds)
}

/** When the last of these is over, in seconds since the world began. */
export const lastsUntil = (events: ReadonlyArray<{ readonly at: number; readonly event: Event }>): number =>
  Math.max(0, ...events.map(({ at, event }) => at + secondsOf(event)))

/** When something was in the agents' way, from the events of a plan and the faults that hit them. */
export const troubleOf = (
  begin: number,
  events: ReadonlyArray<{ readonly at: number; readonly event: Event }>,
  hits: Watch["hits"]
): ReadonlyArray<Span> =>
  joined([
    ...events
      .filter(({ event }) => !harmless.has(event.what))
      .map(({ at, event }) => ({
        from: begin + at * 1000,
        to: begin + (at + secondsOf(event)) * 1000 + feltFor
      })),
    ...hits.map(({ at }) => ({ from: at, to: at + feltFor }))
  ])
