/** Commands as they are read, and what a query can ask of them. */
import { at, type Json, type JsonObject, object } from "../json.ts"
import { kept } from "../json-text.ts"
import type { Reader } from "../query.ts"
import { iso } from "../resources/reader.ts"
import { type Command, runType } from "../store.ts"

export const commandPath = (command: Command): string => `${command.workload}/-command/${command.id}`

const statusOf = (command: Command): JsonObject =>
  object({
    replica: command.run.replica,
    clusterIdByLocation: {},
    minimumWorkloadVersion: command.type === runType ? command.workloadVersion : undefined,
    messages: command.run.message === undefined ? undefined : [command.run.message]
  })

const viewOf = (command: Command): JsonObject => ({
  kind: "command",
  id: command.id,
  version: command.version,
  created: iso(command.created),
  lastModified: iso(command.lastModified),
  tags: command.tags,
  type: command.type,
  lifecycleStage: command.run.stage,
  spec: command.spec,
  status: statusOf(command),
  links: [
    { rel: "self", href: commandPath(command) },
    { rel: "workload", href: command.workload }
  ]
})

/** Each version is read many times. */
const views = new WeakMap<Command, { readonly version: number; readonly view: JsonObject }>()

export const commandView = (command: Command): JsonObject => {
  const found = views.get(command)
  if (found?.version === command.version) return found.view
  const view = kept(viewOf(command))
  views.set(command, { version: command.version, view })
  return view
}

const property = (command: Command, path: string): Json | undefined => {
  switch (path) {
    case "id":
    case "type":
    case "version":
      return command[path]
    case "lifecycleStage":
      return command.run.stage
    case "created":
    case "lastModified":
      return iso(command[path])
    default: {
      const [first, ...rest] = path.split(".")
      if (first === "spec") return at(command.spec, rest)
      return first === "status" ? at(statusOf(command), rest) : at(command.spec, [first ?? "", ...rest])
    }
  }
}

export const commandReader: Reader<Command> = {
  property,
  tag: ({ tags }, name) => (Object.hasOwn(tags, name) ? tags[name] : undefined),
  rel: () => undefined
}
