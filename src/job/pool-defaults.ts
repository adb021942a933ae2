/**
 * Where jobs of a pool run and by which credential, as its template alone says: what holds for every run whose deployment
 * names nothing else.
 *
 * Invariant: pure and total, whatever the template holds. What only the server can tell (`{{ prefect.variables… }}`) is
 * not guessed.
 */
import type { Environment } from "./environment.ts"
import { shownEnvironment } from "./environment.ts"
import { isRecord, isTooDeep, type JsonRecord, recordOf, valueAt } from "./json.ts"
import { fillIn } from "./placeholders.ts"
import { nameOfLink } from "./places.ts"
import { semanticsOf } from "./semantics.ts"
import { mergeVariables } from "./variables.ts"
import { tokenOf } from "./where.ts"

/** Plain names; undefined where the template leaves it open, or only the server can tell. */
export interface PoolDefaults {
  readonly org: string | undefined
  readonly gvc: string | undefined
  /** It names a configuration block: the agent's own credential is not used. */
  readonly hasCredential: boolean
}

/** `environment` is the agent's, for `{{ $NAME }}`; `version` the server's, such as "3.8.8". */
export const poolDefaults = (
  template: JsonRecord,
  version: string,
  environment: Environment
): PoolDefaults => {
  if (isTooDeep(template)) return { org: undefined, gvc: undefined, hasCredential: false }
  const { values } = mergeVariables(
    { schema: template["variables"], deployment: {}, run: {} },
    semanticsOf(version)
  )
  const { config, namespace, org } = recordOf(template["job_configuration"])
  const filled = recordOf(
    fillIn({ config, namespace, org }, { variables: values, environment: shownEnvironment(environment) })
  )
  return {
    org: plain(filled["org"]),
    gvc: plain(filled["namespace"]),
    hasCredential: isCredential(filled["config"])
  }
}

const plain = (value: unknown): string | undefined =>
  typeof value === "string" && !value.includes("{{") ? nameOfLink(value) : undefined

/** A block inside, a reference to one, or a placeholder for one. */
const isCredential = (config: unknown): boolean =>
  isRecord(config)
    ? tokenOf(config) !== undefined || isRecord(valueAt(config, "$ref"))
    : typeof config === "string" && config.trim() !== ""
