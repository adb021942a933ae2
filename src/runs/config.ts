/** Who this agent is, and the settings that the handling of runs depends on. Made once at start, never changed. */
import { Context, type Redacted } from "effect"
import type { ServerVersion } from "../prefect/prefect.ts"

/** What Control Plane injects into the agent's own container, or a person sets; links already cut to names. */
export interface Injected {
  readonly endpoint: string
  readonly org: string | undefined
  readonly gvc: string | undefined
  readonly location: string | undefined
  readonly token: Redacted.Redacted | undefined
}

export class RunsConfig extends Context.Service<
  RunsConfig,
  {
    /** Name of the worker row, unique to this process unless the user gave one. */
    readonly workerName: string
    /** Value of the tag `cpln/prefectAgent`: the agent's workload link, else the name as given, else `cpln-<hostname>`. */
    readonly agentLink: string
    /** Values of that tag that other agents left on commands whose runs are ours all the same. */
    readonly adopted: ReadonlySet<string>
    readonly pool: string
    readonly poolId: string
    readonly server: ServerVersion
    readonly injected: Injected
    /** Whether identities and policies of jobs may be made here, or are only looked for. */
    readonly identities: "manage" | "given"
    /** All `PREFECT_*` settings of this process by name; `src/job` picks those that jobs get. May hold secrets. */
    readonly prefectSettings: Readonly<Record<string, string>>
    /** The whole environment, for `{{ $NAME }}` placeholders of the pool's template. */
    readonly environment: Readonly<Record<string, string>>
    /** Most jobs that may be ended within 15 minutes because something is absent; undefined: by the live ones. */
    readonly maxDisruption: number | undefined
    /** What follows is in milliseconds. */
    readonly settle: number
    readonly cancelGrace: number
    readonly linger: number
    readonly mainLinger: number
    readonly startTimeout: number
    readonly launchDeadline: number
    readonly doubtHorizon: number
    readonly monitorInterval: number
    readonly unreportedExit: "COMPLETED" | "CRASHED"
  }
>()("agent/runs/RunsConfig") {}
