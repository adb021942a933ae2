/**
 * From a flow run to what is sent for it: reads what the run is made from, and hands it to the pure part (`src/job`).
 *
 * Invariant: nothing is created here, and what Control Plane would refuse is refused here, every problem at once. What
 * may pass by itself (5xx, 429, a refused credential) is an `ApiError`, never a refusal.
 */
import { Effect, Result } from "effect"
import type { StartCommand } from "../../cpln/commands.ts"
import { WorkloadRef } from "../../cpln/schemas.ts"
import type { ApiError } from "../../http/errors.ts"
import { revealPolicy, toApply } from "../../job/to-apply.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { accessOf } from "./access.ts"
import { RunsConfig } from "../config.ts"
import { deadlineOf, definitionOf, type OtherInfrastructure, refuse, type RunRefused } from "./definition.ts"
import { Preparation } from "./preparation.ts"
import { startOf, toSend } from "./to-send.ts"
import type { Wanted } from "../workloads/workload.ts"

export { Preparation } from "./preparation.ts"

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

export const prepare = Effect.fn("runs.prepare")(function* (
  run: FlowRun
): Effect.fn.Return<Prepared, RunRefused | OtherInfrastructure | ApiError, Preparation | RunsConfig> {
  const { poolId, injected } = yield* RunsConfig
  const definition = yield* definitionOf(run)
  const { called, explain, explainManifest, gvc, jobType, manifest, org } = definition
  const access = accessOf(definition, injected)
  const converted = yield* toSend(
    {
      manifest,
      org,
      gvc,
      location: definition.location ?? undefined,
      jobType,
      poolId,
      called,
      ofWhom: " of the agent",
      explain,
      explainManifest,
      mayNotReveal: revealForAgent
    },
    access,
    yield* Preparation
  )
  if (Result.isFailure(converted)) return yield* refuse(converted.failure)
  const job = converted.success
  const workload = new WorkloadRef({ org, gvc, name: job.name })
  return {
    wanted: {
      place: { access, workload },
      tags: job.tags,
      spec: job.spec,
      identity: job.identity,
      policy: job.policy,
      secrets: job.secrets,
      location: job.location,
      readyWithin: Math.max(0, definition.podWatchTimeout) * 1000
    },
    // The watch finds the run by this tag, whatever label a user gave that name.
    what: startOf(job, { ...job.labels, "prefect.io/flow-run-id": run.id }),
    where: `${workload.org}:${workload.gvc}:${workload.name}`,
    warnings: [...definition.warnings, ...job.warnings],
    flowName: definition.flowName,
    deadline: deadlineOf(definition),
    streamOutput: definition.streamOutput
  }
})

const revealForAgent = (org: string, secret: string): string =>
  [
    `Name the keys one by one in env (secretKeyRef), or let the agent's own account reveal them by this policy (cpln apply --org ${org} --file FILE, with the account's link in place of AGENT):`,
    toApply(
      revealPolicy(`prefect-agent-reveal-${secret}`.slice(0, 49), `/org/${org}/serviceaccount/AGENT`, [
        secret
      ])
    )
  ].join("\n")
