/**
 * An attempt is one claim of one flow run. Its id stands in a tag of every command of that attempt.
 *
 * Invariant: as text, attempts of one run sort by the time of their claim.
 */

/** `<time of the accepted PENDING state, UTC, fixed width>_<transition id>`; `at` is in milliseconds since 1970. */
export const attemptId = (at: number, transitionId: string): string =>
  `${new Date(at).toISOString()}_${transitionId}`

/** The transition id inside an attempt id. */
export const transitionOf = (attempt: string): string => attempt.slice(attempt.lastIndexOf("_") + 1)
