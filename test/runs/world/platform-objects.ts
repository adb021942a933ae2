/**
 * What stands in an org of Control Plane beside commands: workloads, identities, policies, secrets, and the GVCs with
 * their locations.
 *
 * Invariant: an object changes only in the version that was read, where one is named, and every write goes into the
 * chronicle.
 */
import type { WorkloadRef } from "../../../src/cpln/schemas.ts"
import type { Chronicle, Writer } from "./chronicle.ts"

export interface StoredWorkload {
  readonly ref: WorkloadRef
  readonly tags: Readonly<Record<string, unknown>>
  readonly spec: Readonly<Record<string, unknown>>
  readonly madeAt: number
  readonly changedAt: number
  readonly version: number
}

/** An identity or a policy, as it was sent. */
export interface StoredObject {
  readonly body: Readonly<Record<string, unknown>>
  readonly version: number
  readonly madeAt?: number
}

export interface StoredSecret {
  readonly type: string
  readonly data: Readonly<Record<string, string>>
}

export class PlatformObjects {
  readonly workloads = new Map<string, StoredWorkload>()
  /** By path. */
  readonly identities = new Map<string, StoredObject>()
  /** By `org/name`. */
  readonly policies = new Map<string, StoredObject>()
  /** By `org/name`. */
  readonly secrets = new Map<string, StoredSecret>()
  /** Locations of every GVC that exists, by `org/gvc`. */
  readonly gvcs = new Map<string, ReadonlyArray<string>>()
  /** Until when a workload's deployments are not ready, after it was made, in ms. */
  readyAfter = 0
  readonly chronicle: Chronicle

  constructor(chronicle: Chronicle) {
    this.chronicle = chronicle
  }

  /** False when the name is taken. */
  makeWorkload(
    now: number,
    by: Writer,
    ref: WorkloadRef,
    body: Pick<StoredWorkload, "tags" | "spec">
  ): boolean {
    if (this.workloads.has(ref.path)) return false
    this.workloads.set(ref.path, { ref, ...body, madeAt: now, changedAt: now, version: 1 })
    this.chronicle.add({
      at: now,
      by,
      what: "workload made",
      name: ref.name,
      path: ref.path,
      tags: body.tags
    })
    return true
  }

  /** A whole other body. False when it is not in this version any more. */
  replaceWorkload(
    now: number,
    by: Writer,
    ref: WorkloadRef,
    version: number | undefined,
    body: Pick<StoredWorkload, "tags" | "spec">
  ): boolean {
    const before = this.workloads.get(ref.path)
    if (before === undefined) return this.makeWorkload(now, by, ref, body)
    if (version !== undefined && version !== before.version) return false
    this.workloads.set(ref.path, { ...before, ...body, changedAt: now, version: before.version + 1 })
    this.chronicle.add({
      at: now,
      by,
      what: "workload changed",
      name: ref.name,
      path: ref.path,
      tags: before.tags
    })
    return true
  }

  /** Undefined when there is no such workload; false when it is not in this version any more. */
  tagWorkload(
    now: number,
    by: Writer,
    ref: WorkloadRef,
    version: number | undefined,
    tags: Readonly<Record<string, string | null>>
  ): boolean | undefined {
    const before = this.workloads.get(ref.path)
    if (before === undefined) return undefined
    const kept = Object.entries({ ...before.tags, ...tags }).filter(([, value]) => value !== null)
    return this.replaceWorkload(now, by, ref, version, { tags: Object.fromEntries(kept), spec: before.spec })
  }

  /** False when there is one, or when the one that is there is not in the version that was read. */
  writeObject(
    now: number,
    by: Writer,
    kind: "identity" | "policy",
    key: string,
    body: StoredObject["body"],
    read?: { readonly version: number | undefined }
  ): boolean {
    const all = kind === "identity" ? this.identities : this.policies
    const before = all.get(key)
    if (before !== undefined && (read === undefined || (read.version ?? before.version) !== before.version))
      return false
    all.set(key, { body, version: (before?.version ?? 0) + 1, madeAt: before?.madeAt ?? now })
    const name = String(body["name"])
    this.chronicle.add({ at: now, by, what: before === undefined ? `${kind} made` : `${kind} changed`, name })
    return true
  }

  /** Nobody is told. */
  deleteObject(now: number, kind: "identity" | "policy", key: string, by: Writer = "person"): boolean {
    const all = kind === "identity" ? this.identities : this.policies
    const stored = all.get(key)
    if (stored === undefined) return false
    all.delete(key)
    this.chronicle.add({ at: now, by, what: `${kind} deleted`, name: String(stored.body["name"]) })
    return true
  }
}
