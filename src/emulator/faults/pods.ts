/**
 * A pod as the driver runs it, with the faults that its containers may have.
 *
 * Invariant: what the driver emits is told in its order, but for the ends of side containers that stay: those are told when
 * the pod was killed.
 */
import { Deferred, Effect } from "effect"
import type { Driver, Pod } from "../jobs/driver.ts"
import type { RunEvent } from "../jobs/run-state.ts"
import type { Command } from "../store.ts"
import { asOutOfMemory, type RunFaults } from "./runs.ts"

/** What is known of a pod besides its run's state. */
export interface PodFate {
  isOutOfMemory: boolean
  /** Done when the pod was killed. */
  readonly killed: Deferred.Deferred<void>
}

export const newFate = (): PodFate => ({ isOutOfMemory: false, killed: Deferred.makeUnsafe() })

/** Exit code of what was killed. */
const killed = 137

/** Runs it to its end; interruption kills what is left. */
export const carryPod = (
  driver: Driver["Service"],
  faults: RunFaults["Service"],
  command: Command,
  pod: Pod,
  fate: PodFate,
  tell: (event: RunEvent) => Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const [main] = pod.containers
    const staying = pod.containers.length > 1 ? faults.choose("sidecar", command) : undefined
    const held: Array<RunEvent> = []
    const emit = (event: RunEvent) =>
      Effect.suspend(() => {
        const told = fate.isOutOfMemory ? asOutOfMemory(event) : event
        const isSide = told._tag === "ContainerEnded" && told.container !== main?.name
        if (staying === undefined || !isSide || Deferred.isDoneUnsafe(fate.killed)) return tell(told)
        if (held.length === 0) faults.fired(staying.fault)
        held.push({ ...told, exitCode: killed })
        return Effect.void
      })
    const released = Effect.suspend(() =>
      held.length === 0
        ? Effect.void
        : Effect.andThen(Deferred.await(fate.killed), Effect.forEach(held, tell, { discard: true }))
    )
    return Effect.andThen(driver.run(pod, emit), released)
  })
