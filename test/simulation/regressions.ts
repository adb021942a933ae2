/**
 * Worlds in which a promise was once broken. They are played first, and stay as they are.
 *
 * Invariant: a plan that was cut down is kept whole, because what a seed draws changes with the plans.
 */
import { readFileSync } from "node:fs"
import type { Plan } from "./plan.ts"

export interface Regression {
  /** What went wrong, in a line. */
  readonly story: string
  /** Its plan, in this folder. */
  readonly file: string
  readonly plan: Plan
}

/** By seed: the plan of each is in `regressions/seed-N.json`. */
const stories: ReadonlyArray<readonly [number, string]> = [
  [1, "A run of two attempts whose newer job vanished got the end of the older one, while it was RUNNING."],
  [
    56,
    "A server whose answers take two seconds and more: every proof was too old when it came, so that no job was ever started and the run was CRASHED."
  ],
  [
    40,
    "A job that started after the start timeout lost its linger: the stop that had been wanted then was sent as soon as its run ended."
  ],
  [
    59,
    "Of two claims that were accepted at once, both with starts in doubt, the older one's claimant stopped its own, older job."
  ],
  [
    9223,
    "Of three claims that were accepted at once, a claimant without a job called the run CANCELLED while another one's job had yet to begin."
  ],
  [
    20104,
    "A start in doubt was sent again long after the search for it, and its job had come by then; of the two the younger was kept, because the PID named it, and the older was stopped."
  ],
  [1414, "A job that an old answer showed as not started was stopped as one, 15 s after its run had ended."],
  [
    40336,
    "The job of a run vanished, and a double of it that had been stopped before gave the run its end: COMPLETED."
  ],
  [
    40056,
    "As that one, with a double of which the PID had been written last, and that was being stopped when the other one vanished."
  ],
  [
    7456,
    "A run that waited in its job for a retry and was given another time by a person was never run again."
  ],
  [
    42286,
    "A job that was stopped as its run had ended took the run up again and ended well: the run was COMPLETED."
  ],
  [
    42542,
    "A run that was cancelled in the old way, before it had a job, stayed Cancelling where the syncs came every 30 s: what had been looked for was forgotten with each."
  ],
  [
    47471,
    "A run got its end from the job of an earlier attempt, which was remembered as over, because its PID had never been seen to change: COMPLETED, where its newer job had failed."
  ],
  [
    46552,
    "Of two claims that were accepted at once, the one that counted was given up because the search for the other one's job was refused once: the run waited for five looks of the watch."
  ],
  [
    103809,
    "A run that a person called CRASHED was taken up by its engine while the read of its history hung: its job was stopped a minute later."
  ],
  [
    105595,
    "Of two claims that were accepted at once, one had its start refused, and called the run CRASHED beside the other's job."
  ],
  [
    106842,
    "A run got its end from the job of an earlier attempt, which was remembered as over, because nobody had seen the run claimed anew and the PID was not written yet."
  ],
  [
    500222,
    "A run that never reported stayed RUNNING: the record of its job was deleted, and of the job only a side container was left, which lived on for hours."
  ],
  [
    600176,
    "A claim that waited in the server landed after a newer one, with the server's renaming to Late between them: both jobs of the run were stopped as the older one."
  ],
  [
    600243,
    "A claim landed on the end of its run after its claimant had gone: nobody gave the end back, and the run went on."
  ],
  [610085, "As that, where a job of another claim was there."],
  [610597, "Claimant and watch both gave an end back that a late claim had replaced, and wrote it twice."],
  [
    611471,
    "A claim landed on a newer one, which had its job: the claimant started a second job and had the newer one's stopped."
  ],
  [
    611640,
    "The engine's Running landed on Cancelled while its job lived: Cancelled was written back before the job was over."
  ],
  [
    640142,
    "The machine's clock was set back by an hour, and what was read of a job's containers was taken for fresh for as long: the run of a job with side containers stayed RUNNING."
  ],
  [
    126,
    "A start whose answer was lost was sent again after the doubt horizon and refused: the run was called CRASHED while the first one came to a job."
  ]
]

export const regressions: ReadonlyArray<Regression> = stories.map(([seed, story]) => {
  const file = `regressions/seed-${seed}.json`
  return { story, file, plan: JSON.parse(readFileSync(new URL(file, import.meta.url), "utf8")) as Plan }
})
