/**
 * From a pool's template, the job variables and what they refer to, to one run's job configuration and its manifest.
 *
 * Invariant: pure and total, whatever JSON the template and the variables hold. The result is a configuration, every
 * problem at once with who set what, or the names of what must be read from the server first.
 */
import { warningsOf } from "./configuration-warnings.ts"
import {
  envTexts,
  flowRunCommand,
  forwardedSettings,
  mergeEnvironments,
  runEnvironment,
  shownEnvironment
} from "./environment.ts"
import type { Environment } from "./environment.ts"
import { Fields } from "./fields.ts"
import { isRecord, isTooDeep, type JsonRecord, recordOf, valueAt } from "./json.ts"
import { fillManifest, skeletonProblems, withMetadata } from "./job-manifest.ts"
import { type Labels, labelTexts, workerLabels } from "./labels.ts"
import { explaining, explainingEntry, type Trace } from "./origins.ts"
import { fillIn, missing, variablesIn } from "./placeholders.ts"
import { populate } from "./populate.ts"
import { nameOfLink } from "./places.ts"
import type { Problem } from "./problem.ts"
import { problemsAnywhere } from "./problems-anywhere.ts"
import { pythonStr } from "./python-text.ts"
import { type BlockKey, type Known, resolveReferences } from "./references.ts"
import { type Semantics, semanticsOf } from "./semantics.ts"
import { prefectImage } from "./template.ts"
import { mergeVariables } from "./variables.ts"
import { placeProblems } from "./where.ts"

/** What Control Plane injects into the agent, or its user sets: defaults of what jobs leave open. */
export interface InjectedPlace {
  readonly org: string | undefined
  readonly gvc: string | undefined
  readonly location: string | undefined
  /** The agent has a credential of its own. */
  readonly hasToken: boolean
}

export interface ConfigurationSource {
  /** The pool's base job template. */
  readonly template: JsonRecord
  /** Of the server, such as "3.8.8": it decides semantics. */
  readonly version: string
  readonly run: { readonly id: string; readonly name: string; readonly jobVariables: JsonRecord }
  readonly flow: { readonly id: string; readonly name: string }
  readonly deployment:
    | {
        readonly id: string
        readonly name: string
        /** ISO time. */
        readonly updated: string | undefined
        readonly jobVariables: JsonRecord
      }
    | undefined
  readonly pool: { readonly id: string; readonly name: string } | undefined
  readonly workerName: string | undefined
  /** The agent's `PREFECT_*` settings; jobs get those that are not the agent's own. */
  readonly settings: Environment
  /** The agent's environment, for `{{ $NAME }}`. */
  readonly environment: Environment
  readonly injected: InjectedPlace
  /** All that the server has of the run and its flow, for `{{ ctx.… }}` in names; undefined until it is asked for. */
  readonly context: { readonly flow: JsonRecord; readonly flow_run: JsonRecord } | undefined
}

/** As the Python worker has it; org and namespace are plain names. */
export interface Configuration {
  readonly name: string
  readonly command: string
  readonly env: Environment
  readonly labels: Labels
  readonly org: string
  readonly namespace: string
  /** Null: the first location of the GVC. */
  readonly location: string | null
  /** Data of the configuration block; holds a token. */
  readonly config: JsonRecord | null
  /** Seconds. */
  readonly job_watch_timeout_seconds: number | null
  /** Seconds. */
  readonly pod_watch_timeout_seconds: number
  readonly stream_output: boolean
  readonly job_manifest: JsonRecord
}

export type Configured =
  | {
      readonly _tag: "Configured"
      readonly configuration: Configuration
      readonly warnings: ReadonlyArray<string>
      /** Adds to a problem which variable is behind it, and who set it; its path is one of the configuration. */
      readonly explain: (problem: Problem) => Problem
      /** The same for paths of the manifest. */
      readonly explainManifest: (problem: Problem) => Problem
    }
  | { readonly _tag: "Refused"; readonly problems: ReadonlyArray<Problem> }
  | {
      readonly _tag: "Needs"
      readonly blocks: ReadonlyArray<BlockKey>
      readonly variables: ReadonlyArray<string>
      readonly context: boolean
    }

const refused = (...problems: ReadonlyArray<Problem>): Configured => ({ _tag: "Refused", problems })

/**
 * One step: asks for what is not known yet, else gives the configuration or every problem. Called again with more known,
 * it gets there in at most four steps.
 */
export const configure = (source: ConfigurationSource, known: Known): Configured => {
  const nested = nestedTooDeep(source, known)
  if (nested !== undefined) return refused(nested)
  const template = source.template["job_configuration"]
  if (!isRecord(template)) {
    return refused({
      path: "job_configuration",
      rule: "the pool's base job template has no object of this name",
      remedy: "Write a whole template to the pool: agent pool create, or the pool's page."
    })
  }
  const semantics = semanticsOf(source.version)
  const variables = mergeVariables(
    {
      schema: source.template["variables"],
      deployment: source.deployment?.jobVariables ?? {},
      run: source.run.jobVariables
    },
    semantics
  )
  const trace: Trace = { template, variables, deploymentName: source.deployment?.name }
  const problems: Array<Problem> = [...variables.problems]
  const shown = shownEnvironment(source.environment)
  const filled = populate(template, variables, semantics, shown, problems)
  const resolved = resolveReferences(filled.value, known, semantics)
  if (resolved.needs.blocks.length > 0 || resolved.needs.variables.length > 0) {
    return { _tag: "Needs", ...resolved.needs, context: false }
  }
  if (source.context === undefined && semantics.contextInName && namesContext(resolved.value)) {
    return { _tag: "Needs", blocks: [], variables: [], context: true }
  }
  problems.push(...once(resolved.problems))
  // A reference that leads nowhere leaves holes that would be told as further problems.
  const read = readConfiguration(source, recordOf(resolved.value), filled.hasManifest, semantics)
  problems.push(...(resolved.problems.length > 0 ? [] : read.problems))
  const explain = explaining(trace)
  const explainManifest = (problem: Problem): Problem => {
    const entry = entryAt(problem.path, read.configuration)
    return entry === undefined
      ? { ...explain({ ...problem, path: `job_manifest.${problem.path}` }), path: problem.path }
      : explainingEntry(trace)(problem, entry)
  }
  if (problems.length > 0) {
    // What is wrong beside the manifest is told with what is wrong in it; a broken one has troubles that are none.
    const isWhole =
      resolved.problems.length === 0 && !problems.some(({ path }) => /^job_manifest\b/u.test(path))
    const inManifest = isWhole ? problemsAnywhere(read.configuration.job_manifest, flowRunJob) : []
    return refused(...problems.map(explain), ...inManifest.map(explainManifest))
  }
  return {
    _tag: "Configured",
    configuration: read.configuration,
    warnings: warningsOf(source, template, variables, filled.hasManifest, read.configuration, semantics),
    explain,
    explainManifest
  }
}

const flowRunJob = { jobType: undefined, poolId: "pool" }

/** Name of the variable of the run's own environment that a path of the manifest leads to. */
const entryAt = (path: string, { env, job_manifest }: Configuration): string | undefined => {
  const index = /^spec\.template\.spec\.containers\[0\]\.env\[(\d+)\]/u.exec(path)?.[1]
  const pod = recordOf(recordOf(recordOf(job_manifest["spec"])["template"])["spec"])
  const list = recordOf((pod["containers"] as ReadonlyArray<unknown> | undefined)?.[0])["env"]
  const name = recordOf(Array.isArray(list) ? list[Number(index)] : undefined)["name"]
  return typeof name === "string" && Object.hasOwn(env, name) ? name : undefined
}

/** One reference stands at several places when its variable does; the shortest path says it best. */
const once = (problems: ReadonlyArray<Problem>): ReadonlyArray<Problem> =>
  problems.filter(
    (each) => !problems.some(({ rule, path }) => rule === each.rule && path.length < each.path.length)
  )

const nestedTooDeep = (source: ConfigurationSource, known: Known): Problem | undefined => {
  const parts: ReadonlyArray<readonly [string, unknown]> = [
    ["the pool's base job template", source.template],
    ["the deployment's job variables", source.deployment?.jobVariables],
    ["the flow run's job variables", source.run.jobVariables],
    ["a block", [...known.blocks.values()]],
    ["a variable", [...known.variables.values()]]
  ]
  const found = parts.find(([, value]) => isTooDeep(value))
  return found === undefined
    ? undefined
    : { path: found[0], rule: "it is nested too deep", remedy: "No job needs more than 200 levels." }
}

const readConfiguration = (
  source: ConfigurationSource,
  populated: JsonRecord,
  hasManifest: boolean,
  semantics: Semantics
): { readonly configuration: Configuration; readonly problems: ReadonlyArray<Problem> } => {
  const fields = new Fields(populated)
  const { problems } = fields
  const { injected } = source
  const settings = forwardedSettings(source.settings)
  const configuredName = fields.text("name")
  const name = (configuredName && nameInContext(configuredName, source, semantics)) || source.run.name
  const givenCommand = fields.text("command")
  const command = givenCommand?.trim() ? givenCommand : flowRunCommand(source.settings, semantics).join(" ")
  const about = {
    runId: source.run.id,
    workerName: source.workerName,
    flow: source.flow,
    deployment: source.deployment
  }
  const env = mergeEnvironments(
    settings,
    runEnvironment(about, semantics),
    envTexts(fields.requiredRecord("env"), "env", true, problems)
  )
  const labels = {
    ...workerLabels(source, semantics),
    ...labelTexts(fields.requiredRecord("labels"), "labels", problems)
  }
  const config = valueAt(populated, "config") == null ? null : fields.record("config")
  const org = nameOfLink(fields.text("org")) ?? injected.org
  const gvc = nameOfLink(fields.text("namespace")) ?? injected.gvc
  problems.push(...placeProblems({ org, gvc, config, hasToken: injected.hasToken }))
  const configuration = {
    name,
    command,
    env,
    labels,
    org: org ?? "",
    namespace: gvc ?? "",
    location: nameOfLink(fields.text("location")) ?? injected.location ?? null,
    config,
    job_watch_timeout_seconds: fields.integer("job_watch_timeout_seconds") ?? null,
    pod_watch_timeout_seconds: fields.required(
      "pod_watch_timeout_seconds",
      (each) => fields.integer(each),
      60
    ),
    stream_output: fields.required("stream_output", (each) => fields.truth(each), true)
  }
  const ownManifest = withMetadata(fields.record("job_manifest"), hasManifest ? gvc : undefined)
  if (valueAt(populated, "job_manifest") === null) {
    fields.problem("job_manifest", "none is not an allowed value", "Give a Kubernetes Job manifest.")
  } else if (isRecord(populated["job_manifest"])) {
    problems.push(...skeletonProblems(ownManifest, "job_manifest"))
  }
  const manifest = fillManifest(
    ownManifest,
    { labels, environment: env, name, command, image: prefectImage(source.version), semantics },
    "job_manifest",
    problems
  )
  return { configuration: { ...configuration, job_manifest: manifest }, problems }
}

const namesContext = (configuration: unknown): boolean =>
  variablesIn(recordOf(configuration)["name"]).has("ctx")

const nameInContext = (name: string, { context, environment }: ConfigurationSource, semantics: Semantics) => {
  if (!semantics.contextInName) return name
  const rendered = fillIn(name, {
    variables: { ctx: context ?? {} },
    environment: shownEnvironment(environment)
  })
  return rendered === missing ? name : pythonStr(rendered)
}
