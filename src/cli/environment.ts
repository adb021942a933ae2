/**
 * What the commands of this program read from outside: settings, what Control Plane injects, files, and the clients that
 * follow from them.
 *
 * Invariant: a wrong value ends the program with a message that names where it stands.
 */
import { Effect, Layer, Option, Redacted, Result } from "effect"
import { CannotStart } from "../agent/start-up.ts"
import { ControlPlane } from "../cpln/control-plane.ts"
import { isRecord } from "../job/json.ts"
import { nameOfLink } from "../job/places.ts"
import { host } from "../platform.ts"
import { readAccess } from "../prefect/access.ts"
import { Prefect } from "../prefect/prefect.ts"
import { type PrefectSettings, readPrefectSettings } from "../prefect/profile.ts"
import type { Injected } from "../runs/config.ts"
import { resolve, secretEnvironment, type Settings } from "../settings.ts"
import { readYaml } from "./yaml-file.ts"

const publicEndpoint = "https://api.cpln.io"

export const filled = (value: string | undefined): string | undefined =>
  value?.trim() ? value.trim() : undefined

/** Control Plane injects full links for some of these: the last segment is the name. */
export const injectedFrom = (environment: Readonly<Record<string, string>>): Injected => ({
  endpoint: (filled(environment["CPLN_ENDPOINT"]) ?? publicEndpoint).replace(/\/+$/u, ""),
  org: nameOfLink(environment["CPLN_ORG"]),
  gvc: nameOfLink(environment["CPLN_GVC"]),
  location: nameOfLink(environment["CPLN_LOCATION"]),
  token: Option.getOrUndefined(
    Option.map(Option.fromNullishOr(filled(environment["CPLN_TOKEN"])), Redacted.make)
  )
})

/** A base job template as a JSON (or YAML) file holds it; the rest of what the server demands of it is its own matter. */
export const readTemplate = Effect.fn("cli.readTemplate")(function* (path: string) {
  const unusable = (why: string) =>
    new CannotStart({
      reason: `--base-job-template ${path}: ${why}.`,
      remedy:
        "Give a JSON file with the objects `variables` and `job_configuration`: `prefect work-pool inspect POOL` shows those of a pool as its base_job_template."
    })
  const read = yield* readYaml(path)
  if (Result.isFailure(read)) return yield* unusable(read.failure)
  const template = read.success
  if (!isRecord(template)) return yield* unusable("it holds no object")
  const lacking = ["variables", "job_configuration"].find((key) => !isRecord(template[key]))
  return lacking === undefined ? template : yield* unusable(`it has no object \`${lacking}\``)
})

/** Everything that commands of this program read from environment and profile, or a clear error. */
export const readSettings = Effect.fn("cli.readSettings")(function* (flags: Parameters<typeof resolve>[0]) {
  const environment = host.environment()
  const prefectSettings = yield* readPrefectSettings(environment)
  const found = (variable: string) => {
    const value = environment[variable]
    return value === undefined || value.trim() === ""
      ? prefectSettings.get(variable)
      : { value, from: "the environment" }
  }
  const resolved = resolve(flags, found)
  if ("wrong" in resolved) return yield* resolved.wrong
  return { environment, prefectSettings, settings: resolved.settings }
})

export const clients = Effect.fn("cli.clients")(function* (
  prefectSettings: PrefectSettings,
  environment: Readonly<Record<string, string>>,
  settings: Settings
) {
  const access = yield* readAccess(prefectSettings)
  const logsToken = filled(environment[secretEnvironment.logsToken])
  return Layer.merge(
    Prefect.layer(access, { ratePerSecond: settings.prefectRate }),
    ControlPlane.layerWith({
      ratePerSecond: settings.cplnRate,
      logsEndpoint: settings.logsEndpoint,
      logsToken: logsToken === undefined ? undefined : Redacted.make(logsToken)
    })
  )
})
