/**
 * From a flow run to what is sent for it: reads what the run is made from, and hands it to the pure part.
 *
 * Invariant: nothing is created here, and what Control Plane would refuse is refused here, every problem at once. What
 * may pass by itself (5xx, 429) is an `ApiError`, never a refusal.
 */
import { Context, Effect, Layer, Schema } from "effect"
import type { StartCommand } from "../cpln/commands.ts"
import type { ControlPlane } from "../cpln/control-plane.ts"
import type { ApiError } from "../http/errors.ts"
import type { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import type { RunsConfig } from "./config.ts"
import type { CurrentPool } from "./pool.ts"
import type { Wanted } from "./workload.ts"

/** The run cannot run as it is defined; `problems` is the text that its owner reads. */
export class RunRefused extends Schema.TaggedError<RunRefused>()("RunRefused", { problems: Schema.String }) {
  override get message() {
    return this.problems
  }
}

export interface Prepared {
  readonly wanted: Wanted
  /** The start's own part, without the tags that say which agent, pool and attempt it is of. */
  readonly what: StartCommand
  /** `org:gvc:workload`, as it stands in claim messages. */
  readonly where: string
  readonly warnings: ReadonlyArray<string>
  readonly flowName: string
  /** `job_watch_timeout_seconds`, in ms. */
  readonly deadline: number | undefined
  readonly streamOutput: boolean | undefined
}

export class Preparation extends Context.Service<Preparation, {}>()("agent/runs/Preparation") {
  static readonly layer: Layer.Layer<Preparation, never, Prefect | CurrentPool> = Layer.succeed(
    Preparation,
    {}
  )
}

export const prepare: (
  run: FlowRun
) => Effect.Effect<Prepared, RunRefused | ApiError, Preparation | RunsConfig | ControlPlane> = () =>
  Effect.fail(new RunRefused({ problems: "not prepared yet" }))
