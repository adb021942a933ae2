/**
 * The first pass over a pool's template: the environments of pool, deployment and run are merged into it, and
 * placeholders give way to the values of variables.
 *
 * Invariant: the template and the variables stay as they are, so that nothing of one run is left for the next.
 */
import type { Environment } from "./environment.ts"
import { isRecord, type JsonRecord, recordOf, valueAt } from "./json.ts"
import { skeleton } from "./job-manifest.ts"
import { fillIn } from "./placeholders.ts"
import type { Problem } from "./problem.ts"
import type { Semantics } from "./semantics.ts"
import { notAnObject, type Variables } from "./variables.ts"

/** Python's truth: empty objects, lists and texts, 0, false and null are as good as nothing. */
const isFilled = (value: unknown): boolean =>
  typeof value === "object" && value !== null ? Object.keys(value).length > 0 : Boolean(value)

export interface Populated {
  readonly value: JsonRecord
  /** The template, or a variable, gave a job manifest; else it is the least one. */
  readonly hasManifest: boolean
}

/** `template` is the pool's `job_configuration`; `environment` what `{{ $NAME }}` may show. */
export const populate = (
  template: JsonRecord,
  { values, defaults }: Variables,
  semantics: Semantics,
  environment: Environment,
  problems: Array<Problem>
): Populated => {
  const literal = valueAt(template, "env")
  const byDefault = valueAt(defaults, "env")
  const below = !isFilled(byDefault)
    ? literal
    : semantics.mergesDefaultEnv && isRecord(literal) && isRecord(byDefault)
      ? { ...literal, ...byDefault }
      : byDefault
  const given = valueAt(values, "env")
  if (isFilled(given) && !isRecord(given)) problems.push(notAnObject("env"))
  const env = isRecord(below) ? { ...below, ...recordOf(given) } : below
  const withEnv = env === undefined ? template : { ...template, env }
  const filled = recordOf(fillIn(withEnv, { variables: values, environment }))
  const hasManifest = Object.hasOwn(filled, "job_manifest")
  return {
    value: hasManifest ? filled : { ...filled, job_manifest: defaultManifest(values) },
    hasManifest
  }
}

/**
 * For templates without a manifest, such as the one of the Python worker's own class: there the variables `image` and
 * `service_account_name` have no placeholder, but users who set them mean them.
 */
const defaultManifest = (values: JsonRecord): JsonRecord => {
  const image = valueAt(values, "image") ?? undefined
  const account = valueAt(values, "service_account_name") ?? undefined
  const manifest = skeleton(image === undefined ? {} : { image })
  if (account === undefined) return manifest
  const template = recordOf(recordOf(manifest["spec"])["template"])
  const pod = { ...recordOf(template["spec"]), serviceAccountName: account }
  return { ...manifest, spec: { template: { ...template, spec: pod } } }
}
