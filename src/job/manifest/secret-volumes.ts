/**
 * Volumes that are made of secrets and config maps: whole ones, single keys, items, and several projected into one.
 *
 * Invariant: as in Kubernetes, an item that `subPath` names is mounted AT the mount path, any other below it; a secret
 * that a mount refers to is in the policy, also when nothing of it is mounted.
 */
import { isUnset, mappingIn, mappingsIn, member, type Node, pathOf, requiredTextIn, shown } from "./read.ts"
import { checkName, secretReference } from "./secrets.ts"

export interface Volume {
  readonly uri: string
  readonly path: string
}

export interface Made {
  readonly volumes: ReadonlyArray<Volume>
  readonly secrets: ReadonlyArray<string>
}

export const nothing: Made = { volumes: [], secrets: [] }

/** `emptyDir: {}` is given; null is not. */
export const isGiven = (value: unknown): boolean => value !== undefined && value !== null

export interface Target {
  readonly mount: Node
  readonly mountPath: string
  readonly subPath: string
}

/** `nameKey`: a secret volume says `secretName`, everything else `name`. */
export const secretVolume = (source: Node | undefined, nameKey: string, target: Target): Made => {
  if (source === undefined) return nothing
  const { report } = source
  const name = requiredTextIn(source, nameKey, "Name the secret.")
  if (name === undefined || !checkName(report, pathOf(source, nameKey), name)) return nothing
  noteSecretOptions(source)
  const items = mappingsIn(source, "items") ?? []
  return { volumes: secretFiles(name, items, target), secrets: [name] }
}

const noteSecretOptions = (source: Node): void => {
  if (!isUnset(member(source.value, "defaultMode"))) {
    source.report.ignore(pathOf(source, "defaultMode"), "the platform sets the modes of files")
  }
  if (member(source.value, "optional") === true) {
    source.report.warn(
      pathOf(source, "optional"),
      "the platform has no optional secrets: without it the job does not start."
    )
  }
}

const secretFiles = (name: string, items: ReadonlyArray<Node>, target: Target): ReadonlyArray<Volume> => {
  const { mount, mountPath, subPath } = target
  if (items.length === 0) {
    return [{ uri: secretReference(name, subPath === "" ? undefined : subPath), path: mountPath }]
  }
  const files = items.flatMap((item) => {
    const key = requiredTextIn(item, "key", "Name a key of the secret.")
    const path = requiredTextIn(item, "path", "Name the file.")
    if (!isUnset(member(item.value, "mode"))) {
      item.report.ignore(pathOf(item, "mode"), "the platform sets the modes of files")
    }
    return key === undefined || path === undefined ? [] : [{ uri: secretReference(name, key), path }]
  })
  if (subPath === "") return files.map(({ uri, path }) => ({ uri, path: `${mountPath}/${path}` }))
  const exact = files.find(({ path }) => path === subPath)
  if (exact !== undefined) return [{ uri: exact.uri, path: mountPath }]
  const inside = files.filter(({ path }) => path.startsWith(`${subPath}/`))
  if (inside.length === 0) {
    mount.report.warn(
      pathOf(mount, "subPath"),
      `none of the volume's items has the path ${shown(subPath)}; nothing is mounted at ${mountPath}.`
    )
  }
  return inside.map(({ uri, path }) => ({ uri, path: `${mountPath}${path.slice(subPath.length)}` }))
}

export const projected = (volume: Node | undefined, target: Target): Made => {
  if (volume === undefined) return nothing
  noteSecretOptions(volume)
  const sources = mappingsIn(volume, "sources") ?? []
  if (sources.length === 0) {
    volume.report.refuse(pathOf(volume, "sources"), "names nothing to mount.", "List secrets or config maps.")
  }
  const made = sources.flatMap((source) => {
    const given = Object.keys(source.value).filter((key) => isGiven(source.value[key]))
    for (const key of given) {
      if (key === "secret" || key === "configMap") continue
      source.report.refuse(
        pathOf(source, key),
        `the platform cannot project ${shown(key)} into a volume.`,
        "Only secrets and config maps can be projected."
      )
    }
    return [secretVolume(mappingIn(source, "configMap"), "name", target)].concat(
      secretVolume(mappingIn(source, "secret"), "name", target)
    )
  })
  return {
    volumes: made.flatMap(({ volumes }) => volumes),
    secrets: made.flatMap(({ secrets }) => secrets)
  }
}
