/**
 * What a run's owner should know of a configuration that can run: variables without effect, an image of another line.
 *
 * Invariant: pure; only names are told, never values.
 */
import type { Configuration, ConfigurationSource } from "./configuration.ts"
import { type JsonRecord, recordOf } from "./json.ts"
import { variablesIn } from "./placeholders.ts"
import type { Semantics } from "./semantics.ts"
import type { Variables } from "./variables.ts"

export const warningsOf = (
  source: ConfigurationSource,
  template: JsonRecord,
  variables: Variables,
  hasManifest: boolean,
  { job_manifest }: Configuration,
  { line }: Semantics
): ReadonlyArray<string> => {
  const used = variablesIn(template)
  const isUsed = (name: string) =>
    used.has(name) ||
    name === "env" ||
    (!hasManifest && (name === "image" || name === "service_account_name"))
  const idle = Object.keys(variables.values).filter((name) => {
    const origin = variables.originOf(name)
    return (origin === "deployment" || origin === "run") && !isUsed(name) && !variables.dotted.includes(name)
  })
  return [
    ...idle.map(
      (name) =>
        `Variable "${name}", set by the ${variables.originOf(name)}, has no effect: the pool's template has no placeholder {{ ${name} }}.`
    ),
    ...variables.dotted.map(
      (name) =>
        `Variable "${name}", set by the ${variables.originOf(name)}, has no effect: Prefect reads dotted names as nested ones from 3.6.5 on, and this server is ${source.version}.`
    ),
    ...otherLine(job_manifest, line, source.version)
  ]
}

/** An engine of another major line cannot talk to this server. */
const otherLine = (manifest: JsonRecord, line: "2" | "3", version: string): ReadonlyArray<string> => {
  const pod = recordOf(recordOf(recordOf(manifest["spec"])["template"])["spec"])
  const image = recordOf((pod["containers"] as ReadonlyArray<unknown> | undefined)?.[0])["image"]
  const found = typeof image === "string" ? /(?:^|\/)prefecthq\/prefect:(\d)(?:[.\-@]|$)/u.exec(image) : null
  return found === null || found[1] === line
    ? []
    : [
        `Image ${String(image)} has Prefect ${found[1]}, but the server is ${version}: the run may not be able to report.`
      ]
}
