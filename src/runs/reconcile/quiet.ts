/**
 * Runs that nothing happens to: most of them, most of the time. Between two syncs such a run is not looked at again,
 * because the look would be made of the very rows of the last one and would come to the same.
 *
 * Invariant: a run is quiet only while both rows are those of its last look, nothing of it was left to be done, and
 * time alone changes nothing yet. To be looked at once too often costs little; to be missed is never right.
 */
import { infrastructurePid } from "../../job/infrastructure-pid.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { Quiet, RunMemory } from "../look/board.ts"
import type { Judgement } from "./judge.ts"
import type { Bulk, Look } from "../look/look.ts"
import { nextChange } from "../decide/next-change.ts"
import { hasSideContainers, pidOf } from "../decide/normalise.ts"

/** To be asked once all that follows from the look has been done; undefined where the next look may come to something. */
export const quietAfter = (
  run: FlowRun,
  looked: Look,
  { decision, observation, policy, view }: Judgement,
  memory: RunMemory,
  now: number
): Quiet | undefined => {
  if (looked._tag !== "Found" || looked.strays.length > 0) return undefined
  const { command } = looked.current
  const nothingLeft =
    run.state_type === "RUNNING" &&
    observation._tag === "Live" &&
    decision._tag === "Wait" &&
    // How its main container stands is read of another object.
    !hasSideContainers(command) &&
    run.infrastructure_pid === infrastructurePid(pidOf(looked.current)) &&
    memory.deadline !== undefined &&
    memory.stops.size === 0
  if (!nothingLeft) return undefined
  return { run, command, until: now + (nextChange(view, observation, policy)?.after ?? Infinity) }
}

/** `bulk` are the live commands of the run as the bulk queries saw them. */
export const isQuiet = ({ quiet }: RunMemory, run: FlowRun, bulk: Bulk | undefined, now: number): boolean =>
  quiet !== undefined &&
  quiet.run === run &&
  bulk?.length === 1 &&
  bulk[0]?.command === quiet.command &&
  now < quiet.until
