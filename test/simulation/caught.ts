/**
 * A seed that catches each mutant fast, by name. Not needed: further seeds are tried where one does not any more.
 */
export const caughtBy: Readonly<Record<string, number>> = {
  "a forced write": 1,
  "no linger": 2,
  "no second look at failed": 34,
  "a drain that stops jobs": 2,
  "the local clock for ages": 6,
  "ends with fresh ids": 2,
  "derived transition ids of claims": 36,
  "old offers are claimed": 6,
  "no pause after a failure": 4,
  "secrets in a line": 1,
  "a proof holds for ever": 7
}
