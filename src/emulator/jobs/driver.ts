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
  /** Folders of this machine that stand for the volumes mounted at the paths. */
  readonly volumes?: ReadonlyArray<{ readonly path: string; readonly folder: string }> | undefined
}

/** What becomes of a container that ended by itself: a job's policy, or that of a workload that serves. */
export type Restarts = "Never" | "OnFailure" | "Always"

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
  /** `Never` where it is left out. */
  readonly restarts?: Restarts | undefined
}

/** A program to be run beside those of a container, in its environment and folder. */
export interface Exec {
  readonly replica: string
  readonly container: string
  readonly command: ReadonlyArray<string>
  /** Whether it should find a terminal, where this machine can make one. */
  readonly tty: boolean
  /** Gets its standard input; without it that is empty. */
  readonly onInput?: (input: {
    readonly write: (bytes: Uint8Array) => void
    readonly end: () => void
  }) => void
  readonly onOutput: (bytes: Uint8Array) => void
}

export class Driver extends Context.Service<
  Driver,
  {
    /**
     * Starts all containers and returns when the last has ended. Emits `ContainerEnded` for each, as it ends, with its
     * exit code (128 + signal for one that was killed), or `ContainerRestarted` for one that ended and will be started
     * again. Where anything restarts, `ContainerStarted` tells of each process. Interruption kills what is left.
     */
    run(pod: Pod, emit: (event: RunEvent) => Effect.Effect<void>): Effect.Effect<void>
    /** To every process of every container of the pod, none of which restarts any more; nothing for a pod that is gone. */
    signal(replica: string, signal: "SIGTERM" | "SIGKILL"): Effect.Effect<void>
    /** The exit code; a text that says why there is none. Interruption kills the program. */
    exec(ask: Exec): Effect.Effect<number, string>
  }
>()("emulator/jobs/Driver") {}
