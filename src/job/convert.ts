/**
 * A Kubernetes Job manifest as a cron workload of Control Plane, and what a command of it sends.
 *
 * Invariant: pure and total. Any JSON gives a job that the platform takes, or every reason at once why it cannot be one.
 * Equal shapes give equal workloads, names and hashes, whatever their image, command, args, env or size.
 */
import { Result } from "effect"
import { isRecord } from "./json.ts"
import { jobTypePattern, longestJobType } from "./limits.ts"
import { type ContainerOverride, convertContainers } from "./manifest/containers.ts"
import { envFromNames } from "./manifest/env.ts"
import {
  jobFields,
  manifestFields,
  metadataFields,
  noteIgnored,
  podFields,
  templateFields,
  templateMetadataFields
} from "./manifest/ignored.ts"
import { convertLabels } from "./manifest/labels.ts"
import {
  convertRestartPolicy,
  convertSecurity,
  deadlineIn,
  refuseExtraContainers,
  serviceAccount
} from "./manifest/pod.ts"
import { kindOf, mappingIn, member, type Node, pathOf, shown, textIn } from "./manifest/read.ts"
import { Report } from "./manifest/report.ts"
import type { Problem } from "./problem.ts"
import { specHash } from "./spec-hash.ts"
import { identityName, policyName, workloadName } from "./workload-name.ts"

export type { Problem } from "./problem.ts"
export type { ContainerOverride } from "./manifest/containers.ts"

export interface ConvertContext {
  /** Short names, all three; a link as location is cut to its name. */
  readonly org: string
  readonly gvc: string
  readonly location: string
  readonly jobType: string | undefined
  /** Of the flow run's work pool; undefined for a job that is no flow run, which keeps its restart policy. */
  readonly poolId: string | undefined
  /** Key names of the dictionary secrets that `secretsToReveal` named, as revealed; values dropped. */
  readonly secretKeys: ReadonlyMap<string, ReadonlyArray<string>>
  /** Types of those that exist and are no dictionaries, for the message. */
  readonly secretTypes?: ReadonlyMap<string, string>
  /** What to do about those that may not be revealed, for the message. */
  readonly secretsHidden?: ReadonlyMap<string, string>
}

export interface ConvertedIdentity {
  readonly name: string
  /** As `PUT /org/O/gvc/G/identity` takes it. */
  readonly body: Readonly<Record<string, unknown>>
}

export interface ConvertedPolicy {
  readonly name: string
  /** `//secret/NAME`, in the order of first use. */
  readonly secretLinks: ReadonlyArray<string>
  /** As `PUT /org/O/policy` takes it. */
  readonly body: Readonly<Record<string, unknown>>
}

export interface ConvertedJob {
  /** Of the workload. */
  readonly name: string
  readonly specHash: string
  /** Of the workload. */
  readonly tags: Readonly<Record<string, string>>
  /** Of the workload, `identityLink` included. */
  readonly spec: Readonly<Record<string, unknown>>
  /** To be made with the workload; undefined with a service account. */
  readonly identity: ConvertedIdentity | undefined
  /** To be made with the identity; undefined without secrets, and with a service account. */
  readonly policy: ConvertedPolicy | undefined
  /** Names of all secrets that the job's identity has to be able to reveal, whoever provides it. */
  readonly secrets: ReadonlyArray<string>
  readonly overrides: ReadonlyArray<ContainerOverride>
  /** The Job's labels, for the command's tags. */
  readonly labels: Readonly<Record<string, string>>
  /** Short name. */
  readonly location: string
  /** For the command, in seconds. */
  readonly activeDeadlineSeconds: number | undefined
  readonly warnings: ReadonlyArray<string>
}

/** The secrets whose key names `convert` needs to know, once each. Any JSON; malformed parts name none. */
export const secretsToReveal = (manifest: unknown): ReadonlyArray<string> => {
  const containers = member(member(member(member(manifest, "spec"), "template"), "spec"), "containers")
  return Array.isArray(containers) ? envFromNames(containers) : []
}

export const convert = (
  manifest: unknown,
  context: ConvertContext
): Result.Result<ConvertedJob, ReadonlyArray<Problem>> => {
  const report = new Report()
  if (!isRecord(manifest)) {
    report.refuse("manifest", `must be a mapping, not ${kindOf(manifest)}.`, "Give a Kubernetes Job.")
    return Result.fail(report.problems)
  }
  const job = convertJob({ value: manifest, path: "", report }, context)
  return job === undefined || report.problems.length > 0
    ? Result.fail(report.problems)
    : Result.succeed({ ...job, warnings: report.warnings })
}

/** Undefined when there is no pod to speak of; then the report holds the reason. */
const convertJob = (root: Node, context: ConvertContext): Omit<ConvertedJob, "warnings"> | undefined => {
  const { report } = root
  noteIgnored(root, manifestFields)
  noteKind(root)
  checkJobType(root, context.jobType)
  const remedy = wholeJob(root)
  const metadata = required(root, "metadata", remedy)
  const labels = metadata === undefined ? {} : convertMetadata(metadata, context)
  const spec = required(root, "spec", remedy)
  const template = spec === undefined ? undefined : required(spec, "template", remedy)
  const pod = template === undefined ? undefined : required(template, "spec", remedy)
  if (spec === undefined || template === undefined || pod === undefined) return undefined
  noteIgnored(spec, jobFields)
  noteIgnored(template, templateFields)
  const podMetadata = mappingIn(template, "metadata")
  if (podMetadata !== undefined) noteIgnored(podMetadata, templateMetadataFields)
  noteIgnored(pod, podFields)
  refuseExtraContainers(pod)
  const { placeholders, overrides, secrets } = convertContainers(pod, {
    keys: context.secretKeys,
    otherTypes: context.secretTypes ?? new Map(),
    hidden: context.secretsHidden ?? new Map()
  })
  const given = serviceAccount(pod, context)
  const [ofJob, ofPod] = [deadlineIn(spec), deadlineIn(pod)]
  const shape = workloadSpec({
    containers: placeholders,
    restartPolicy: convertRestartPolicy(pod, context.poolId !== undefined),
    deadline: ofPod,
    security: convertSecurity(pod),
    identityLink: given
  })
  // An invalid manifest may hold what no hash is defined for; it gets no name.
  if (report.problems.length > 0) return undefined
  return {
    ...named(shape, given, secrets, context),
    secrets,
    overrides,
    labels,
    location: context.location.split("/").at(-1) ?? "",
    // A command's own deadline goes before the workload's, so it may only stand there when it is the shorter one.
    activeDeadlineSeconds: ofJob !== undefined && ofJob < (ofPod ?? Infinity) ? ofJob : undefined
  }
}

const required = (node: Node, key: string, remedy: string): Node | undefined => {
  const value = member(node.value, key)
  if (value === undefined || value === null) {
    node.report.refuse(pathOf(node, key), "is missing.", remedy)
    return undefined
  }
  return mappingIn(node, key)
}

/** What to give instead of something else, such as a ConfigMap. */
const wholeJob = (root: Node): string => {
  const kind = member(root.value, "kind")
  const what = typeof kind !== "string" || kind === "Job" ? "" : `This is a ${shown(kind)}. `
  return isRecord(member(member(root.value, "spec"), "jobTemplate"))
    ? `${what}Give what stands in spec.jobTemplate as a Job of its own.`
    : `${what}Give a complete Kubernetes Job.`
}

/** The shape is what counts; a manifest of another kind that fits it was always run. */
const noteKind = (root: Node): void => {
  const kind = member(root.value, "kind")
  if (kind !== undefined && kind !== "Job") {
    root.report.warn("kind", `${shown(kind)} is run like a Job.`)
  }
}

const checkJobType = (root: Node, jobType: string | undefined): void => {
  if (jobType === undefined || (jobTypePattern.test(jobType) && jobType.length <= longestJobType)) return
  root.report.refuse(
    "job_type",
    `${shown(jobType)} is no job type.`,
    `Use up to ${longestJobType} lower-case letters, digits and dashes, no dash at either end.`
  )
}

const convertMetadata = (metadata: Node, context: ConvertContext): Readonly<Record<string, string>> => {
  const { report } = metadata
  noteIgnored(metadata, metadataFields)
  const generateName = textIn(metadata, "generateName")
  if (generateName === undefined && context.jobType === undefined) {
    report.refuse(
      pathOf(metadata, "generateName"),
      "is missing.",
      "Name the job there, or give it a job type."
    )
  }
  const namespace = textIn(metadata, "namespace") ?? ""
  if (namespace !== "" && namespace !== context.gvc) {
    report.warn(
      pathOf(metadata, "namespace"),
      `${shown(namespace)} is ignored: the job runs in GVC ${context.gvc}.`
    )
  }
  return convertLabels(metadata)
}

interface Shape {
  readonly containers: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly restartPolicy: string
  readonly deadline: number | undefined
  readonly security: object | undefined
  readonly identityLink: string | undefined
}

/** A cron workload that never runs by itself: egress open, nothing comes in, sizes as given. */
const workloadSpec = (shape: Shape): Readonly<Record<string, unknown>> => ({
  type: "cron",
  containers: shape.containers,
  job: {
    schedule: "* * * * *",
    concurrencyPolicy: "Forbid",
    historyLimit: 5,
    restartPolicy: shape.restartPolicy,
    ...(shape.deadline === undefined ? {} : { activeDeadlineSeconds: shape.deadline })
  },
  defaultOptions: { capacityAI: false, debug: false, suspend: true },
  firewallConfig: {
    external: {
      inboundAllowCIDR: [],
      inboundBlockedCIDR: [],
      outboundAllowCIDR: ["0.0.0.0/0"],
      outboundAllowHostname: [],
      outboundAllowPort: [],
      outboundBlockedCIDR: []
    },
    internal: { inboundAllowType: "none", inboundAllowWorkload: [] }
  },
  ...(shape.security === undefined ? {} : { securityOptions: shape.security }),
  ...(shape.identityLink === undefined ? {} : { identityLink: shape.identityLink })
})

/** Everything that has to do with the name, which the shape and the secrets decide. */
const named = (
  shape: Readonly<Record<string, unknown>>,
  serviceAccountLink: string | undefined,
  secrets: ReadonlyArray<string>,
  { org, gvc, jobType, poolId }: ConvertContext
): Pick<ConvertedJob, "name" | "specHash" | "tags" | "spec" | "identity" | "policy"> => {
  const hash = specHash(shape, { withIdentity: serviceAccountLink !== undefined })
  const secretLinks = serviceAccountLink === undefined ? secrets.map((secret) => `//secret/${secret}`) : []
  const name = workloadName({ poolId, org, gvc, jobType, specHash: hash, secretLinks })
  const poolTag: Readonly<Record<string, string>> =
    poolId === undefined ? {} : { "prefect.io/work-pool-id": poolId }
  const identityLink = serviceAccountLink ?? `/org/${org}/gvc/${gvc}/identity/${identityName(name)}`
  const common = {
    name,
    specHash: hash,
    tags: {
      "cpln/createdByPrefect": "true",
      "cpln/specHash": hash,
      ...(jobType === undefined ? {} : { "cpln/prefectJobType": jobType }),
      ...poolTag
    },
    spec: { ...shape, identityLink }
  }
  if (serviceAccountLink !== undefined) return { ...common, identity: undefined, policy: undefined }
  const identity = { kind: "identity", name: identityName(name), tags: poolTag }
  return {
    ...common,
    identity: { name: identity.name, body: identity },
    policy:
      secretLinks.length === 0
        ? undefined
        : {
            name: policyName(name),
            secretLinks,
            body: {
              kind: "policy",
              name: policyName(name),
              tags: poolTag,
              targetKind: "secret",
              targetLinks: secretLinks,
              bindings: [{ permissions: ["reveal"], principalLinks: [identityLink] }]
            }
          }
  }
}
