/**
 * Worlds that no seed draws, because they end what a world is about or take their time: a server that loses its runs, a
 * pool that another one takes the place of, more open runs than a page holds.
 *
 * Invariant: with the program as it is each of them keeps every promise.
 */
import type { Plan, PlannedEvent, PlannedRun, PlannedSettings } from "./plan.ts"

export type World =
  | "emptied"
  | "poolReplaced"
  | "restored"
  | "split"
  | "crowded"
  | "doubts"
  | "cancels"
  | "lostAnswers"
  | "retries"

const runs = (count: number, seconds: number): ReadonlyArray<PlannedRun> =>
  Array.from({ length: count }, (_, n) => ({
    id: `r${n + 1}`,
    due: n % 20,
    retries: 0,
    flow: { pending: 1, startUp: 1, runs: seconds, reports: "COMPLETED" as const }
  }))

const settings: PlannedSettings = {
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
  // Without a brake: only the look at the pool keeps the jobs.
  poolReplaced: world(
    1_000_002,
    runs(6, long),
    [{ at: 100, event: { what: "database reset", poolId: other } }],
    { settings: { ...settings, maxDisruption: 1_000 } }
  ),
  restored: world(1_000_003, runs(6, long), [{ at: 100, event: { what: "database restored", ago: 85 } }]),
  split: world(1_000_004, runs(6, long), [
    { at: 100, event: { what: "database split", poolId: other, seconds: 200 } }
  ]),
  doubts: world(
    1_000_006,
    runs(10, 60),
    Array.from({ length: 10 }, (_, n) => ({
      at: 2 * n,
      event: { what: "late start" as const, lands: n % 2 === 0 ? 16_000 : 25_000 }
    }))
  ),
  cancels: world(
    1_000_007,
    runs(16, 60).map((run) => ({ ...run, flow: { ...run.flow, pending: 20 } })),
    Array.from({ length: 16 }, (_, n) => ({
      at: 12 + 4 * n,
      event: { what: "cancel" as const, run: `r${n + 1}`, force: true, legacy: false }
    }))
  ),
  lostAnswers: world(
    1_000_008,
    runs(10, 60),
    Array.from({ length: 10 }, (_, n) => ({
      at: 2 * n,
      event: {
        what: "fault" as const,
        call: "propose" as const,
        fault: { kind: "reset", commit: "after" } as const,
        times: 1
      }
    })),
    { settings: { ...settings, launchDeadline: 300 } }
  ),
  retries: world(
    1_000_009,
    runs(10, 20).map((run) => ({ ...run, retries: 1, flow: { ...run.flow, reports: "FAILED" as const } })),
    []
  ),
  crowded: world(
    1_000_005,
    runs(230, 60).map((run) => ({ ...run, flow: { ...run.flow, reports: "nothing" as const } })),
    [],
    {
      replicas: 1
    }
  )
}
