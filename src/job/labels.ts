/**
 * The labels that tell what a job belongs to, and how labels become those of a manifest.
 *
 * Invariant: a user's label wins over a built-in one of that name; in a manifest, keys and values are slugs.
 */
import { type JsonRecord, recordOf } from "./json.ts"
import type { Problem } from "./problem.ts"
import { pythonStr } from "./python-text.ts"
import type { Semantics } from "./semantics.ts"
import { labelKeySlug, labelValueSlug } from "./slug.ts"

export type Labels = Readonly<Record<string, string>>

export interface Labelled {
  readonly version: string
  readonly run: { readonly id: string; readonly name: string }
  readonly flow: { readonly id: string; readonly name: string }
  readonly deployment:
    | { readonly id: string; readonly name: string; readonly updated: string | undefined }
    | undefined
  readonly pool: { readonly id: string; readonly name: string } | undefined
  readonly workerName: string | undefined
}

/** Those of a worker. Values are as Prefect has them; slugs come later. */
export const workerLabels = (
  { version, run, flow, deployment, pool, workerName }: Labelled,
  semantics: Semantics
): Labels => ({
  "prefect.io/flow-run-id": run.id,
  "prefect.io/flow-run-name": run.name,
  "prefect.io/version": version,
  ...(semantics.workPoolLabels && pool !== undefined
    ? { "prefect.io/work-pool-name": pool.name, "prefect.io/work-pool-id": pool.id }
    : {}),
  ...(semantics.workPoolLabels && workerName !== undefined ? { "prefect.io/worker-name": workerName } : {}),
  ...(deployment === undefined ? {} : { "prefect.io/deployment-id": deployment.id }),
  ...deploymentLabels(deployment, semantics),
  "prefect.io/flow-id": flow.id,
  "prefect.io/flow-name": flow.name
})

/** Those of an agent of 2.20: no ids of deployment and flow. */
export const agentLabels = ({ version, run, flow, deployment }: Labelled, semantics: Semantics): Labels => ({
  "prefect.io/flow-run-id": run.id,
  "prefect.io/flow-run-name": run.name,
  "prefect.io/version": version,
  ...deploymentLabels(deployment, semantics),
  "prefect.io/flow-name": flow.name
})

const deploymentLabels = (deployment: Labelled["deployment"], semantics: Semantics): Labels => {
  if (deployment === undefined) return {}
  const updated = deployment.updated === undefined ? undefined : inUtc(deployment.updated, semantics)
  return {
    "prefect.io/deployment-name": deployment.name,
    ...(updated === undefined ? {} : { "prefect.io/deployment-updated": updated })
  }
}

/** An ISO time in UTC with its microseconds, which no fraction means zero of; "Z" on 2.20, "+00:00" on 3.x. */
const inUtc = (time: string, { line }: Semantics): string => {
  const milliseconds = Date.parse(time)
  if (Number.isNaN(milliseconds)) return time
  const fraction = /\.(\d{1,6})/u.exec(time)?.[1]?.padEnd(6, "0") ?? "000000"
  const seconds = new Date(milliseconds).toISOString().slice(0, 19)
  return `${seconds}${fraction === "000000" ? "" : `.${fraction}`}${line === "2" ? "Z" : "+00:00"}`
}

/** Numbers and truth values become text, as users write them in YAML; anything else is a problem. */
export const labelTexts = (labels: JsonRecord, path: string, problems: Array<Problem>): Labels =>
  Object.fromEntries(
    Object.entries(labels).map(([key, value]) => {
      if (value === null || typeof value === "object") {
        const rule = value === null ? "none is not an allowed value" : "str type expected"
        problems.push({ path: `${path}.${key}`, rule, remedy: "Give a text." })
      }
      return [key, pythonStr(value)]
    })
  )

/** A manifest's own labels, with ours over them, all as slugs. */
export const manifestLabels = (own: unknown, labels: Labels): Labels =>
  Object.fromEntries(
    Object.entries({ ...recordOf(own), ...labels }).map(([key, value]) => [
      labelKeySlug(key),
      labelValueSlug(pythonStr(value))
    ])
  )
