/**
 * Changes of the program that each break a promise: what the audit has to notice.
 *
 * Invariant: `from` occurs exactly once in the file, and the changed file is a program that runs.
 */
import type { Plan } from "./plan.ts"
import type { PromiseId } from "./promise.ts"

export interface Mutant {
  readonly name: string
  /** The promise that it breaks. */
  readonly promise: PromiseId
  readonly file: string
  readonly from: string
  readonly to: string
  /** The one world in which it shows, where the worlds of the seeds have no room for it. */
  readonly plan?: Plan
}

export const mutants: ReadonlyArray<Mutant> = []
