/**
 * Worlds about what agents see: lists that are old when they come, jobs that no answer shows, and nothing to see at all.
 *
 * Invariant: with the program as it is each of them keeps every promise.
 */
import type { Plan, PlannedEvent } from "./plan.ts"
import { runs, settings, world } from "./staged.ts"

/** Every list of runs is that old when it comes, in ms. */
const oldLists = (after: number): PlannedEvent => ({
  at: 10,
  event: {
    what: "fault",
    call: "findRuns",
    fault: { kind: "slow", before: 0, after },
    times: 1_000
  }
})

export const lookWorlds = {
  // More than half of the runs are cancelled before their time, and once more when the server has ended them by itself.
  cancelledEarly: world(
    1_000_036,
    runs(9, 300).map((run, n) => ({ ...run, due: n < 4 ? n : 390 })),
    Array.from({ length: 5 }, (_, n) => {
      const run = `r${n + 5}`
      return [
        { at: 60, event: { what: "cancel" as const, run, force: false, legacy: false } },
        { at: 70, event: { what: "cancel" as const, run, force: true, legacy: false } }
      ]
    }).flat()
  ),
  // Jobs end without a report, and a person ends their runs at about the time at which the agents do.
  endedByOthers: world(
    1_000_020,
    runs(14, 60).map((run) => ({
      ...run,
      due: 1,
      flow: { ...run.flow, reports: "nothing" as const }
    })),
    [
      oldLists(9_000),
      ...Array.from({ length: 14 }, (_, n) => ({
        at: 84 + 2 * n,
        event: { what: "state forced" as const, run: `r${n + 1}`, type: "FAILED" as const }
      }))
    ],
    { settings: { ...settings, settle: 20 } }
  ),
  // Lists of a while ago show the ends of runs that were started again since, and whose new jobs are about to begin.
  oldEnds: world(
    1_000_039,
    runs(6, 60).map((run) => ({ ...run, due: 1, flow: { ...run.flow, startUp: 40 } })),
    [
      ...Array.from({ length: 6 }, (_, n) => {
        const run = `r${n + 1}`
        return [
          { at: 60 + n, event: { what: "job vanishes" as const, run, listed: false } },
          { at: 60 + n, event: { what: "crash by hand" as const, run } },
          { at: 72 + n, event: { what: "retry" as const, run } }
        ]
      }).flat(),
      {
        at: 80,
        event: { what: "stale read" as const, call: "findRuns" as const, by: 20_000, times: 40 }
      }
    ],
    { settings: { ...settings, mainLinger: 5 } }
  ),
  // Runs are claimed anew while the agents look at lists in which they are of an older claim.
  claimedAnew: world(
    1_000_021,
    runs(10, 60).map((run, n) => ({ ...run, due: 1 + n, flow: { ...run.flow, startUp: 100 } })),
    [
      oldLists(25_000),
      ...Array.from({ length: 10 }, (_, n) => {
        const [at, run] = [60 + 4 * n, `r${n + 1}`]
        return [
          { at, event: { what: "job vanishes" as const, run, listed: false } },
          { at, event: { what: "crash by hand" as const, run } },
          { at, event: { what: "retry" as const, run } }
        ]
      }).flat()
    ]
  ),
  // For half a minute no answer shows the jobs, and no PID names them.
  unseen: world(
    1_000_022,
    runs(4, 300),
    [
      {
        at: 60,
        event: { what: "lost page" as const, call: "find" as const, from: 0, to: 1, times: 40 }
      },
      ...Array.from({ length: 4 }, (_, n) => ({
        at: 60,
        event: { what: "PID edited" as const, run: `r${n + 1}`, to: "nothing" as const }
      }))
    ],
    { settings: { ...settings, maxDisruption: 1_000 } }
  ),
  // For a while no list shows the jobs, and whoever asks for one gets no answer.
  unanswered: world(
    1_000_029,
    runs(4, 300),
    [
      {
        at: 60,
        event: { what: "lost page" as const, call: "find" as const, from: 0, to: 1, times: 40 }
      },
      {
        at: 60,
        event: {
          what: "fault" as const,
          call: "get" as const,
          fault: { kind: "503", commit: "never" } as const,
          times: 200
        }
      }
    ],
    { settings: { ...settings, maxDisruption: 1_000 } }
  ),
  // Jobs go on for a minute after their report, and the agents' clocks are minutes off.
  lastWords: world(
    1_000_030,
    runs(4, 30).map((run) => ({ ...run, flow: { ...run.flow, flush: 60 } })),
    [],
    { clocks: [240_000, -180_000, 0, 0, 0] }
  ),
  // Agents end and begin while jobs work.
  drained: world(1_000_031, runs(4, 120), [
    { at: 60, event: { what: "drain" as const, slot: 0 } },
    { at: 80, event: { what: "drain" as const, slot: 1 } }
  ]),
  // The server of the runs is away for two minutes.
  away: world(1_000_032, runs(4, 60), [
    {
      at: 30,
      event: {
        what: "outage" as const,
        service: "Prefect" as const,
        seconds: 120,
        how: { kind: "refused" } as const
      }
    }
  ]),
  // What fails turns out to have completed three seconds later.
  corrected: world(
    1_000_024,
    runs(12, 40).map((run, n) => ({
      ...run,
      due: 2 * n,
      flow: { ...run.flow, reports: "nothing" as const, exitCode: 137, corrected: 3 }
    })),
    []
  ),
  // Little to do, and a watch that looks often while there is something.
  quiet: world(1_000_023, runs(2, 20), [], {
    settings: { ...settings, watchInterval: 2 },
    peaceAt: 60
  })
} satisfies Readonly<Record<string, Plan>>
