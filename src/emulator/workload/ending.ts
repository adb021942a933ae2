/** How long a pod of a workload has to end. Pure. */
import { at, numberOf } from "../json.ts"
import type { EmulatorSettings } from "../settings.ts"
import type { Resource } from "../store.ts"

/** In milliseconds from the stop on. The workload's own grace wins over the default of the emulator. */
export const endingTimes = (
  workload: Resource | undefined,
  settings: Pick<EmulatorSettings, "grace" | "preStop">
): { readonly grace: number; readonly preStop: number } => {
  const own = numberOf(at(workload?.body, ["spec", "rolloutOptions", "terminationGracePeriodSeconds"]))
  const grace = own === undefined ? settings.grace : own * 1000
  return { grace, preStop: Math.min(grace, settings.preStop ?? grace / 2) }
}
