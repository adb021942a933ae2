/**
 * The containers of the pod: placeholders in the workload, and overrides that travel with each command.
 *
 * Invariant: the workload holds what an override cannot change (name, working directory, volumes, life cycle) and
 * nothing else of the job, so that jobs which differ in image, command, args, env or size share it. The first container
 * is `prefect-job`, whatever it is called in the manifest.
 */
import {
  containerName,
  longestContainerName,
  mostContainers,
  reservedContainerNames,
  reservedContainerPrefixes
} from "../limits.ts"
import { convertEnvironment, type RevealedSecrets, type Variable } from "./env.ts"
import { containerFields, noteIgnored } from "./ignored.ts"
import { convertLifecycle } from "./lifecycle.ts"
import { convertProgram } from "./program.ts"
import {
  isUnset,
  listIn,
  mappingsIn,
  member,
  type Node,
  pathOf,
  requiredTextIn,
  shown,
  textIn
} from "./read.ts"
import { convertResources } from "./resources.ts"
import { convertMounts, declaredVolumes, warnOfUnused } from "./volumes.ts"

/** What a command sends for one container of its workload. */
export interface ContainerOverride {
  readonly name: string
  readonly image: string
  readonly cpu: string
  readonly memory: string
  /** The one-text entrypoint. */
  readonly command?: string
  readonly args?: ReadonlyArray<string>
  readonly env?: ReadonlyArray<Variable>
}

export interface Containers {
  /** For the workload's spec. */
  readonly placeholders: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly overrides: ReadonlyArray<ContainerOverride>
  /** Names of all secrets that they use, in the order of first use, those of volumes first. */
  readonly secrets: ReadonlyArray<string>
}

/** The name of the container that runs the flow. */
export const mainContainer = "prefect-job"

const placeholder = { image: "ubuntu:latest", cpu: "25m", memory: "32Mi" }

export const convertContainers = (pod: Node, revealed: RevealedSecrets): Containers => {
  const declared = declaredVolumes(pod)
  const list = listIn(pod, "containers") ?? []
  const nodes = (mappingsIn(pod, "containers") ?? []).slice(0, 4 * mostContainers)
  if (list.length === 0 || list.length > mostContainers) {
    pod.report.refuse(
      pathOf(pod, "containers"),
      list.length === 0
        ? "names no container."
        : `names ${list.length} containers; a workload has 1 to ${mostContainers}.`,
      list.length === 0 ? "Give the container that runs the job." : "Put several programs into one image."
    )
  }
  warnOfUnused(declared, list)
  const names = namesOf(nodes)
  const converted = nodes.map((node, index) => {
    const name = names[index] ?? mainContainer
    noteIgnored(node, containerFields)
    refuseDevices(node)
    const mounts = convertMounts(node, declared)
    const environment = convertEnvironment(node, revealed)
    const lifecycle = convertLifecycle(node)
    const workingDir = workingDirOf(node)
    return {
      placeholder: {
        name,
        ...placeholder,
        ...(workingDir === undefined ? {} : { workingDir }),
        ...(mounts.volumes === undefined ? {} : { volumes: mounts.volumes }),
        ...(lifecycle === undefined ? {} : { lifecycle })
      },
      override: {
        name,
        image: imageOf(node),
        ...convertResources(node),
        ...convertProgram(node),
        ...(environment.env === undefined ? {} : { env: environment.env })
      },
      ofVolumes: mounts.secrets,
      ofVariables: environment.secrets
    }
  })
  return {
    placeholders: converted.map((each) => each.placeholder),
    overrides: converted.map((each) => each.override),
    secrets: [
      ...new Set([
        ...converted.flatMap((each) => each.ofVolumes),
        ...converted.flatMap((each) => each.ofVariables)
      ])
    ]
  }
}

/** The first one has its fixed name; sidecar number n without a name is `sidecar-n`. */
const namesOf = (containers: ReadonlyArray<Node>): ReadonlyArray<string> => {
  const taken = new Set<string>()
  return containers.map((container, index) => {
    const given = index === 0 ? mainContainer : textIn(container, "name")
    const name = given === undefined || given === "" ? `sidecar-${index}` : given
    checkContainerName(container, name, taken)
    taken.add(name)
    return name
  })
}

const checkContainerName = (container: Node, name: string, taken: ReadonlySet<string>): void => {
  const refuse = (rule: string, remedy: string) =>
    container.report.refuse(pathOf(container, "name"), rule, remedy)
  if (taken.has(name)) {
    refuse(
      `${shown(name)} is already the name of another container.`,
      `Rename it; the first container is always called ${mainContainer}.`
    )
  }
  if (!containerName.test(name) || name.length > longestContainerName) {
    refuse(
      `${shown(name)} is no name for a container.`,
      `Use two to ${longestContainerName} lower-case letters, digits and dashes, a letter first, no dash at the end.`
    )
  }
  if (
    reservedContainerNames.includes(name) ||
    reservedContainerPrefixes.some((prefix) => name.startsWith(prefix))
  ) {
    refuse(`${name} is a name of the platform's own containers.`, "Rename it.")
  }
}

const imageOf = (container: Node): string => {
  const image = requiredTextIn(container, "image", "Name the image to run.")
  if (image !== undefined && /\s/u.test(image)) {
    container.report.refuse(
      pathOf(container, "image"),
      `${shown(image)} holds a blank, which no image reference does.`,
      "Take the blank out."
    )
  }
  return image ?? ""
}

const workingDirOf = (container: Node): string | undefined => {
  const path = textIn(container, "workingDir")
  if (path === undefined || path === "") return undefined
  if (!path.startsWith("/")) {
    container.report.refuse(
      pathOf(container, "workingDir"),
      `${shown(path)} is no absolute path.`,
      'Begin it with "/".'
    )
  }
  return path
}

const refuseDevices = (container: Node): void => {
  if (!isUnset(member(container.value, "volumeDevices"))) {
    container.report.refuse(
      pathOf(container, "volumeDevices"),
      "the platform has no block devices.",
      "Mount a volume set with volumeMounts."
    )
  }
}
