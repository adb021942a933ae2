/**
 * Org, GVC and credential of a job: what is missing, and where a token stands in a configuration block.
 *
 * Invariant: nothing is sent to an org or a GVC that nobody named.
 */
import { isRecord, type JsonRecord, valueAt } from "./json.ts"
import type { Problem } from "./problem.ts"

/** The token of a configuration block's data, also where a credentials block wraps it. */
export const tokenOf = (config: JsonRecord | null): string | undefined => {
  if (config === null) return undefined
  const token = valueAt(config, "token")
  if (typeof token === "string" && token.trim() !== "") return token.trim()
  const inner = valueAt(config, "config")
  return isRecord(inner) && inner !== config ? tokenOf(inner) : undefined
}

export const placeProblems = ({
  org,
  gvc,
  config,
  hasToken
}: {
  readonly org: string | undefined
  readonly gvc: string | undefined
  readonly config: JsonRecord | null
  readonly hasToken: boolean
}): ReadonlyArray<Problem> => [
  ...(org === undefined
    ? [
        {
          path: "org",
          rule: "no Control Plane organization is named",
          remedy: 'Set the variable "org" in the pool or the deployment, or CPLN_ORG for the agent.'
        }
      ]
    : []),
  ...(gvc === undefined
    ? [
        {
          path: "namespace",
          rule: "no Control Plane GVC is named",
          remedy: 'Set the variable "namespace" in the pool or the deployment, or CPLN_GVC for the agent.'
        }
      ]
    : []),
  ...(tokenOf(config) === undefined && !hasToken
    ? [
        {
          path: "config",
          rule: "there is no credential for Control Plane",
          remedy:
            'Set the variable "config" to a block of type control-plane-configuration with a token, or CPLN_TOKEN for the agent.'
        }
      ]
    : [])
]
