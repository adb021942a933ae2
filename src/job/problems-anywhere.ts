/**
 * What is wrong with a manifest by itself, wherever it is to run.
 *
 * Invariant: pure; nothing is told that the place could change: a service account's link decides the place, and secrets have
 * every key.
 */
import { Result } from "effect"
import { convert, secretsToReveal } from "./convert.ts"
import { recordOf } from "./json.ts"
import type { Problem } from "./problem.ts"

export interface Kind {
  readonly jobType: string | undefined
  /** Undefined for a job that is no flow run's. */
  readonly poolId: string | undefined
}

export const problemsAnywhere = (manifest: unknown, kind: Kind): ReadonlyArray<Problem> => {
  const converted = convert(manifest, {
    ...kind,
    ...placeIn(manifest),
    location: "location",
    // Which keys a secret has is seen when the job runs.
    secretKeys: new Map(secretsToReveal(manifest).map((secret) => [secret, ["KEY"]]))
  })
  return Result.isFailure(converted) ? converted.failure : []
}

const placeIn = (manifest: unknown): { readonly org: string; readonly gvc: string } => {
  const pod = recordOf(recordOf(recordOf(recordOf(manifest)["spec"])["template"])["spec"])
  const account = pod["serviceAccountName"] || pod["serviceAccount"]
  const link = typeof account === "string" ? account : ""
  const [, org = "org", gvc = "gvc"] =
    /^\/org\/([^/]+)\/gvc\/([^/]+)\/identity\//u.exec(link) ??
    /^(\/)\/gvc\/([^/]+)\/identity\//u.exec(link) ??
    []
  return { org, gvc }
}
