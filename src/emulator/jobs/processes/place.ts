/**
 * Where a container runs on this machine: its folder, and what stands for the paths that its volumes are mounted at.
 *
 * Invariant: a path of a volume below the container's folder leads to the volume, and so does every word of the program,
 * value of the environment and working directory that is or begins with that path: a process cannot mount anything.
 */
import type { PodContainer } from "../driver.ts"
import { absolute, fileKind, linkFolder } from "./host.ts"

export interface ContainerPlace {
  readonly container: PodContainer
  readonly folder: string
  /** What the place itself puts into the environment, where the container does not say otherwise. */
  readonly env: Readonly<Record<string, string>>
}

/** The home of an image's user, when a volume is mounted in it. */
const homeOf = (path: string): string | undefined => /^(\/root|\/home\/[^/]+)\//u.exec(path)?.[1]

export const placeOf = (container: PodContainer, own: string): ContainerPlace => {
  const volumes = container.volumes ?? []
  for (const { path, folder } of volumes) linkFolder(own, path, folder)
  const moved = (text: string): string => {
    const volume = volumes.find(({ path }) => text === path || text.startsWith(`${path}/`))
    return volume === undefined ? text : volume.folder + text.slice(volume.path.length)
  }
  const workingDir = container.workingDir === undefined ? undefined : moved(container.workingDir)
  const home = volumes.flatMap(({ path }) => homeOf(path) ?? [])[0]
  return {
    container: {
      ...container,
      command: container.command === undefined ? undefined : moved(container.command),
      args: container.args.map(moved),
      env: Object.fromEntries(Object.entries(container.env).map(([name, value]) => [name, moved(value)]))
    },
    folder: workingDir !== undefined && fileKind(workingDir) === "folder" ? workingDir : own,
    // A program that keeps its files in `~` keeps them in the volume then.
    env: home === undefined ? {} : { HOME: absolute(own, `.${home}`) }
  }
}
