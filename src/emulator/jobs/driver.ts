/**
 * What carries out the containers of a pod: real processes, or none at all.
 *
 * Invariant: the engine decides when and why; a driver only starts, signals, and tells what happened. After `run` ended
 * nothing of the pod lives.
 */
import { Context, type Effect } from "effect"
import type { RunEvent } from "./run-state.ts"

export interface PodContainer {
  readonly name: string
  readonly image: string
  /** The one-string entrypoint; undefined is the image's own, which no driver has. */
  readonly command: string | undefined
  readonly args: ReadonlyArray<string>
  /** Everything that the platform would put there, injected values included; secret references are resolved. */
  readonly env: Readonly<Record<string, string>>
  readonly workingDir: string | undefined
}

export interface Pod {
  readonly org: string
  readonly gvc: string
  readonly workload: string
  readonly location: string
  /** Pod name, such as `command-<id>-abcde`. */
  readonly replica: string
  readonly workloadVersion: number
  /** In order; the run ends when the last one does. */
  readonly containers: ReadonlyArray<PodContainer>
}

export class Driver extends Context.Service<
  Driver,
  {
    /**
     * Starts all containers and returns when the last has ended. Emits `ContainerEnded` for each, as it ends, with its
     * exit code (128 + signal for one that was killed). Interruption kills what is left.
     */
    run(pod: Pod, emit: (event: RunEvent) => Effect.Effect<void>): Effect.Effect<void>
    /** To every process of every container of the pod; nothing happens for a pod that is gone. */
    signal(replica: string, signal: "SIGTERM" | "SIGKILL"): Effect.Effect<void>
  }
>()("emulator/jobs/Driver") {}
