/**
 * What one promise of the auditor is made of.
 *
 * Invariant: a check reads evidence and nothing else, and every bound says where its seconds come from.
 */
import type { Evidence } from "./evidence.ts"
import type { PlannedSettings } from "./plan.ts"

export type PromiseId = "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I7" | "I9" | "I10" | "I11" | "I13"

/** Where a promise was not kept; `at` in ms since 1970. */
export interface Finding {
  readonly at: number
  readonly runId: string | undefined
  readonly what: string
}

export interface Violation extends Finding {
  readonly promise: PromiseId
  readonly check: string
}

export interface Check {
  readonly promise: PromiseId
  /** A sentence that holds. */
  readonly name: string
  /** The bound in words, with its reason. */
  readonly bound: string
  readonly find: (evidence: Evidence) => ReadonlyArray<Finding>
}

/** In seconds, for bounds that follow from the settings of the world. */
export type Allowance = (settings: PlannedSettings, grace: number) => number
