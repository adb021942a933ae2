/**
 * Worlds in which a promise was once broken. They are played first, and stay as they are.
 *
 * Invariant: a plan that was cut down is kept whole, because what a seed draws changes with the plans.
 */
import type { Plan } from "./plan.ts"

export interface Regression {
  /** What went wrong, in a line. */
  readonly story: string
  /** A seed where the plan was not kept. */
  readonly plan: Plan | number
}

export const regressions: ReadonlyArray<Regression> = []
