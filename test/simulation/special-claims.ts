/**
 * Worlds about one claim and its job: starts in doubt, doubles, jobs that are handed back, taken over or run again.
 *
 * Invariant: with the program as it is each of them keeps every promise.
 */
import type { Plan, PlannedEvent } from "./plan.ts"
import { again, runs, settings, world } from "./staged.ts"

/** Of each of so many runs that begin one after the other the first start lands so many ms after it was sent. */
const lateStarts = (count: number, apart: number, lands: number): ReadonlyArray<PlannedEvent> =>
  Array.from({ length: count }, (_, n) => ({
    at: apart * n,
    event: { what: "late start" as const, lands }
  }))

/** One after the other. */
const inTurn = (count: number, apart: number, seconds: number) =>
  runs(count, seconds).map((run, n) => ({ ...run, due: apart * n + 1 }))

export const claimWorlds = {
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
  // The first start lands when the second was sent: two jobs, of which the newer one never ends by itself.
  doubles: world(1_000_013, inTurn(4, 10, 900), lateStarts(4, 10, 75_000)),
  // As those, but the run is cancelled before either has begun: the older one is over long before the newer one.
  cancelledDoubles: world(
    1_000_014,
    inTurn(4, 10, 60).map((run) => ({ ...run, flow: { ...run.flow, pending: 60 } })),
    [
      ...lateStarts(4, 10, 75_000),
      ...Array.from({ length: 4 }, (_, n) => ({
        at: 90 + n,
        event: { what: "cancel" as const, run: `r${n + 1}`, force: true, legacy: false }
      }))
    ]
  ),
  // The claimant dies, its start lands when the claim was given back, and the pool holds the run until that job works.
  handedBack: world(
    1_000_015,
    runs(3, 100).map((run) => ({ ...run, due: 1, flow: { ...run.flow, startUp: 200 } })),
    [
      ...lateStarts(3, 0, 150_000),
      { at: 8, event: { what: "kill" as const, slot: 0, down: 3, sameName: true } },
      { at: 60, event: { what: "pool paused" as const, which: "pool" as const, seconds: 160 } }
    ],
    { replicas: 1, settings: { ...settings, launchDeadline: 60, mainLinger: 600 } }
  ),
  // A Running of the engine waits in the server while its run is cancelled, and lands on that or on the end of it.
  lateRunning: world(
    1_000_037,
    inTurn(8, 30, 60),
    Array.from({ length: 8 }, (_, n) => [
      {
        at: 30 * n,
        event: {
          what: "lands late" as const,
          by: "engine" as const,
          type: "RUNNING" as const,
          after: n % 2 === 0 ? 12_000 : 25_000,
          times: 1
        }
      },
      {
        at: 30 * n + 8,
        event: { what: "cancel" as const, run: `r${n + 1}`, force: true, legacy: false }
      }
    ]).flat()
  ),
  // As those, but the first of two cancels waits, and lands when the second has led to the end.
  lateCancels: world(
    1_000_038,
    inTurn(6, 40, 60),
    Array.from({ length: 6 }, (_, n) => [
      {
        at: 40 * n + 7,
        event: {
          what: "lands late" as const,
          by: "person" as const,
          type: "CANCELLING" as const,
          after: 25_000,
          times: 1
        }
      },
      ...[8, 10].map((second) => ({
        at: 40 * n + second,
        event: { what: "cancel" as const, run: `r${n + 1}`, force: true, legacy: false }
      }))
    ]).flat(),
    { line: "2" }
  ),
  // A person moves runs whose jobs work.
  moved: world(
    1_000_016,
    runs(4, 600),
    Array.from({ length: 4 }, (_, n) => ({
      at: 90,
      event: { what: "rescheduled" as const, run: `r${n + 1}`, later: 0 }
    }))
  ),
  // A claimant stands still right after its start, and meanwhile the run has a newer claim, whose engine is slow.
  outrun: world(
    1_000_017,
    inTurn(3, 100, 20).map((run) => ({ ...run, due: run.due + 10, flow: { ...run.flow, startUp: 80 } })),
    Array.from({ length: 3 }, (_, n) => {
      const [at, run] = [100 * n, `r${n + 1}`]
      const stands = { service: "Control Plane" as const, call: "start", nth: 1, when: "after" as const }
      return [
        ...[0, 1].map((slot) => ({
          at: at + 5,
          event: { what: "paused at a call" as const, ...stands, slot, within: 60, seconds: 40 }
        })),
        { at: at + 18, event: { what: "job vanishes" as const, run, listed: false } },
        { at: at + 18, event: { what: "crash by hand" as const, run } },
        { at: at + 19, event: { what: "retry" as const, run } }
      ]
    }).flat()
  ),
  // Starts are refused for a while after the claim, and meanwhile a person ends the run.
  refused: world(
    1_000_025,
    inTurn(3, 100, 20).map((run) => ({ ...run, due: run.due + 9 })),
    Array.from({ length: 3 }, (_, n) => [
      { at: 100 * n + 5, event: { what: "quota" as const, times: 4 } },
      { at: 100 * n + 14, event: { what: "crash by hand" as const, run: `r${n + 1}` } }
    ]).flat(),
    { replicas: 1 }
  ),
  // An agent stands still with what it was just offered, and meanwhile the other one runs it to its end.
  offered: world(
    1_000_028,
    inTurn(3, 100, 5).map((run) => ({ ...run, due: run.due + 9 })),
    Array.from({ length: 3 }, (_, n) => [
      {
        at: 100 * n + 9.99,
        event: {
          what: "paused at a call" as const,
          service: "Prefect" as const,
          call: "scheduledRuns",
          nth: 1,
          when: "after" as const,
          slot: n % 2,
          within: 5,
          seconds: 60
        }
      },
      // An end that is lost is given back no sooner than the history answers.
      {
        at: 100 * n + 60,
        event: {
          what: "fault" as const,
          call: "history" as const,
          fault: { kind: "slow", before: 12_000, after: 0 } as const,
          times: 3
        }
      }
    ]).flat()
  ),
  // More is due at once than the limit allows.
  limited: world(1_000_026, runs(8, 30), [], {
    replicas: 1,
    oneLink: true,
    settings: { ...settings, limit: 2 }
  }),
  // Everybody wants the same runs at the same second.
  raced: world(
    1_000_027,
    runs(16, 20).map((run, n) => ({ ...run, due: 5 + 3 * n })),
    [],
    { replicas: 5 }
  ),
  // Of runs that are run again, jobs of the second attempt vanish.
  secondVanishes: world(
    1_000_018,
    runs(4, 60),
    [
      ...again(4, 120),
      ...Array.from({ length: 4 }, (_, n) => ({
        at: 150,
        event: { what: "job vanishes" as const, run: `r${n + 1}`, listed: false }
      }))
    ],
    { settings: { ...settings, maxDisruption: 1_000 } }
  ),
  // Of runs that are run again, a person takes the PID away while the second job works.
  secondUnnamed: world(1_000_019, runs(4, 60), [
    ...again(4, 120),
    ...Array.from({ length: 4 }, (_, n) => ({
      at: 150,
      event: { what: "PID edited" as const, run: `r${n + 1}`, to: "nothing" as const }
    }))
  ])
} satisfies Readonly<Record<string, Plan>>
