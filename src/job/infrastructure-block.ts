/**
 * From a `control-plane-infrastructure` block (2.20), the deployment's overrides and JSON-patch customisations to the
 * job manifest of one flow run.
 *
 * Invariant: pure and total, as `configuration.ts` is. Nothing here is templated: agents of 2.20 take every text of the
 * block as it stands.
 */
import { Result } from "effect"
import { applyPatch, type Operation } from "rfc6902"
import type { InjectedPlace } from "./configuration.ts"
import {
  envList,
  envTexts,
  type Environment,
  flowRunCommand,
  forwardedSettings,
  mergeEnvironments
} from "./environment.ts"
import { Fields } from "./fields.ts"
import { isRecord, isTooDeep, type JsonRecord, recordOf, valueAt } from "./json.ts"
import { generatedName, skeleton, skeletonProblems } from "./job-manifest.ts"
import { agentLabels, type Labelled, type Labels, labelTexts } from "./labels.ts"
import { nameOfLink } from "./places.ts"
import type { Problem } from "./problem.ts"
import { pythonStr } from "./python-text.ts"
import { semanticsOf } from "./semantics.ts"
import { labelKeySlug, labelValueSlug } from "./slug.ts"
import { prefectImage } from "./template.ts"
import { tokenOf } from "./where.ts"

export interface InfrastructureSource {
  /** Data of the block document, nested blocks inlined. */
  readonly block: JsonRecord
  /** `infra_overrides` of the deployment: dotted paths into the block. */
  readonly overrides: JsonRecord
  /** Of the server, such as "2.20.25". */
  readonly version: string
  readonly run: { readonly id: string; readonly name: string }
  readonly flow: { readonly id: string; readonly name: string }
  readonly deployment: Labelled["deployment"]
  readonly settings: Environment
  readonly injected: InjectedPlace
}

/** The block as prepared for the run; places are plain names. */
export interface PreparedBlock {
  readonly type: "cpln-infrastructure"
  readonly name: string
  readonly command: ReadonlyArray<string>
  /** Without the agent's settings; null removes one of them. */
  readonly env: Readonly<Record<string, string | null>>
  readonly labels: Labels
  readonly org: string
  readonly namespace: string
  readonly location: string
  readonly service_account_name: string | null
  readonly job_type: string | null
  /** Null: the one of the job manifest. */
  readonly image: string | null
  /** Seconds. */
  readonly job_watch_timeout_seconds: number | null
  /** Seconds. */
  readonly pod_watch_timeout_seconds: number
  readonly stream_output: boolean
}

export type PreparedInfrastructure =
  | {
      readonly _tag: "Prepared"
      readonly prepared: PreparedBlock
      /** The Kubernetes Job. */
      readonly job: JsonRecord
      /** Data of the infrastructure config block; holds a token. */
      readonly config: JsonRecord | null
    }
  | { readonly _tag: "Refused"; readonly problems: ReadonlyArray<Problem> }

const refused = (problems: ReadonlyArray<Problem>): PreparedInfrastructure => ({ _tag: "Refused", problems })

export const prepareInfrastructure = (source: InfrastructureSource): PreparedInfrastructure => {
  if (isTooDeep(source.block) || isTooDeep(source.overrides)) {
    return refused([
      { path: "block", rule: "it is nested too deep", remedy: "No job needs more than 200 levels." }
    ])
  }
  const problems: Array<Problem> = []
  const data = override(source.block, source.overrides, problems)
  if (problems.length > 0) return refused(problems)
  const read = readBlock(source, data)
  // On a job that lacks something, operations fail for no fault of their own.
  if (read.problems.some(({ path }) => path === "job")) return refused(read.problems)
  return Result.match(customise(buildJob(source, read), read.patch), {
    onFailure: (problem) => refused([...read.problems, problem]),
    onSuccess: (job) =>
      read.problems.length > 0
        ? refused(read.problems)
        : { _tag: "Prepared", prepared: read.prepared, job, config: read.config }
  })
}

/** Each dotted path is walked through existing objects; its last segment is set. Lists cannot be addressed. */
const override = (block: JsonRecord, overrides: JsonRecord, problems: Array<Problem>): JsonRecord =>
  Object.entries(overrides).reduce((data, [path, value]) => {
    const set = setAt(data, path.split("."), value)
    if (set !== undefined) return set
    problems.push({
      path,
      rule: "this override of the deployment leads to nothing in the infrastructure block",
      remedy: "Every part of the path but the last must be an object of the block; lists cannot be addressed."
    })
    return data
  }, block)

const setAt = (
  data: JsonRecord,
  [key = "", ...rest]: ReadonlyArray<string>,
  value: unknown
): JsonRecord | undefined => {
  if (rest.length === 0) return { ...data, [key]: value }
  const inner = valueAt(data, key)
  const set = isRecord(inner) ? setAt(inner, rest, value) : undefined
  return set === undefined ? undefined : { ...data, [key]: set }
}

interface ReadBlock {
  readonly prepared: PreparedBlock
  readonly job: JsonRecord
  readonly config: JsonRecord | null
  readonly patch: ReadonlyArray<unknown>
  readonly problems: ReadonlyArray<Problem>
}

const readBlock = (source: InfrastructureSource, data: JsonRecord): ReadBlock => {
  const fields = new Fields(data)
  const { problems } = fields
  const semantics = semanticsOf(source.version)
  const type = valueAt(data, "type") ?? blockType
  if (type !== blockType) {
    fields.problem("type", `unexpected value; permitted: '${blockType}'`, "Leave it out.")
  }
  const command = fields.list("command")?.map((word) => commandWord(word, fields)) ?? []
  const job = valueAt(data, "job") === undefined ? emptyJob : fields.record("job")
  problems.push(...skeletonProblems(job, "job", emptyJob))
  const config = valueAt(data, "config") == null ? null : fields.record("config")
  const patch = readPatch(data, fields)
  const jobType = readJobType(fields)
  const { injected } = source
  const org = nameOfLink(fields.text("org")) ?? injected.org ?? ""
  const namespace = nameOfLink(fields.text("namespace")) ?? injected.gvc ?? ""
  const location = nameOfLink(fields.text("location")) ?? injected.location ?? ""
  problems.push(...emptyPlaces({ org, namespace, location }))
  if (tokenOf(config) === undefined && !injected.hasToken) {
    problems.push({
      path: "config",
      rule: "there is no credential for Control Plane",
      remedy: "Give the block a config block with a token, or set CPLN_TOKEN for the agent."
    })
  }
  const image = fields.text("image") || null
  const ownImage = recordOf(containersOf(job)[0])["image"]
  const prepared: PreparedBlock = {
    type: blockType,
    name: fields.text("name") || source.run.name,
    command: command.length > 0 ? command : flowRunCommand(source.settings, semantics),
    env: {
      PREFECT__FLOW_RUN_ID: source.run.id,
      ...envTexts(fields.requiredRecord("env"), "env", false, problems)
    },
    labels: {
      ...agentLabels({ ...source, pool: undefined, workerName: undefined }, semantics),
      ...labelTexts(fields.requiredRecord("labels"), "labels", problems)
    },
    org,
    namespace,
    location,
    service_account_name: fields.text("service_account_name") ?? null,
    job_type: jobType,
    image: image ?? (ownImage ? null : prefectImage(source.version)),
    job_watch_timeout_seconds: fields.integer("job_watch_timeout_seconds") ?? null,
    pod_watch_timeout_seconds: fields.required(
      "pod_watch_timeout_seconds",
      (each) => fields.integer(each),
      60
    ),
    stream_output: fields.required("stream_output", (each) => fields.truth(each), true)
  }
  return { prepared, job, config, patch, problems }
}

const blockType = "cpln-infrastructure"

/** The least that a block's job may be; unlike a pool's manifest, it must have an env list to add to. */
const emptyJob = skeleton({ env: [] })

const commandWord = (word: unknown, fields: Fields): string => {
  if (word === null || typeof word === "object")
    fields.problem("command", "str type expected", "Give a list of texts.")
  return pythonStr(word)
}

const readPatch = (data: JsonRecord, fields: Fields): ReadonlyArray<unknown> => {
  const given = valueAt(data, "customizations")
  if (typeof given !== "string") return fields.required("customizations", (name) => fields.list(name), [])
  const unreadable = () => {
    fields.problem(
      "customizations",
      `Unable to parse customizations as JSON: ${given}. Please make sure that the provided value is a valid JSON string.`,
      "Give a list of JSON Patch operations, or its JSON text."
    )
    return []
  }
  try {
    const parsed: unknown = JSON.parse(given)
    return Array.isArray(parsed) && !isTooDeep(parsed) ? parsed : unreadable()
  } catch {
    return unreadable()
  }
}

const longestJobType = 63

const readJobType = (fields: Fields): string | null => {
  const jobType = fields.text("job_type")
  if (jobType === undefined) return null
  const length = [...jobType].length
  const rule =
    jobType === ""
      ? "job_type cannot be an empty string."
      : length > longestJobType
        ? `job_type must be 63 characters or less, got ${length} characters.`
        : /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/u.test(jobType)
          ? undefined
          : `job_type must contain only lowercase alphanumeric characters and dashes, and must start and end with an alphanumeric character. Got: '${jobType}'`
  if (rule !== undefined) fields.problem("job_type", rule, "Name the kind of job, such as ml-training.")
  return jobType
}

const emptyPlaces = (
  places: Readonly<Record<"org" | "namespace" | "location", string>>
): ReadonlyArray<Problem> => {
  const missing = [
    ["org", "org", "an organization", "CPLN_ORG"],
    ["namespace", "namespace", "a namespace", "CPLN_GVC"],
    ["location", "location", "a location", "CPLN_LOCATION"]
  ] as const
  return missing.flatMap(([path, word, what, variable]) =>
    places[path] === ""
      ? [
          {
            path,
            rule: `Control Plane job cannot be run with an empty ${word}. Please specify ${what} in the infrastructure block.`,
            remedy: `${variable} of the agent is its default.`
          }
        ]
      : []
  )
}

const containersOf = (job: JsonRecord): ReadonlyArray<unknown> => {
  const containers = recordOf(recordOf(recordOf(job["spec"])["template"])["spec"])["containers"]
  return Array.isArray(containers) ? (containers as ReadonlyArray<unknown>) : []
}

/** The block's own fields over its manifest: they win where both say something, and env comes last. */
const buildJob = (source: InfrastructureSource, { prepared, job }: ReadBlock): JsonRecord => {
  const environment = mergeEnvironments(forwardedSettings(source.settings), prepared.env)
  const metadata = recordOf(job["metadata"])
  const spec = recordOf(job["spec"])
  const template = recordOf(spec["template"])
  const [first, ...others] = containersOf(job)
  const container = recordOf(first)
  const env = Array.isArray(container["env"]) ? (container["env"] as ReadonlyArray<unknown>) : []
  return {
    ...job,
    metadata: {
      ...metadata,
      namespace: prepared.namespace,
      labels: {
        ...recordOf(metadata["labels"]),
        ...Object.fromEntries(
          Object.entries(prepared.labels).map(([key, value]) => [labelKeySlug(key), labelValueSlug(value)])
        )
      },
      generateName: generatedName(prepared.name)
    },
    spec: {
      ...spec,
      template: {
        ...template,
        spec: {
          ...recordOf(template["spec"]),
          ...(prepared.service_account_name ? { serviceAccountName: prepared.service_account_name } : {}),
          containers: [
            {
              ...container,
              ...(prepared.image === null ? {} : { image: prepared.image }),
              env: [...env, ...envList(environment)],
              args: prepared.command
            },
            ...others
          ]
        }
      }
    }
  }
}

/** RFC 6902; the first operation that fails refuses the job. */
const customise = (job: JsonRecord, patch: ReadonlyArray<unknown>): Result.Result<JsonRecord, Problem> => {
  const failed = (index: number, reason: string) =>
    Result.fail({
      path: `customizations[${index}]`,
      rule: `this JSON Patch operation cannot be applied: ${reason}`,
      remedy: "Compare its path with the job manifest of the block."
    })
  // The library changes what it is given, and throws on malformed operations. One level up, a path may be the whole job.
  const holder: { job?: unknown } = { job: structuredClone(job) }
  for (const [index, operation] of patch.entries()) {
    const lowered = isRecord(operation)
      ? { ...operation, path: below(operation["path"]), from: below(operation["from"]) }
      : operation
    try {
      const [error] = applyPatch(holder, [lowered as Operation])
      if (error != null) return failed(index, error.name === "TestError" ? "its test failed" : error.message)
    } catch (cause) {
      return failed(index, cause instanceof Error ? cause.message : "it is malformed")
    }
  }
  return isRecord(holder.job)
    ? Result.succeed(holder.job)
    : failed(patch.length - 1, "what is left is no object")
}

const below = (pointer: unknown): unknown =>
  typeof pointer === "string" && (pointer === "" || pointer.startsWith("/")) ? `/job${pointer}` : pointer
