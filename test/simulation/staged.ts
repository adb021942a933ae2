/**
 * What worlds are made from that are thought out rather than drawn: runs that are alike, the usual settings, two agents.
 *
 * Invariant: nothing is left to the seed but latency, jitter and ids.
 */
import type { Plan, PlannedEvent, PlannedRun, PlannedSettings } from "./plan.ts"

export const runs = (count: number, seconds: number): ReadonlyArray<PlannedRun> =>
  Array.from({ length: count }, (_, n) => ({
    id: `r${n + 1}`,
    due: n % 20,
    retries: 0,
    flow: { pending: 1, startUp: 1, runs: seconds, reports: "COMPLETED" as const }
  }))

export const settings: PlannedSettings = {
  interval: 60,
  watchInterval: 5,
  queryInterval: 4,
  cancelInterval: 6,
  cancelGrace: 20,
  linger: 30,
  mainLinger: 120,
  settle: 60,
  launchDeadline: 120,
  doubtHorizon: 30,
  startTimeout: 300,
  limit: undefined,
  maxDisruption: undefined
}

export const world = (
  seed: number,
  planned: ReadonlyArray<PlannedRun>,
  events: ReadonlyArray<PlannedEvent>,
  more: Partial<Plan> = {}
): Plan => ({
  seed,
  line: "3",
  replicas: 2,
  oneLink: false,
  settings,
  latency: { least: 5, most: 100 },
  acceptsTwo: false,
  clocks: [0, 0, 0, 0, 0],
  stopping: { grace: 10, endsAs: "cancelled" },
  runs: planned,
  events,
  peaceAt: 400,
  ...more
})

/** A person starts the first so many runs again. */
export const again = (count: number, at: number): ReadonlyArray<PlannedEvent> =>
  Array.from({ length: count }, (_, n) => ({ at, event: { what: "retry" as const, run: `r${n + 1}` } }))
