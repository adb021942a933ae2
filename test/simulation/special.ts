/**
 * Worlds that no seed draws, because they end what a world is about or take their time: a server that loses its runs, a
 * pool that another one takes the place of, more open runs than a page holds.
 *
 * Invariant: with the program as it is each of them keeps every promise.
 */
import type { Plan } from "./plan.ts"
import { claimWorlds } from "./special-claims.ts"
import { lookWorlds } from "./special-looks.ts"
import { again, runs, settings, world } from "./staged.ts"

/** Longer than what goes wrong in them. */
const long = 1_200
const other = "5a1d8f0e-0000-4000-8000-000000000003"

const serverWorlds = {
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
  poolDeleted: world(1_000_033, runs(6, long), [{ at: 100, event: { what: "pool deleted", poolId: null } }], {
    settings: { ...settings, maxDisruption: 1_000 }
  }),
  poolMadeAnew: world(
    1_000_034,
    runs(6, long),
    [{ at: 100, event: { what: "pool deleted", poolId: other } }],
    { settings: { ...settings, maxDisruption: 1_000 } }
  ),
  // Some of its runs work, and the others go with it.
  deploymentDeleted: world(
    1_000_035,
    runs(8, 100).map((run, n) => ({ ...run, due: 20 * n })),
    [{ at: 70, event: { what: "deployment deleted" } }]
  ),
  restored: world(1_000_003, runs(6, long), [{ at: 100, event: { what: "database restored", ago: 85 } }]),
  split: world(1_000_004, runs(6, long), [
    { at: 100, event: { what: "database split", poolId: other, seconds: 200 } }
  ]),
  // What is listed first lives on, so that the ends are on the second page.
  crowded: world(
    1_000_005,
    runs(230, long).map((run, n) =>
      n < 205 ? run : { ...run, due: 20, flow: { ...run.flow, runs: 60, reports: "nothing" as const } }
    ),
    [],
    { replicas: 1, peaceAt: 700 }
  ),
  // Back to when the first job of each run was over, while its second one works.
  wentBack: world(
    1_000_010,
    runs(4, 1_200).map((run) => ({ ...run, flow: { ...run.flow, runs: 60 } })),
    [...again(4, 200), { at: 240, event: { what: "database restored" as const, ago: 60 } }],
    { settings: { ...settings, maxDisruption: 1_000, mainLinger: 30 } }
  ),
  // A job of the Python agent whose run is being cancelled; a server of line 3 would end the run by itself.
  reference: world(
    1_000_011,
    runs(2, 60),
    [
      { at: 20, event: { what: "job of the reference" as const, run: "reference-1" } },
      { at: 40, event: { what: "cancel" as const, run: "reference-1", force: true, legacy: false } },
      { at: 200, event: { what: "job vanishes" as const, run: "reference-1", listed: false } },
      { at: 200, event: { what: "state forced" as const, run: "reference-1", type: "CANCELLED" as const } }
    ],
    { line: "2" }
  ),
  // One job that works for less than the TTL of half an hour, but ends long after it was started.
  idle: world(1_000_012, runs(1, 1_500), [], {
    replicas: 1,
    settings: { ...settings, cleanupTtl: 0.5 },
    peaceAt: 4_500
  })
} satisfies Readonly<Record<string, Plan>>

const all = { ...serverWorlds, ...claimWorlds, ...lookWorlds }

export type World = keyof typeof all
export const special: Readonly<Record<World, Plan>> = all
