/**
 * What would be sent to Control Plane for a job, against what is there.
 *
 * Invariant: only reads, and writes with `dryRun=true`. What cannot be found out is said, and fails nothing.
 */
import { Effect, Result } from "effect"
import type { HttpClient } from "effect/http"
import type { StartCommand } from "../cpln/commands.ts"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { dryRun } from "../cpln/dry-run.ts"
import { at, type Place } from "../cpln/place.ts"
import type { Workload } from "../cpln/schemas.ts"
import { type Policy, Secrets } from "../cpln/secrets.ts"
import { Workloads } from "../cpln/workloads.ts"
import type { ApiError } from "../http/errors.ts"
import type { ConvertedIdentity, ConvertedPolicy } from "../job/convert.ts"
import { notRevealed } from "../job/grants.ts"
import { ofTheWhole, type Problem } from "../job/problem.ts"
import { differences } from "../job/spec-drift.ts"
import { ensureIdentity, type IdentityUnusable } from "../runs/workloads/identity.ts"
import { type Change, changes } from "./changes.ts"

type Body = Readonly<Record<string, unknown>>

/** A job as it is to be sent. */
export interface Sending {
  readonly place: Place
  readonly tags: Readonly<Record<string, string>>
  readonly spec: Body
  readonly identity: ConvertedIdentity | undefined
  readonly policy: ConvertedPolicy | undefined
  readonly secrets: ReadonlyArray<string>
  readonly command: StartCommand
  /** Why a workload that has the name cannot be used; undefined when it can. */
  readonly unfit: (there: Workload) => Problem | undefined
  /** What becomes of one that differs. */
  readonly whenDiffering: string
}

export interface SentPart {
  readonly state: string
  readonly sends: Body
}

export interface Platform {
  readonly identity: SentPart | { readonly state: string; readonly link: string } | undefined
  readonly policy: SentPart | undefined
  readonly workload: SentPart & {
    readonly link: string
    readonly differences?: ReadonlyArray<Change | string>
  }
  readonly errors: ReadonlyArray<Problem>
  readonly warnings: ReadonlyArray<string>
}

export const onPlatform = Effect.fn("plan.onPlatform")(function* (
  sending: Sending,
  identities: "manage" | "given"
): Effect.fn.Return<Platform, never, ControlPlane | HttpClient.HttpClient> {
  const rights = yield* rightsOf(sending, identities)
  const workload = yield* workloadOf(sending, rights.exists)
  return {
    identity: rights.identity,
    policy: rights.policy,
    workload: workload.part,
    errors: [...rights.errors, ...workload.errors],
    warnings: [...rights.warnings, ...workload.warnings]
  }
})

interface Rights extends Pick<Platform, "identity" | "policy" | "errors" | "warnings"> {
  /** The identity is there, so that a workload may link it. */
  readonly exists: boolean
}

const rightsOf = Effect.fnUntraced(function* (
  sending: Sending,
  identities: "manage" | "given"
): Effect.fn.Return<Rights, never, ControlPlane> {
  const { identity, place, policy, secrets, spec } = sending
  const { gvc } = place.workload
  const link = String(spec["identityLink"])
  if (identity === undefined || identities === "given") {
    // This one only looks.
    const serviceAccount = identity === undefined ? link : undefined
    const checked = yield* Effect.result(
      ensureIdentity({ access: place.access, gvc, identity, policy, secrets, serviceAccount }, "given")
    )
    const exists = Result.isSuccess(checked) && checked.success.linked
    return {
      exists,
      identity: { state: exists ? "exists" : "is missing, or lacks rights", link },
      policy: undefined,
      errors: Result.isFailure(checked) ? [problemOf(checked.failure, link)] : [],
      warnings: Result.isSuccess(checked) ? checked.success.notes : []
    }
  }
  const client = yield* Secrets.pipe(at(place.access))
  const there = yield* found(client.readIdentity(gvc, identity.name))
  const warnings = there.unread === undefined ? [] : [`identity ${identity.name}: ${there.unread}`]
  const parts = {
    exists: there.value !== undefined,
    identity: { state: there.value === undefined ? "would be made" : "exists", sends: identity.body }
  }
  if (policy === undefined) return { ...parts, policy: undefined, errors: [], warnings }
  const own = yield* found(client.readPolicy(policy.name))
  const all = yield* found(client.policies)
  const granted = (policies: ReadonlyArray<Policy>) => notRevealed(policies, link, secrets).length === 0
  const isGranted = own.value !== undefined && granted([own.value])
  const isGrantedElsewhere = !isGranted && granted(all.value ?? [])
  return {
    ...parts,
    policy: {
      state: isGranted
        ? "exists"
        : isGrantedElsewhere
          ? "is not needed: another policy lets the identity reveal the secrets"
          : own.value === undefined
            ? "would be made"
            : "exists, and would be put right",
      sends: policy.body
    },
    errors: [],
    warnings: own.unread === undefined ? warnings : [...warnings, `policy ${policy.name}: ${own.unread}`]
  }
})

const problemOf = (error: IdentityUnusable | ApiError, link: string): Problem =>
  error._tag === "IdentityUnusable"
    ? { path: link, rule: error.reason, remedy: error.remedy }
    : ofTheWhole(error.message)

interface Found<A> {
  readonly value?: A
  /** Why it may not be seen. */
  readonly unread?: string
}

/** Neither, when it is not there. */
const found = <A, R>(read: Effect.Effect<A, ApiError, R>): Effect.Effect<Found<A>, never, R> =>
  read.pipe(
    Effect.map((value): Found<A> => ({ value })),
    Effect.catch((error) =>
      Effect.succeed<Found<A>>(
        error._tag === "NotFound" ? {} : { unread: `it cannot be checked: ${error.message}` }
      )
    )
  )

const workloadOf = Effect.fnUntraced(function* (
  sending: Sending,
  mayLink: boolean
): Effect.fn.Return<
  {
    readonly part: Platform["workload"]
    readonly errors: ReadonlyArray<Problem>
    readonly warnings: ReadonlyArray<string>
  },
  never,
  ControlPlane | HttpClient.HttpClient
> {
  const { place, spec, tags } = sending
  const { workload } = place
  const sends = { kind: "workload", name: workload.name, tags, spec }
  const part = (state: string, differing?: ReadonlyArray<Change | string>) => ({
    state,
    link: workload.path,
    ...(differing === undefined || differing.length === 0 ? {} : { differences: differing }),
    sends
  })
  const workloads = yield* Workloads.pipe(at(place.access))
  const there = yield* found(workloads.read(workload))
  const unfit = there.value === undefined ? undefined : sending.unfit(there.value)
  if (unfit !== undefined) return { part: part("exists, and is not ours"), errors: [unfit], warnings: [] }
  const { identityLink: _notThere, ...unlinked } = spec
  const stored = yield* Effect.result(
    dryRun(place.access, workload, {
      tags: { ...there.value?.tags, ...tags },
      spec: mayLink ? spec : unlinked
    })
  )
  const errors =
    Result.isFailure(stored) && stored.failure._tag === "Refused"
      ? [ofTheWhole(`Control Plane would refuse the workload: ${stored.failure.detail}`)]
      : []
  const warnings = [
    ...(there.unread === undefined ? [] : [`workload ${workload.name}: ${there.unread}`]),
    ...(Result.isFailure(stored) && errors.length === 0
      ? [`Control Plane was not asked what it makes of the workload: ${stored.failure.message}`]
      : [])
  ]
  if (there.value === undefined) return { part: part("would be made"), errors, warnings }
  const differing = Result.isSuccess(stored)
    ? [
        ...changes(there.value.spec, stored.success.spec, "spec"),
        ...changes(there.value.tags, stored.success.tags, "tags")
      ]
    : [...differences(tags, there.value.tags, "tags"), ...differences(spec, there.value.spec, "spec")]
  return differing.length === 0
    ? { part: part("exists, as it would be sent"), errors, warnings }
    : { part: part(`exists, and differs: ${sending.whenDiffering}`, differing), errors, warnings }
})
