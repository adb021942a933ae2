/**
 * The environment of a flow run's job: the agent's Prefect settings, what names the run, and the job's own variables.
 *
 * Invariant: settings that belong to the agent's own process never reach a job, and a variable whose last word is null
 * is not set at all.
 */
import { isRecord, type JsonRecord, mapValues } from "./json.ts"
import type { Problem } from "./problem.ts"
import { pythonStr } from "./python-text.ts"
import type { Semantics } from "./semantics.ts"

export type Environment = Readonly<Record<string, string>>

/** They are about this process or this host, and would mislead or endanger another. */
const ownSettings = /^PREFECT_(?:AGENT_.*|HOME|PROFILE.*|WORKER_.*|SERVER_.*)$/u

/**
 * The settings that every job gets. Python hands truth values on as "True" and "False" whatever the user wrote; jobs
 * that compare texts rely on it.
 */
export const forwardedSettings = (settings: Environment): Environment =>
  Object.fromEntries(
    Object.entries(settings)
      .filter(([name]) => name.startsWith("PREFECT_") && !ownSettings.test(name))
      .map(([name, value]) => [name, pythonTruth(value)])
  )

const credentials = ["PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"] as const

/** Names of the settings that open the Prefect API, as far as they are set. */
export const credentialsIn = (settings: Environment): ReadonlyArray<string> =>
  credentials.filter((name) => (settings[name] ?? "") !== "")

/**
 * The settings with a reference to a secret of Control Plane in place of the credential: the key goes before the other
 * form, as Prefect's clients have it, and the reference stands for a key where neither is set.
 */
export const withCredentialReference = (settings: Environment, secret: string): Environment => {
  const [name = credentials[0]] = credentialsIn(settings)
  const others = Object.entries(settings).filter(([each]) => !credentials.some((one) => one === each))
  return Object.fromEntries([...others, [name, `cpln://secret/${secret}`]])
}

/** What `{{ $NAME }}` may show. The agent's own secrets stay with it, whoever writes the template. */
export const shownEnvironment = (environment: Environment): Environment =>
  Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) => name !== "CPLN_TOKEN" && !name.startsWith("PREFECT_AGENT_")
    )
  )

const pythonTruth = (value: string): string =>
  /^(?:true|false)$/iu.test(value) ? value.charAt(0).toUpperCase() + value.slice(1).toLowerCase() : value

/** What runs the flow inside the job. 2.20 has another one where its enhanced cancellation is switched off. */
export const flowRunCommand = (settings: Environment, { line }: Semantics): ReadonlyArray<string> => {
  const enhanced = settings["PREFECT_EXPERIMENTAL_ENABLE_ENHANCED_CANCELLATION"]
  return line === "2" && enhanced !== undefined && /^(?:0|false|f|n|no|off)$/iu.test(enhanced.trim())
    ? ["python", "-m", "prefect.engine"]
    : ["prefect", "flow-run", "execute"]
}

export interface Attribution {
  readonly runId: string
  readonly workerName: string | undefined
  readonly flow: { readonly id: string; readonly name: string }
  readonly deployment: { readonly id: string; readonly name: string } | undefined
}

/** What tells the process in the job which run it is; newer clients put the rest into request headers. */
export const runEnvironment = (about: Attribution, { attribution }: Semantics): Environment => ({
  PREFECT__FLOW_RUN_ID: about.runId,
  ...(attribution
    ? {
        ...(about.workerName === undefined ? {} : { PREFECT__WORKER_NAME: about.workerName }),
        PREFECT__FLOW_ID: about.flow.id,
        PREFECT__FLOW_NAME: about.flow.name,
        ...(about.deployment === undefined
          ? {}
          : {
              PREFECT__DEPLOYMENT_ID: about.deployment.id,
              PREFECT__DEPLOYMENT_NAME: about.deployment.name
            })
      }
    : {})
})

/** Values as text or null; an object or list is a problem where the server's version has it for one. */
export const envTexts = (
  env: JsonRecord,
  path: string,
  coerces: boolean,
  problems: Array<Problem>
): Readonly<Record<string, string | null>> =>
  mapValues(env, (value, name) => {
    if (value === null || value === undefined) return null
    if (typeof value === "object" && !coerces) {
      problems.push({
        path: `${path}.${name}`,
        rule: "str type expected",
        remedy: "Give a text; null removes the variable."
      })
    }
    return pythonStr(value)
  }) as Readonly<Record<string, string | null>>

/** Later ones win, in the place of the first; then what is null goes. */
export const mergeEnvironments = (
  ...layers: ReadonlyArray<Readonly<Record<string, string | null>>>
): Environment => {
  const merged: Array<readonly [string, string | null]> = layers.flatMap((each) => Object.entries(each))
  return Object.fromEntries(
    [...new Map(merged)].filter((entry): entry is [string, string] => entry[1] !== null)
  )
}

/** As a container's `env` list. */
export const envList = (
  environment: Environment
): ReadonlyArray<{ readonly name: string; readonly value: string }> =>
  Object.entries(environment).map(([name, value]) => ({ name, value }))

/** Names of a manifest's env list. */
export const namesIn = (list: ReadonlyArray<unknown>): ReadonlySet<string> =>
  new Set(list.flatMap((each) => (isRecord(each) && typeof each["name"] === "string" ? [each["name"]] : [])))
