/**
 * The block types of the Python reference, for servers that have never seen it.
 *
 * Invariant: slugs, names and fields are the reference's (`test/contract/vectors/block-types.json`), so that documents of
 * either side are read by the other. One thing differs: the reference keeps tokens in plain fields, here they are secret.
 */
import { type BlockClass, blockClass, type BlockType } from "./block-class.ts"

/** Releases of the reference's packages that these schemas are of: a version is part of a schema's identity. */
const versions = { worker: "1.0.23", agent: "2.20.25" } as const

const links = {
  logo_url: "https://console.cpln.io/resources/logos/controlPlaneLogoOnly.svg",
  documentation_url: "https://docs.controlplane.com"
}

const example = (lead: string, code: ReadonlyArray<string>): string =>
  `${lead}\`\`\`python\n${code.join("\n")}\n\`\`\``

/** As Python writes a `SecretStr`: forms of the UI hide what is typed. */
const token = {
  title: "Token",
  description:
    "The Control Plane Service Account token of a specific organization. Defaults to the value specified in the environment variable CPLN_TOKEN.",
  type: "string",
  writeOnly: true,
  format: "password"
}

const injected =
  "If you are hosting the worker on Control Plane, the environment variable will be automatically injected to your workload."

const places = {
  org: {
    title: "Org",
    description: `The Control Plane organization to create jobs within. Defaults to the value in the environment variable CPLN_ORG. ${injected}`,
    type: "string"
  },
  namespace: {
    title: "Namespace",
    description: `The Control Plane GVC to create jobs within. Defaults to the value in the environment variable CPLN_GVC. ${injected}`,
    type: "string"
  },
  location: {
    title: "Location",
    description: `The Control Plane GVC location. Defaults to the value in the environment variable CPLN_LOCATION. If the location is still not found, the first location of the specified GVC will be used. ${injected}`,
    type: "string"
  }
}

const texts = { type: "object", additionalProperties: { type: "string" } }
const nestedBlock = (className: string) => ({ allOf: [{ $ref: `#/definitions/${className}` }] })

const configurationType: BlockType = {
  name: "Control Plane Configuration",
  slug: "control-plane-configuration",
  ...links,
  description: "Stores configuration for interaction with the Control Plane platform.",
  code_example: example("Load a saved Control Plane config:\n", [
    "from prefect_cpln.credentials import CplnConfig",
    "",
    'cpln_config_block = CplnConfig.load("BLOCK_NAME")'
  ])
}

const configuration = blockClass({
  className: "CplnConfig",
  type: configurationType,
  version: versions.worker,
  properties: { token },
  secrets: ["token"]
})

const credentials = blockClass({
  className: "CplnCredentials",
  type: {
    name: "Control Plane Credentials",
    slug: "control-plane-credentials",
    ...links,
    description: "Credentials block for generating configured Control Plane API client.",
    code_example: example("Load a saved Control Plane credentials:\n", [
      "from prefect_cpln.credentials import CplnCredentials",
      "",
      'cpln_credentials = CplnCredentials.load("BLOCK_NAME")'
    ])
  },
  version: versions.worker,
  properties: { config: { $ref: "#/definitions/CplnConfig" } },
  nested: { config: configuration }
})

const job = blockClass({
  className: "CplnJob",
  type: {
    name: "Control Plane Job",
    slug: "cpln-job",
    ...links,
    description: "A block representing a Control Plane job configuration.",
    code_example: example("", [
      "from prefect_cpln.jobs import CplnJob",
      "",
      'cpln_job_block = CplnJob.load("BLOCK_NAME")'
    ])
  },
  version: versions.worker,
  properties: {
    credentials: {
      title: "Credentials",
      description: "The credentials to configure a Control Plane API client from.",
      ...nestedBlock("CplnCredentials")
    },
    ...places,
    v1_job: {
      title: "Job Manifest",
      description:
        "The Kubernetes job manifest to run. This dictionary can be produced using `yaml.safe_load`.",
      type: "object"
    },
    delete_after_completion: {
      title: "Delete After Completion",
      description: "Whether to delete the job after it has completed.",
      default: true,
      type: "boolean"
    },
    interval_seconds: {
      title: "Interval Seconds",
      description: "The number of seconds to wait between job status checks.",
      default: 5,
      type: "integer"
    },
    timeout_seconds: {
      title: "Timeout Seconds",
      description: "The number of seconds to wait for the job run before timing out.",
      type: "integer"
    }
  },
  required: ["v1_job"],
  nested: { credentials }
})

const infrastructureConfig = blockClass({
  className: "CplnInfrastructureConfig",
  type: {
    name: "Control Plane Infrastructure Config",
    slug: "control-plane-infrastructure-config",
    ...links,
    description: "Stores infrastructure configuration for interaction with the Control Plane platform.",
    code_example: example("Load a saved Control Plane config:\n", [
      "from prefect.blocks.cpln import CplnInfrastructureConfig",
      "",
      'cpln_infra_config_block = CplnInfrastructureConfig.load("BLOCK_NAME")'
    ])
  },
  version: versions.agent,
  properties: { token },
  secrets: ["token"]
})

const infrastructure = blockClass({
  className: "CplnInfrastructure",
  type: {
    name: "Control Plane Infrastructure",
    slug: "control-plane-infrastructure",
    ...links,
    description: "Runs a command as a Control Plane Job.",
    code_example: example("", [
      "from prefect.infrastructure.cpln import CplnInfrastructure",
      "",
      'control_plane_infrastructure_block = CplnInfrastructure.load("BLOCK_NAME")'
    ])
  },
  version: versions.agent,
  capabilities: ["run-infrastructure"],
  properties: {
    type: {
      title: "Type",
      description: "The type of infrastructure.",
      default: "cpln-infrastructure",
      enum: ["cpln-infrastructure"],
      type: "string"
    },
    env: {
      title: "Environment",
      description: "Environment variables to set in the configured infrastructure.",
      ...texts
    },
    labels: {
      title: "Labels",
      description: "Labels applied to the infrastructure for metadata purposes.",
      ...texts
    },
    name: {
      title: "Name",
      description: "Name applied to the infrastructure for identification.",
      type: "string"
    },
    command: {
      title: "Command",
      description: "The command to run in the infrastructure.",
      type: "array",
      items: { type: "string" }
    },
    config: {
      title: "Config",
      description: "The Control Plane config to use for this job.",
      ...nestedBlock("CplnInfrastructureConfig")
    },
    ...places,
    service_account_name: {
      title: "Service Account Name",
      description: "The Control Plane identity to use for this job.",
      type: "string"
    },
    job_type: {
      title: "Job Type",
      description:
        "An optional identifier used to group jobs into separate Control Plane workloads. Jobs with different job_type values will create separate workloads, allowing you to monitor infrastructure resource consumption per job type. Must contain only lowercase alphanumeric characters and dashes, and must start and end with an alphanumeric character (e.g., 'ml-training', 'data-processing').",
      type: "string"
    },
    job: {
      title: "Base Job Manifest",
      description: "The base manifest for the Kubernetes Job.",
      type: "object"
    },
    customizations: {
      title: "Customizations",
      description: "A list of JSON 6902 patches to apply to the base Job manifest.",
      type: "array",
      format: "rfc6902",
      items: texts
    },
    image: {
      title: "Image",
      // The missing space is the reference's.
      description:
        "The image reference of a container image to use for the job, for example, `docker.io/prefecthq/prefect:2-latest`.The behavior is as described in the Kubernetes documentation and uses the latest version of Prefect by default, unless an image is already present in a provided job manifest.",
      type: "string"
    },
    job_watch_timeout_seconds: {
      title: "Job Watch Timeout Seconds",
      description:
        "Number of seconds to wait for the job to complete before marking it as crashed. Defaults to `None`, which means no timeout will be enforced.",
      type: "integer"
    },
    pod_watch_timeout_seconds: {
      title: "Pod Watch Timeout Seconds",
      description: "Number of seconds to watch for pod creation before timing out.",
      default: 60,
      type: "integer"
    },
    stream_output: {
      title: "Stream Output",
      description: "If set, output will be streamed from the job to local standard output.",
      default: true,
      type: "boolean"
    }
  },
  nested: { config: infrastructureConfig }
})

export type BlockSlug =
  | "control-plane-configuration"
  | "control-plane-credentials"
  | "cpln-job"
  | "control-plane-infrastructure-config"
  | "control-plane-infrastructure"

export const blockClasses: Readonly<Record<BlockSlug, BlockClass>> = {
  "control-plane-configuration": configuration,
  "control-plane-credentials": credentials,
  "cpln-job": job,
  "control-plane-infrastructure-config": infrastructureConfig,
  "control-plane-infrastructure": infrastructure
}

/** Children before the blocks that they stand in: a server takes a schema only when it knows the types in it. */
export const catalogue: ReadonlyArray<BlockClass> = Object.values(blockClasses)

/** The class of a slug that a server may have given. */
export const blockClassOf = (slug: string): BlockClass | undefined =>
  catalogue.find(({ type }) => type.slug === slug)
