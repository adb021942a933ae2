/**
 * Identities and policies that were made with a workload which is gone.
 *
 * Invariant: only those that carry our pool's id, under the names that were given with the workload's own, and only when no
 * workload of the GVC links the identity and nobody else has rights by the policy. Whoever makes the workload anew in the
 * same moment finds them again.
 */
import { Effect } from "effect"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { at as inPlace } from "../../cpln/place.ts"
import { WorkloadRef } from "../../cpln/schemas.ts"
import { type Identity, type Policy, Secrets } from "../../cpln/secrets.ts"
import { Workloads } from "../../cpln/workloads.ts"
import type { ApiError } from "../../http/errors.ts"
import { identityName, isNameOfPool, policyName } from "../../job/workload-name.ts"
import { Prefect } from "../../prefect/prefect.ts"
import { type CleanupRules, isStillOurs, poolReplaced } from "./cleanup.ts"
import { poolTag } from "../decide/normalise.ts"
import { timeOf } from "../decide/phase.ts"
import type { Corner } from "../places.ts"

const suffix = identityName("")

/** The workload that an identity of this pool was made with; undefined for any other identity. */
const workloadOf = ({ name, tags }: Identity, poolId: string): string | undefined =>
  String(tags?.[poolTag]) === poolId && isNameOfPool(name, poolId) && name.endsWith(suffix)
    ? name.slice(0, -suffix.length)
    : undefined

const isMissing = (ref: WorkloadRef) =>
  Workloads.use((workloads) => workloads.read(ref)).pipe(
    Effect.as(false),
    Effect.catchTag("NotFound", () => Effect.succeed(true))
  )

/**
 * Names of workloads that are gone while an identity of theirs is there, unchanged for the TTL. `known` are workloads that
 * are there, and need not be asked for.
 */
export const orphansIn = Effect.fn("runs.orphansIn")(function* (
  { access, gvc }: Corner,
  { poolId, ttl }: CleanupRules,
  known: ReadonlySet<string>,
  between?: Effect.Effect<void>
): Effect.fn.Return<ReadonlyArray<string>, ApiError, ControlPlane> {
  return yield* Effect.gen(function* () {
    const { at, value } = yield* Secrets.use((secrets) => secrets.identities(gvc, between))
    const orphans: Array<string> = []
    for (const identity of value) {
      const name = workloadOf(identity, poolId)
      if (name === undefined || known.has(name)) continue
      const changed = timeOf(identity.lastModified) ?? timeOf(identity.created)
      if (changed === undefined || at - changed < ttl) continue
      if (yield* isMissing(new WorkloadRef({ org: access.org, gvc, name }))) orphans.push(name)
    }
    return orphans
  }).pipe(inPlace(access))
})

/** Names of the identities that any workload of the GVC links, whosesoever. */
export const linkedIn = Effect.fn("runs.linkedIn")(function* ({
  access,
  gvc
}: Corner): Effect.fn.Return<ReadonlySet<string>, ApiError, ControlPlane> {
  const all = yield* Workloads.use((workloads) => workloads.find(gvc, [])).pipe(inPlace(access))
  return new Set(
    all.flatMap(({ spec }) => {
      const link = spec?.["identityLink"]
      return typeof link === "string" ? [link.split("/").at(-1) ?? ""] : []
    })
  )
})

/** Nobody but this identity has rights by it. */
const isAlone = ({ bindings, tags }: Policy, poolId: string, identity: string): boolean =>
  String(tags?.[poolTag]) === poolId &&
  (bindings ?? [])
    .flatMap(({ principalLinks }) => principalLinks ?? [])
    .every((link) => link.endsWith(`/identity/${identity}`))

/** Undefined when they were removed; else why not. */
export const removeOrphan = Effect.fn("runs.removeOrphan")(function* (
  { access, gvc }: Corner,
  workload: string,
  rules: CleanupRules,
  linked: ReadonlySet<string>
): Effect.fn.Return<string | undefined, ApiError, ControlPlane | Prefect> {
  const identity = identityName(workload)
  if (linked.has(identity)) return "another workload links it"
  if (!(yield* isStillOurs(rules))) return poolReplaced
  const ref = new WorkloadRef({ org: access.org, gvc, name: workload })
  return yield* Effect.gen(function* () {
    const secrets = yield* Secrets
    const policy = yield* secrets
      .readPolicy(policyName(workload))
      .pipe(Effect.catchTag("NotFound", () => Effect.succeed(undefined)))
    if (policy !== undefined && !isAlone(policy, rules.poolId, identity)) {
      return `policy ${policy.name} is not this pool's, or gives rights to others as well`
    }
    const read = yield* secrets.readIdentity(gvc, identity)
    if (workloadOf(read, rules.poolId) !== workload) return "it does not carry this pool's tag any more"
    if (!(yield* isStillOurs(rules))) return poolReplaced
    if (!(yield* isMissing(ref))) return "its workload is there again"
    if (policy !== undefined) yield* secrets.removePolicy(policy.name)
    yield* secrets.removeIdentity(gvc, identity)
    // Made anew while we were at it: then it needs what it was found with.
    if (yield* isMissing(ref)) return undefined
    yield* putBack(gvc, read, policy)
    return "its workload was made anew meanwhile; put back"
  }).pipe(inPlace(access))
})

const putBack = Effect.fnUntraced(function* (
  gvc: string,
  { name, tags }: Identity,
  policy: Policy | undefined
) {
  const secrets = yield* Secrets
  yield* secrets
    .createIdentity(gvc, { kind: "identity", name, tags: tags ?? {} })
    .pipe(Effect.catchTag("Conflict", () => Effect.void))
  if (policy === undefined) return
  const { version: _ofBefore, ...body } = policy
  yield* secrets
    .createPolicy({ kind: "policy", ...body })
    .pipe(Effect.catchTag("Conflict", () => Effect.void))
})
