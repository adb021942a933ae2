/**
 * The world that catches each mutant first, by name: the number of a seed, or a world that was thought out for it. Further
 * ones are tried where it does not any more.
 */
import type { World } from "./special.ts"

export const caughtBy: Readonly<Record<string, number | World>> = {
  "a forced write": "cancels",
  "no linger": "lastWords",
  "no query after a start whose answer was lost": "doubts",
  "CANCELLED before the job is over": "cancels",
  "CANCELLED although another job lives": "cancelledDoubles",
  "no second look at failed": "corrected",
  "old attempts decide": "secondUnnamed",
  "a job of an older claim decides": "secondVanishes",
  "404 of a run without the pool check": "poolReplaced",
  "no brake": "emptied",
  "a drain that stops jobs": "drained",
  "the local clock for ages": "lastWords",
  "a start counts as a job": "cancelledEarly",
  "ends are lost to late states": "lateRunning",
  "derived transition ids of claims": "raced",
  "no read before an end is written": "endedByOthers",
  "ends with fresh ids": "cancels",
  "no confirmation before a stop": "oldEnds",
  "the PID over a newer claim": "outrun",
  "adoptable jobs are ignored": "handedBack",
  "no wait for the job of an earlier claim": "moved",
  "a hand-back without proof of absence": "doubts",
  "claimable while its job lives": "retries",
  "the lost answer of a claim is a lost claim": "lostAnswers",
  "strays live on": "doubles",
  "no answer counts as absence": "unanswered",
  "gone after one look": "unseen",
  "old offers are claimed": "offered",
  "a proof holds for ever": "refused",
  "runs of every pool, whoever's they are": 1,
  "a watch that never idles": "quiet",
  "no pause after a failure": "away",
  "secrets in a line": 1,
  "the limit is ignored": "limited",
  "runs are left open after their job": "corrected",
  "first page only": "crowded",
  "clean-up counts from the start": "idle",
  "a stop that the history does not speak for": "wentBack",
  "another agent's job is stopped": "reference"
}
