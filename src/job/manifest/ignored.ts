/**
 * The fields of Kubernetes that have no effect on the platform, with the reason that the user reads.
 *
 * Invariant: every key of a manifest that is not translated is looked up here; one that is found nowhere is named as
 * unknown, so that a misspelt field is noticed.
 */
import { isUnset, type Node, pathOf } from "./read.ts"

interface Fields {
  /** Translated, or judged, elsewhere. */
  readonly used: ReadonlyArray<string>
  readonly ignored: Readonly<Record<string, string>>
  /** Values that ask for what happens anyhow. */
  readonly natural?: Readonly<Record<string, ReadonlyArray<unknown>>>
}

const scheduling = "the platform chooses where a job runs"
const oneReplica = "a run is one replica of one job"
const notRetried = "a run is started once; retries are Prefect's"
const cleaning = "the agent cleans up by its own time to live (--cleanup-ttl)"
const network = "the platform sets up network and names"
const pulling = "pull secrets belong to the GVC, and the platform decides when to pull"
const cronJob = "a job exposes no ports and is not probed"
const security =
  "securityOptions of the platform has the user and the file system group of the whole workload only"
const terminal = "a job has no terminal, and its logs are kept by the platform"
const annotations = "only the Job's own labels become tags of the command"
const server = "it is written by a Kubernetes server"
const noSuch = "the platform has nothing like it"

export const manifestFields: Fields = {
  used: ["apiVersion", "kind", "metadata", "spec"],
  ignored: { status: server }
}

export const metadataFields: Fields = {
  used: ["generateName", "labels", "namespace"],
  ignored: {
    name: "the workload is named after its shape",
    annotations,
    creationTimestamp: server,
    deletionGracePeriodSeconds: server,
    deletionTimestamp: server,
    finalizers: server,
    generation: server,
    managedFields: server,
    ownerReferences: server,
    resourceVersion: server,
    selfLink: server,
    uid: server
  }
}

export const jobFields: Fields = {
  used: ["template", "activeDeadlineSeconds"],
  ignored: {
    backoffLimit: notRetried,
    backoffLimitPerIndex: notRetried,
    maxFailedIndexes: notRetried,
    podFailurePolicy: notRetried,
    podReplacementPolicy: notRetried,
    successPolicy: oneReplica,
    completionMode: oneReplica,
    completions: oneReplica,
    parallelism: oneReplica,
    managedBy: noSuch,
    manualSelector: noSuch,
    selector: noSuch,
    suspend: "the workload is always suspended, and runs are started one by one",
    ttlSecondsAfterFinished: cleaning
  },
  natural: { backoffLimit: [0], completions: [1], parallelism: [1], completionMode: ["NonIndexed"] }
}

export const templateFields: Fields = { used: ["metadata", "spec"], ignored: {} }

export const templateMetadataFields: Fields = {
  used: [],
  ignored: {
    annotations,
    creationTimestamp: server,
    generateName: annotations,
    labels: annotations,
    name: annotations,
    namespace: annotations
  }
}

export const podFields: Fields = {
  used: [
    "activeDeadlineSeconds",
    "containers",
    "ephemeralContainers",
    "initContainers",
    "restartPolicy",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "volumes"
  ],
  ignored: {
    affinity: scheduling,
    automountServiceAccountToken: "a workload always has the token of its identity",
    completions: oneReplica,
    dnsConfig: network,
    dnsPolicy: network,
    enableServiceLinks: network,
    hostAliases: network,
    hostIPC: noSuch,
    hostNetwork: network,
    hostPID: noSuch,
    hostUsers: noSuch,
    hostname: network,
    imagePullSecrets: pulling,
    nodeName: scheduling,
    nodeSelector: scheduling,
    os: "jobs run on linux/amd64",
    overhead: scheduling,
    parallelism: oneReplica,
    preemptionPolicy: scheduling,
    priority: scheduling,
    priorityClassName: scheduling,
    readinessGates: cronJob,
    resourceClaims: noSuch,
    resources: "limits belong to the containers",
    runtimeClassName: scheduling,
    schedulerName: scheduling,
    schedulingGates: scheduling,
    setHostnameAsFQDN: network,
    shareProcessNamespace: noSuch,
    subdomain: network,
    terminationGracePeriodSeconds: "a stopped job has the platform's 90 s",
    tolerations: scheduling,
    topologySpreadConstraints: scheduling
  },
  natural: {
    completions: [1],
    dnsPolicy: ["ClusterFirst"],
    enableServiceLinks: [true],
    parallelism: [1],
    schedulerName: ["default-scheduler"],
    terminationGracePeriodSeconds: [90]
  }
}

export const containerFields: Fields = {
  used: [
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "lifecycle",
    "name",
    "resources",
    "volumeDevices",
    "volumeMounts",
    "workingDir"
  ],
  ignored: {
    imagePullPolicy: pulling,
    livenessProbe: cronJob,
    ports: cronJob,
    readinessProbe: cronJob,
    resizePolicy: noSuch,
    restartPolicy: "spec.template.spec.restartPolicy is for all containers",
    securityContext: security,
    startupProbe: cronJob,
    stdin: terminal,
    stdinOnce: terminal,
    terminationMessagePath: terminal,
    terminationMessagePolicy: terminal,
    tty: terminal
  },
  natural: {
    imagePullPolicy: ["IfNotPresent"],
    terminationMessagePath: ["/dev/termination-log"],
    terminationMessagePolicy: ["File"]
  }
}

/** Names every field of the node that has no effect. */
export const noteIgnored = (node: Node, fields: Fields): void => {
  for (const [key, value] of Object.entries(node.value)) {
    if (fields.used.includes(key) || isUnset(value)) continue
    const reason = Object.hasOwn(fields.ignored, key) ? fields.ignored[key] : undefined
    if (reason === undefined) {
      node.report.ignore(pathOf(node, key), "no field of a Kubernetes Job (check the spelling)")
      continue
    }
    const natural = fields.natural !== undefined && Object.hasOwn(fields.natural, key)
    if (natural && fields.natural[key]?.includes(value) === true) continue
    node.report.ignore(pathOf(node, key), reason)
  }
}
