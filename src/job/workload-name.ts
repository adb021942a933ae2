/**
 * The name of a job's workload, made of everything that must not be shared: pool, org, GVC, job type, shape, secrets.
 *
 * Invariant: two jobs get one name only when one workload, one identity and one policy serve both; at most 48
 * characters, so that `<name>-reveal-policy` stays a valid name too.
 */
import { createHash } from "node:crypto"

export interface WorkloadNameParts {
  /** Of the flow run's work pool; undefined for a job that is no flow run. */
  readonly poolId: string | undefined
  readonly org: string
  readonly gvc: string
  readonly jobType: string | undefined
  readonly specHash: string
  /** What the made identity may reveal; none with a service account. The order does not count. */
  readonly secretLinks: ReadonlyArray<string>
}

const longestLabel = 25

/** The readable part: job types may hold what names may not. */
const label = (jobType: string | undefined): string => {
  const slug = (jobType ?? "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replace(/^-/, "")
    .slice(0, longestLabel)
    .replace(/-$/, "")
  return slug === "" ? "job" : slug
}

/** `p<8 hex of the pool id>-<job type or "job">-<12 hex>`; `j-…` for a job that is no flow run. */
export const workloadName = (parts: WorkloadNameParts): string => {
  const { poolId, org, gvc, jobType, specHash, secretLinks } = parts
  const digest = createHash("sha256")
    .update(JSON.stringify([specHash, org, gvc, jobType ?? null, [...secretLinks].sort()]))
    .digest("hex")
    .slice(0, 12)
  const kind = poolId === undefined ? "j" : `p${poolPart(poolId)}`
  return `${kind}-${label(jobType)}-${digest}`
}

/** The first 8 hex digits of a UUID. */
const poolPart = (poolId: string): string =>
  poolId
    .toLowerCase()
    .replaceAll(/[^0-9a-f]/g, "")
    .slice(0, 8)

/** Whether a workload of this pool could have this name; only its tags tell whose it is. */
export const isNameOfPool = (name: string, poolId: string): boolean =>
  name.startsWith(`p${poolPart(poolId)}-`)

export const identityName = (workload: string): string => `${workload}-identity`

export const policyName = (workload: string): string => `${workload}-reveal-policy`
