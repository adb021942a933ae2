/**
 * Volumes of the pod and their mounts become volumes of the platform's container: claims are volume sets, secrets and
 * config maps are secrets, `emptyDir` is scratch space.
 *
 * Invariant: a container's volumes have absolute paths of their own, none inside another, none that the platform keeps
 * for itself, at most 15; a mount that cannot be made is refused, never left out, unless nothing was there to mount.
 */
import { mostVolumes, reservedMountPaths } from "../limits.ts"
import {
  isUnset,
  listIn,
  mappingIn,
  mappingsIn,
  member,
  type Node,
  pathOf,
  requiredTextIn,
  shown,
  textIn
} from "./read.ts"
import {
  isGiven,
  type Made,
  nothing,
  projected,
  secretVolume,
  type Target,
  type Volume
} from "./secret-volumes.ts"
import { checkName } from "./secrets.ts"

export interface Mounts {
  /** Undefined when the container mounts nothing; may be empty. */
  readonly volumes: ReadonlyArray<Volume> | undefined
  readonly secrets: ReadonlyArray<string>
}

/** The pod's volumes by name. */
export const declaredVolumes = (pod: Node): ReadonlyMap<string, Node> => {
  const declared = new Map<string, Node>()
  // Kubernetes takes null for unset; the reference fails on it, and its users never had such a job run.
  if (member(pod.value, "volumes") === null) {
    pod.report.refuse(pathOf(pod, "volumes"), "is null.", "Leave it out, or list volumes.")
  }
  for (const volume of mappingsIn(pod, "volumes") ?? []) {
    const name = requiredTextIn(volume, "name", "Give the volume a name.")
    if (name === undefined) continue
    if (declared.has(name)) {
      volume.report.refuse(pathOf(volume, "name"), `${shown(name)} is there twice.`, "Rename one of them.")
    }
    declared.set(name, volume)
  }
  return declared
}

/** A volume that no container mounts costs nothing and gives nothing. */
export const warnOfUnused = (
  declared: ReadonlyMap<string, Node>,
  containers: ReadonlyArray<unknown>
): void => {
  const mounted = new Set(
    containers.flatMap((container) => {
      const mounts = member(container, "volumeMounts")
      return Array.isArray(mounts) ? mounts.map((mount: unknown) => member(mount, "name")) : []
    })
  )
  for (const [name, volume] of declared) {
    if (!mounted.has(name)) volume.report.ignore(volume.path, "no container mounts it")
  }
}

export const convertMounts = (container: Node, declared: ReadonlyMap<string, Node>): Mounts => {
  const list = listIn(container, "volumeMounts") ?? []
  const made = (mappingsIn(container, "volumeMounts") ?? []).map((mount) => ({
    mount,
    ...convertMount(mount, declared)
  }))
  checkPaths(
    container,
    made.flatMap(({ mount, volumes }) =>
      volumes.map(({ path }) => ({ path, at: pathOf(mount, "mountPath") }))
    )
  )
  return {
    volumes: list.length === 0 ? undefined : made.flatMap(({ volumes }) => volumes),
    secrets: made.flatMap(({ secrets }) => secrets)
  }
}

const kinds = ["persistentVolumeClaim", "configMap", "secret", "projected", "emptyDir"] as const

const convertMount = (mount: Node, declared: ReadonlyMap<string, Node>): Made => {
  const name = requiredTextIn(mount, "name", "Name one of the pod's volumes.")
  const mountPath = requiredTextIn(mount, "mountPath", "Say where to mount it.")
  const subPath = textIn(mount, "subPath") ?? ""
  if (!isUnset(member(mount.value, "subPathExpr"))) {
    mount.report.refuse(pathOf(mount, "subPathExpr"), "has no counterpart.", "Write the path into subPath.")
  }
  if (name === undefined || mountPath === undefined) return nothing
  const volume = declared.get(name)
  if (volume === undefined) {
    mount.report.warn(
      pathOf(mount, "name"),
      `Volume mount '${name}' references a volume that does not exist in the pod spec; nothing is mounted at ${mountPath}.`
    )
    return nothing
  }
  const given = Object.keys(volume.value).filter((key) => key !== "name" && isGiven(volume.value[key]))
  const kind = kinds.find((each) => given.includes(each))
  if (given.length !== 1 || kind === undefined) {
    volume.report.refuse(
      volume.path,
      given.length === 0
        ? "says nothing about what it is."
        : given.length > 1
          ? `is more than one kind of volume (${given.slice(0, 5).join(", ")}).`
          : `the platform has no volumes of the kind ${shown(given[0])}.`,
      `Use one of ${kinds.join(", ")} (emptyDir: {} for scratch space).`
    )
    return nothing
  }
  noteMountOptions(mount, kind)
  const target = { mount, mountPath, subPath }
  switch (kind) {
    case "persistentVolumeClaim":
      return claim(volume, target)
    case "configMap":
      return secretVolume(mappingIn(volume, kind), "name", target)
    case "secret":
      return secretVolume(mappingIn(volume, kind), "secretName", target)
    case "projected":
      return projected(mappingIn(volume, kind), target)
    case "emptyDir":
      return scratch(volume, name, target)
  }
}

const noteMountOptions = (mount: Node, kind: (typeof kinds)[number]): void => {
  for (const key of ["readOnly", "recursiveReadOnly", "mountPropagation"]) {
    const value = member(mount.value, key)
    const natural =
      kind === "secret" || kind === "configMap" || kind === "projected" ? key === "readOnly" : false
    if (!isUnset(value) && value !== "None" && value !== "Disabled" && !natural) {
      mount.report.ignore(pathOf(mount, key), "the platform mounts volumes in one way only")
    }
  }
}

const claim = (volume: Node, { mount, mountPath, subPath }: Target): Made => {
  const source = mappingIn(volume, "persistentVolumeClaim")
  if (source === undefined) return nothing
  const name = requiredTextIn(source, "claimName", "Name the volume set.")
  if (name === undefined || !checkName(source.report, pathOf(source, "claimName"), name)) return nothing
  if (subPath !== "") {
    mount.report.warn(
      pathOf(mount, "subPath"),
      `a volume set is mounted whole: ${mountPath} shows its root, not ${shown(subPath)}.`
    )
  }
  if (!isUnset(member(source.value, "readOnly"))) {
    source.report.ignore(pathOf(source, "readOnly"), "the platform mounts volumes in one way only")
  }
  return { volumes: [{ uri: `cpln://volumeset/${name}`, path: mountPath }], secrets: [] }
}

const scratchName = /^[A-Za-z0-9][-\w.]{0,62}$/u

const scratch = (volume: Node, name: string, { mount, mountPath, subPath }: Target): Made => {
  const source = mappingIn(volume, "emptyDir")
  if (source === undefined) return nothing
  if (!scratchName.test(name)) {
    volume.report.refuse(
      pathOf(volume, "name"),
      `${shown(name)} is no name for a volume.`,
      "Use lower-case letters, digits and dashes."
    )
    return nothing
  }
  for (const key of ["medium", "sizeLimit"]) {
    if (!isUnset(member(source.value, key))) {
      source.report.ignore(pathOf(source, key), "scratch space has one medium and no limit of its own")
    }
  }
  if (subPath === "") return { volumes: [{ uri: `scratch://${name}`, path: mountPath }], secrets: [] }
  const path = `${mountPath}/${subPath}`
  mount.report.warn(
    pathOf(mount, "subPath"),
    `scratch space is mounted whole, at ${path}; Kubernetes would mount a part of it at ${mountPath}.`
  )
  return { volumes: [{ uri: `scratch://${name}`, path }], secrets: [] }
}

/** Slashes at the end and in a row do not make another path. */
const normal = (path: string): string => path.replaceAll(/\/+/gu, "/").replace(/(?<=.)\/$/u, "")

const checkPaths = (
  container: Node,
  mounts: ReadonlyArray<{ readonly path: string; readonly at: string }>
): void => {
  const { report } = container
  const taken: Array<string> = []
  for (const { path: written, at } of mounts) {
    const path = normal(written)
    if (!path.startsWith("/") || path.split("/").includes("..")) {
      report.refuse(at, `${shown(written)} is no absolute path.`, 'Begin it with "/", without "..".')
      continue
    }
    if (reservedMountPaths.includes(path)) {
      report.refuse(
        at,
        `the platform keeps ${path} for itself.`,
        `Mount a directory inside it, such as ${path}/data, or another one.`
      )
    }
    const clash = taken.find((other) => other === path || isInside(path, other) || isInside(other, path))
    if (clash !== undefined) {
      report.refuse(
        at,
        clash === path
          ? `two volumes are mounted at ${path}.`
          : `${path} and ${clash} lie inside one another.`,
        "Give each volume a path of its own; a projected volume needs items."
      )
    }
    taken.push(path)
  }
  if (mounts.length > mostVolumes) {
    report.refuse(
      pathOf(container, "volumeMounts"),
      `makes ${mounts.length} volumes; a container may have ${mostVolumes}.`,
      "Mount whole secrets instead of single items."
    )
  }
}

const isInside = (inner: string, outer: string): boolean =>
  inner.startsWith(outer === "/" ? "/" : `${outer}/`)
