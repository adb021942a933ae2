/**
 * The pod of a run: what the service would put into its containers.
 *
 * Invariant: what the platform injects wins over everything that a user set, and no reference to a secret is left.
 */
import { at, type Json, listOf, objectOf, textOf } from "../json.ts"
import { envOf, gvcOf, aliasOf } from "../resources/gvc.ts"
import { lastSegment } from "../links.ts"
import { withAddresses } from "../services/names.ts"
import { portsOf } from "../services/scale.ts"
import { type Command, type Resource, type Store } from "../store.ts"
import { typeOf } from "../workload/rules.ts"
import { resolved } from "../workload/secrets.ts"
import type { Pod, PodContainer } from "./driver.ts"

export interface PodPlace {
  readonly store: Store["Service"]
  /** Base of the API, for `CPLN_ENDPOINT`. */
  readonly endpoint: string
  readonly token: string
  /** Commands of this machine in place of the entrypoints of images, by the image's name with or without its tag. */
  readonly images?: Readonly<Record<string, string>>
  /** The folder that stands for a volume set; undefined for one that is not there. */
  readonly volumeFolder?: (name: string) => string | undefined
}

/** What is asked of a pod besides its workload: a run by command has overrides. */
export type Asked = Pick<Command, "location" | "spec" | "workloadVersion">

export type Composed =
  | { readonly _tag: "Pod"; readonly pod: Pod }
  /** A secret that does not exist: the pod waits for it. */
  | { readonly _tag: "Waits"; readonly container: string; readonly message: string }

type Env = Map<string, string>

const put = (env: Env, entries: ReadonlyArray<Json>): void => {
  for (const entry of entries) {
    const { name, value } = objectOf(entry)
    if (typeof name === "string") env.set(name, textOf(value) ?? "")
  }
}

/** `$(NAME)` is the value of another variable, `$$(NAME)` is the text itself; unknown names stay as they are. */
const expanded = (value: string, env: Env): string =>
  value.replaceAll(/\$(\$?)\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)/gu, (whole, escape: string, name: string) =>
    escape === "$" ? `$(${name})` : (env.get(name) ?? whole)
  )

const references = (pod: {
  readonly replica: string
  readonly gvc: string
}): Readonly<Record<string, string>> => ({
  "metadata.name": pod.replica,
  "metadata.namespace": pod.gvc,
  "spec.nodeName": "emulator",
  "status.hostIP": "127.0.0.1",
  "status.podIP": "127.0.0.1",
  "status.podIPs": "127.0.0.1"
})

/** Env of the GVC where it is inherited, then the container's, then the override's, merged by name. */
const givenEnv = (container: Json, override: Json | undefined, gvcEnv: ReadonlyArray<Json>): Env => {
  const env: Env = new Map()
  if (at(container, ["inheritEnv"]) === true) put(env, gvcEnv)
  put(env, listOf(at(container, ["env"])))
  put(env, listOf(at(override, ["env"])))
  return env
}

const withoutTag = (image: string): string => image.replace(/(?:@[^/]*|:[^/:]*)$/u, "")

/** The entrypoint that an image is said to have here. */
const entrypointOf = (image: string, images: PodPlace["images"] = {}): string | undefined => {
  const bare = withoutTag(image)
  const name = [image, bare, lastSegment(bare)].find((each) => Object.hasOwn(images, each))
  return name === undefined ? undefined : images[name]
}

const volumeSet = "cpln://volumeset/"

/** Volume sets that exist; other volumes cannot be had here. */
const volumesOf = (container: Json, folder: PodPlace["volumeFolder"]): PodContainer["volumes"] =>
  listOf(at(container, ["volumes"])).flatMap((volume) => {
    const uri = textOf(at(volume, ["uri"])) ?? ""
    const path = textOf(at(volume, ["path"]))
    const found = uri.startsWith(volumeSet) ? folder?.(uri.slice(volumeSet.length)) : undefined
    return path === undefined || found === undefined ? [] : [{ path, folder: found }]
  })

/** What restarts: a job by its own word, everything else always. */
const restartsOf = ({ body }: Resource): Pod["restarts"] => {
  if (typeOf(body) !== "cron") return "Always"
  return at(body, ["spec", "job", "restartPolicy"]) === "OnFailure" ? "OnFailure" : "Never"
}

export const composePod = (
  workload: Resource,
  command: Asked,
  replica: string,
  place: PodPlace
): Composed => {
  const { store } = place
  const { org, name } = workload
  const gvc = workload.gvc!
  const gvcResource = gvcOf(workload, store)
  const alias = gvcResource === undefined ? "" : aliasOf(gvcResource)
  const provider = textOf(store.get(`/org/${org}/location/${command.location}`)?.body["provider"]) ?? "aws"
  const overrides = listOf(command.spec["containerOverrides"])
  const known = references({ replica, gvc })
  const containers: Array<PodContainer> = []

  for (const [index, container] of listOf(at(workload.body, ["spec", "containers"])).entries()) {
    const containerName = textOf(at(container, ["name"])) ?? ""
    const override = overrides.find((each) => at(each, ["name"]) === containerName)
    const field = (key: string) => at(override, [key]) ?? at(container, [key])
    const image = textOf(field("image")) ?? ""
    const env = givenEnv(container, override, envOf(gvcResource))
    for (const [key, value] of env) {
      const found = value.startsWith("cpln://reference/")
        ? known[value.slice("cpln://reference/".length)]
        : resolved(value, workload, store)
      if (found === undefined) {
        return {
          _tag: "Waits",
          container: containerName,
          message: `${value} is not there, or the identity of the workload may not reveal it`
        }
      }
      env.set(key, withAddresses(found, org, store))
    }
    const [port] = portsOf(objectOf(container))
    put(
      env,
      Object.entries({
        CPLN_TOKEN: place.token,
        CPLN_ENDPOINT: place.endpoint,
        CPLN_ORG: org,
        CPLN_GVC: gvc,
        CPLN_GVC_ALIAS: alias,
        CPLN_LOCATION: `/org/${org}/location/${command.location}`,
        CPLN_WORKLOAD: workload.path,
        CPLN_WORKLOAD_VERSION: String(workload.version),
        CPLN_PROVIDER: provider,
        CPLN_NAMESPACE: alias,
        CPLN_IMAGE: image,
        CPLN_GLOBAL_ENDPOINT: `${name}-${alias}.cpln.app`,
        CPLN_NAME: containerName,
        ...(port === undefined ? {} : { PORT: String(port) }),
        ...(index === 0 ? { CPLN_MAIN: containerName } : {})
      }).map(([key, value]) => ({ name: key, value }))
    )
    const args = field("args")
    containers.push({
      name: containerName,
      image,
      command: textOf(field("command")) ?? entrypointOf(image, place.images),
      args: listOf(args).map(String),
      env: Object.fromEntries([...env].map(([key, value]) => [key, expanded(value, env)])),
      workingDir: textOf(at(container, ["workingDir"])),
      volumes: volumesOf(container, place.volumeFolder)
    })
  }
  const { location, workloadVersion } = command
  return {
    _tag: "Pod",
    pod: {
      org,
      gvc,
      workload: name,
      location,
      replica,
      workloadVersion,
      containers,
      restarts: restartsOf(workload)
    }
  }
}

/** All that a driver without processes needs of a pod. */
export const withNamesOnly = (pod: Pod): Pod => ({
  ...pod,
  containers: pod.containers.map(({ name, image }) => ({
    name,
    image,
    command: undefined,
    args: [],
    env: {},
    workingDir: undefined
  }))
})
