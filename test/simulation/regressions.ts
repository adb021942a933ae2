/**
 * Worlds in which a promise was once broken. They are played first, and stay as they are.
 *
 * Invariant: a plan that was cut down is kept whole, because what a seed draws changes with the plans.
 */
import type { Plan } from "./plan.ts"

export interface Regression {
  /** What went wrong, in a line. */
  readonly story: string
  readonly plan: Plan
}

export const regressions: ReadonlyArray<Regression> = [
  {
    story:
      "A run of two attempts whose newer job vanished got the end of the older one, while it was RUNNING.",
    plan: {
      seed: 1,
      line: "3",
      replicas: 1,
      oneLink: true,
      settings: {
        interval: 60,
        watchInterval: 5,
        queryInterval: 2,
        cancelInterval: 4,
        cancelGrace: 20,
        linger: 30,
        mainLinger: 120,
        settle: 60,
        launchDeadline: 120,
        doubtHorizon: 30,
        startTimeout: 900,
        maxDisruption: 1000,
        limit: undefined
      },
      latency: { least: 10, most: 10 },
      acceptsTwo: false,
      clocks: [0, 0, 0, 0, 0],
      stopping: { grace: 10, endsAs: "cancelled" },
      runs: [
        {
          id: "r4",
          due: 67,
          retries: 0,
          flow: {
            pending: 3,
            startUp: 1,
            runs: 60,
            reports: "CRASHED",
            exitCode: 1,
            hearsCancel: 5,
            flush: 0,
            pauses: { how: "suspended", resumed: 90 }
          }
        }
      ],
      peaceAt: 360,
      events: [
        { at: 160, event: { what: "pause", slot: 0, seconds: 39 } },
        { at: 239, event: { what: "job vanishes", run: "r4", listed: false } }
      ]
    }
  },
  {
    story:
      "A server whose answers take two seconds and more: every proof was too old when it came, so that no job was ever started and the run was CRASHED.",
    plan: {
      seed: 56,
      line: "3",
      replicas: 1,
      oneLink: true,
      settings: {
        interval: 20,
        watchInterval: 15,
        queryInterval: 6,
        cancelInterval: 2,
        cancelGrace: 60,
        linger: 10,
        mainLinger: 120,
        settle: 20,
        launchDeadline: 120,
        doubtHorizon: 30,
        startTimeout: 300,
        maxDisruption: 1000,
        limit: undefined
      },
      latency: { least: 2400, most: 2400 },
      acceptsTwo: true,
      clocks: [0, 0, 0, 0, 0],
      stopping: { grace: 10, endsAs: "cancelled" },
      runs: [
        { id: "r1", due: 10, retries: 0, flow: { pending: 1, startUp: 1, runs: 20, reports: "COMPLETED" } }
      ],
      peaceAt: 360,
      events: []
    }
  },
  {
    story:
      "A job that started after the start timeout lost its linger: the stop that had been wanted then was sent as soon as its run ended.",
    plan: {
      seed: 40,
      line: "3",
      replicas: 1,
      oneLink: true,
      settings: {
        interval: 20,
        watchInterval: 15,
        queryInterval: 6,
        cancelInterval: 2,
        cancelGrace: 60,
        linger: 10,
        mainLinger: 120,
        settle: 20,
        launchDeadline: 120,
        doubtHorizon: 30,
        startTimeout: 120,
        maxDisruption: 1000,
        limit: undefined
      },
      latency: { least: 10, most: 10 },
      acceptsTwo: true,
      clocks: [0, 0, 0, 0, 0],
      stopping: { grace: 10, endsAs: "cancelled" },
      runs: [
        {
          id: "r6",
          due: 0,
          retries: 0,
          flow: {
            pending: 200,
            startUp: 20,
            runs: 20,
            reports: "COMPLETED",
            exitCode: 0,
            corrected: 30,
            hearsCancel: 5,
            flush: 25,
            term: "reports CRASHED"
          }
        }
      ],
      peaceAt: 360,
      events: []
    }
  },
  {
    story:
      "Of two claims that were accepted at once, both with starts in doubt, the older one's claimant stopped its own, older job.",
    plan: {
      seed: 59,
      line: "2",
      replicas: 2,
      oneLink: true,
      settings: {
        interval: 60,
        watchInterval: 5,
        queryInterval: 2,
        cancelInterval: 2,
        cancelGrace: 20,
        linger: 30,
        mainLinger: 120,
        settle: 60,
        launchDeadline: 120,
        doubtHorizon: 30,
        startTimeout: 300,
        maxDisruption: 1000,
        limit: undefined
      },
      latency: {
        least: 5,
        most: 400
      },
      acceptsTwo: true,
      clocks: [0, 240000, 700, 700, -180000],
      stopping: {
        grace: 10,
        endsAs: "cancelled"
      },
      runs: [
        {
          id: "r1",
          due: 7,
          retries: 0,
          flow: {
            pending: 1,
            startUp: 1,
            runs: 20,
            reports: "FAILED",
            exitCode: 137,
            flush: 25,
            term: "reschedules"
          }
        },
        {
          id: "r2",
          due: 20,
          retries: 0,
          flow: {
            pending: 1,
            startUp: 20,
            runs: 60,
            reports: "nothing",
            exitCode: 1,
            hooks: 1,
            flush: 0,
            term: "reschedules"
          }
        },
        {
          id: "r3",
          due: 96,
          retries: 0,
          flow: {
            pending: 100,
            startUp: 5,
            runs: 60,
            reports: "CRASHED",
            exitCode: 0,
            flush: 1
          }
        }
      ],
      peaceAt: 240,
      events: [
        {
          at: 36,
          event: {
            what: "containers killed",
            run: "r1",
            reason: "Evicted"
          }
        },
        {
          at: 78,
          event: {
            what: "wrong status",
            call: "readWorkPool",
            status: 401
          }
        },
        {
          at: 102,
          event: {
            what: "outage",
            service: "Prefect",
            seconds: 40,
            how: {
              kind: "timeout",
              lands: "never"
            }
          }
        },
        {
          at: 128,
          event: {
            what: "late start",
            lands: 16000
          }
        },
        {
          at: 166,
          event: {
            what: "late start",
            lands: 25000
          }
        },
        {
          at: 183,
          event: {
            what: "fault",
            call: "scheduledRuns",
            fault: {
              kind: "reset",
              commit: "never"
            },
            times: 2
          }
        },
        {
          at: 217,
          event: {
            what: "retry",
            run: "r2"
          }
        }
      ]
    }
  }
]
