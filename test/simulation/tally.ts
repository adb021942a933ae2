/**
 * Counts over many worlds: how many were played, what was found, and how often each kind of trouble happened.
 *
 * Invariant: trouble counts when it hit something, not when it was planned.
 */
import { eventNames } from "../runs/world/events.ts"
import type { Result } from "./simulate.ts"

export interface Tally {
  seeds: number
  runs: number
  violations: number
  /** Seeds with violations. */
  bad: number
  readonly fired: Map<string, number>
  readonly add: (result: Result) => void
}

export const tally = (): Tally => {
  const counts: Tally = {
    seeds: 0,
    runs: 0,
    violations: 0,
    bad: 0,
    fired: new Map(),
    add: ({ fired, runs, violations }) => {
      counts.seeds++
      counts.runs += runs
      counts.violations += violations.length
      if (violations.length > 0) counts.bad++
      for (const [kind, count] of Object.entries(fired)) {
        counts.fired.set(kind, (counts.fired.get(kind) ?? 0) + count)
      }
    }
  }
  return counts
}

/** Faults that a call can be hit by; those that are drawn by chance must all have hit one. */
const faults = [
  "refused",
  "reset, it took effect",
  "reset, nothing happened",
  "503, it took effect",
  "503, nothing happened",
  "429",
  "429 with Retry-After",
  "timeout, it took effect",
  "timeout, it takes effect late",
  "timeout, nothing happened",
  "broken body, it took effect",
  "broken body, nothing happened",
  "quota",
  "status 400",
  "status 401",
  "status 403",
  "status 404",
  "status 409",
  "status 422",
  "lost page",
  "slow",
  "stale"
] as const

/** What jobs do, and their engines, as it is drawn with each run. */
const traits = [
  "waits for its image",
  "waits for its capacity",
  "waits for its secret",
  "OOMKilled",
  "Evicted",
  "failed, corrected to completed",
  "never reports",
  "deaf to cancels",
  "at SIGTERM dies",
  "at SIGTERM reports CRASHED",
  "at SIGTERM reschedules",
  "paused",
  "suspended",
  "side containers stay"
] as const
export type Trait = (typeof traits)[number]

/** Every kind of trouble that many worlds have to have seen. */
export const troubles: ReadonlyArray<string> = [
  ...eventNames.map((name) => `event: ${name}`),
  ...faults.map((name) => `fault: ${name}`),
  ...traits.map((name) => `job: ${name}`)
]

export const missing = ({ fired }: Tally): ReadonlyArray<string> =>
  troubles.filter((kind) => !fired.has(kind))

export const table = ({ fired }: Tally): ReadonlyArray<string> =>
  [...fired]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, count]) => `${String(count).padStart(9)}  ${kind}`)
