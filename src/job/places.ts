/**
 * Where a job is to run, as texts: Control Plane injects and serves full links where it wants plain names.
 *
 * Invariant: a name has no slash.
 */
import { isRecord } from "./json.ts"

/** The last segment of a link such as `/org/acme/location/aws-us-west-2`; a plain name stays. Blank is none. */
export const nameOfLink = (link: string | null | undefined): string | undefined => {
  const name = link?.trim().replace(/\/+$/u, "").split("/").at(-1)
  return name === undefined || name === "" ? undefined : name
}

/** Names of the locations of a GVC, in its order. */
export const locationsOf = (gvc: unknown): ReadonlyArray<string> => {
  const spec = isRecord(gvc) ? gvc["spec"] : undefined
  const placement = isRecord(spec) ? spec["staticPlacement"] : undefined
  const links = isRecord(placement) ? placement["locationLinks"] : undefined
  return (Array.isArray(links) ? (links as ReadonlyArray<unknown>) : []).flatMap((link) => {
    const name = typeof link === "string" ? nameOfLink(link) : undefined
    return name === undefined ? [] : [name]
  })
}
