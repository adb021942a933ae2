/**
 * What Control Plane allows in names, tags, containers and jobs, each number once. Sources: the platform's reference
 * pages and the schemas of its own tools.
 *
 * Invariant: what passes these limits is taken by the service; the converter refuses the rest in its own words.
 */

/** Names of most objects: lower-case letter first, then letters, digits and dashes, no dash at the end. */
export const resourceName = /^[a-z](?:[-a-z0-9]*[a-z0-9])?$/u
export const longestResourceName = 63

export const isResourceName = (text: string): boolean =>
  text.length <= longestResourceName && resourceName.test(text)

/** Job types come from the reference's users; they may begin with a digit. */
export const jobTypePattern = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/u
export const longestJobType = 63

export const mostContainers = 8
export const containerName = /^[a-z][-a-z0-9]*[a-z0-9]$/u
export const longestContainerName = 63
export const reservedContainerPrefixes = ["cpln-", "debugger-"]
export const reservedContainerNames = [
  "istio-proxy",
  "queue-proxy",
  "istio-validation",
  "cpln-envoy-assassin",
  "cpln-writer-proxy",
  "cpln-reader-proxy",
  "cpln-dbaas-config"
]

/** The entrypoint is one text. */
export const longestCommand = 256

export const variableName = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/u
export const longestVariableName = 120
export const longestVariableValue = 4096
export const reservedVariables = ["K_SERVICE", "K_CONFIGURATION", "K_REVISION"]
export const isReservedVariable = (name: string): boolean =>
  /^CPLN_/iu.test(name) || reservedVariables.includes(name)

/** Fields of the pod that `cpln://reference/…` knows. */
export const knownReferences = [
  "metadata.name",
  "metadata.namespace",
  "spec.nodeName",
  "status.hostIP",
  "status.podIP",
  "status.podIPs"
]

/** In millicores and MiB; a quantity is a text of at most 20 characters. */
export const leastCpu = 25
export const leastMemory = 32
export const mostMemoryPerCpu = 8
export const longestQuantity = 20

/** What a container gets without limits (the reference's defaults). */
export const defaultCpu = "500m"
export const defaultMemory = "512Mi"

export const mostVolumes = 15
export const reservedMountPaths = ["/dev", "/dev/log", "/tmp", "/var", "/var/log"]

/** Of a job, in seconds. */
export const longestDeadline = 86_400

/** Of `securityOptions`; 1337 is the user of the platform's own proxy. */
export const highestUserId = 65_534
export const reservedUserId = 1337

export const mostTags = 50
/** The agent's own tags on a command: flow run, flow, agent, pool, attempt. */
export const ownTags = 5
/** No limit is documented; longer ones were never seen. */
export const longestTagValue = 250
