/**
 * What would happen with a flow run, a deployment or a manifest, and whether it could run.
 *
 * Invariant: nothing is written, neither in Prefect nor at Control Plane, and no secret stands in a plan.
 */
import { Effect, Result } from "effect"
import type { HttpClient } from "effect/http"
import type { LoneJob } from "../cpln-job/block.ts"
import { define, type JobRefused } from "../cpln-job/define.ts"
import { unfit } from "../cpln-job/ensure.ts"
import { startTag } from "../cpln-job/start.ts"
import type { StartCommand } from "../cpln/commands.ts"
import type { Access, ControlPlane } from "../cpln/control-plane.ts"
import type { ApiError } from "../http/errors.ts"
import { ofTheWhole, type Problem } from "../job/problem.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { RunsConfig } from "../runs/config.ts"
import type { RunRefused } from "../runs/prepare/definition.ts"
import { agentTag, attemptTag, poolTag } from "../runs/decide/normalise.ts"
import type { Preparation } from "../runs/prepare/preparation.ts"
import { prepare } from "../runs/prepare/prepare.ts"
import { onPlatform, type Platform, type Sending } from "./sending.ts"

export interface Plan {
  readonly target: string
  /** `other`: another agent runs it. */
  readonly verdict: "can run" | "cannot run" | "other"
  readonly errors: ReadonlyArray<Problem>
  readonly warnings: ReadonlyArray<string>
  readonly notes?: ReadonlyArray<string>
  readonly place?: { readonly org: string; readonly gvc: string; readonly location: string }
  readonly secrets?: ReadonlyArray<string>
  readonly identity?: Platform["identity"]
  readonly policy?: Platform["policy"]
  readonly workload?: Platform["workload"]
  /** As it would be posted. */
  readonly command?: Readonly<Record<string, unknown>>
}

export const failed = (target: string, errors: ReadonlyArray<Problem>): Plan => ({
  target,
  verdict: "cannot run",
  errors,
  warnings: []
})

const problemsOf = (error: RunRefused | JobRefused | ApiError): ReadonlyArray<Problem> =>
  "problems" in error ? error.problems : [ofTheWhole(error.message)]

/** A run that would be made of this deployment: its id and name are not known yet. */
export const runOf = (deployment: { readonly id: string; readonly flow_id: string }): FlowRun => ({
  id: "00000000-0000-0000-0000-000000000000",
  name: "flow-run",
  flow_id: deployment.flow_id,
  deployment_id: deployment.id,
  state_type: "SCHEDULED",
  run_count: 0,
  tags: []
})

const unknownYet =
  "A run has an id and a name of its own, and each start an attempt: here they stand as 00000000-0000-0000-0000-000000000000, flow-run and ATTEMPT."

export const planRun = Effect.fn("plan.run")(function* (
  run: FlowRun,
  target: string
): Effect.fn.Return<Plan, never, Preparation | RunsConfig | ControlPlane | HttpClient.HttpClient> {
  const config = yield* RunsConfig
  const result = yield* Effect.result(prepare(run))
  if (Result.isFailure(result)) {
    const error = result.failure
    return error._tag === "OtherInfrastructure"
      ? { target, verdict: "other", errors: [], warnings: [error.message] }
      : failed(target, problemsOf(error))
  }
  const { wanted, warnings, what } = result.success
  const ours = `${poolTag}=${config.poolId}`
  const command: StartCommand = {
    ...what,
    tags: {
      ...what.tags,
      [agentTag]: config.agentLink,
      [poolTag]: config.poolId,
      [attemptTag]: "ATTEMPT"
    }
  }
  const plan = yield* planSending(target, warnings, config.identities, {
    ...wanted,
    command,
    unfit: ({ tags }) =>
      String(tags?.[poolTag]) === config.poolId
        ? undefined
        : {
            path: `workload ${wanted.place.workload.name}`,
            rule: `one of this name exists without the tag ${ours}, so it is not this pool's`,
            remedy: "Rename or delete it."
          },
    whenDiffering: "somebody changed it, and the agent would put it right"
  })
  return { ...plan, notes: [unknownYet] }
})

/** A job that is no flow run, as `agent job run` would run it. */
export const planJob = Effect.fn("plan.job")(function* (
  job: LoneJob,
  access: Access,
  target: string,
  identities: "manage" | "given"
): Effect.fn.Return<Plan, never, ControlPlane | HttpClient.HttpClient> {
  const result = yield* Effect.result(define(job, access))
  if (Result.isFailure(result)) return failed(target, problemsOf(result.failure))
  const { converted, place, warnings, what } = result.success
  return yield* planSending(target, warnings, identities, {
    place,
    tags: converted.tags,
    spec: converted.spec,
    identity: converted.identity,
    policy: converted.policy,
    secrets: converted.secrets,
    command: { ...what, tags: { ...what.tags, [startTag]: "START" } },
    unfit: (there) => {
      const why = unfit(there, { converted })
      return why === undefined ? undefined : ofTheWhole(why)
    },
    whenDiffering: "it would be used as it is"
  })
})

const planSending = Effect.fnUntraced(function* (
  target: string,
  warned: ReadonlyArray<string>,
  identities: "manage" | "given",
  sending: Sending
): Effect.fn.Return<Plan, never, ControlPlane | HttpClient.HttpClient> {
  const { errors, warnings, ...platform } = yield* onPlatform(sending, identities)
  const { tags, ...spec } = sending.command
  const { gvc, org } = sending.place.workload
  return {
    target,
    verdict: errors.length === 0 ? "can run" : "cannot run",
    errors,
    warnings: [...warned, ...warnings],
    place: { org, gvc, location: spec.location },
    secrets: sending.secrets,
    ...platform,
    command: { type: "runCronWorkload", tags, spec }
  }
})
