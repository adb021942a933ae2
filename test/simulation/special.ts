/**
 * Worlds that no seed draws, because they end what a world is about or take their time: a server that loses its runs, a
 * pool that another one takes the place of, more open runs than a page holds.
 *
 * Invariant: with the program as it is each of them keeps every promise.
 */
import type { Plan, PlannedEvent, PlannedRun } from "./plan.ts"

export type World = "emptied" | "poolReplaced" | "restored" | "split" | "crowded"

const runs = (count: number, seconds: number): ReadonlyArray<PlannedRun> =>
  Array.from({ length: count }, (_, n) => ({
    id: `r${n + 1}`,
    due: n % 20,
    retries: 0,
    flow: { pending: 1, startUp: 1, runs: seconds, reports: "COMPLETED" as const }
  }))

const world = (
  seed: number,
  planned: ReadonlyArray<PlannedRun>,
  events: ReadonlyArray<PlannedEvent>,
  more: Partial<Plan> = {}
): Plan => ({
  seed,
  line: "3",
  replicas: 2,
  oneLink: false,
  settings: {
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
  },
  latency: { least: 5, most: 100 },
  acceptsTwo: false,
  clocks: [0, 0, 0, 0, 0],
  stopping: { grace: 10, endsAs: "cancelled" },
  runs: planned,
  events,
  peaceAt: 400,
  ...more
})

/** Longer than what goes wrong in them. */
const long = 1_200
const other = "5a1d8f0e-0000-4000-8000-000000000003"

export const special: Readonly<Record<World, Plan>> = {
  emptied: world(
    1_000_001,
    runs(8, long),
    Array.from({ length: 7 }, (_, n) => ({
      at: 100,
      event: { what: "run deleted" as const, run: `r${n + 1}` }
    }))
  ),
  poolReplaced: world(1_000_002, runs(6, long), [
    { at: 100, event: { what: "database reset", poolId: other } }
  ]),
  restored: world(1_000_003, runs(6, long), [{ at: 100, event: { what: "database restored", ago: 85 } }]),
  split: world(1_000_004, runs(6, long), [
    { at: 100, event: { what: "database split", poolId: other, seconds: 200 } }
  ]),
  crowded: world(
    1_000_005,
    runs(230, 60).map((run) => ({ ...run, flow: { ...run.flow, reports: "nothing" as const } })),
    [],
    {
      replicas: 1
    }
  )
}
