/**
 * The whole state of the emulator, in memory: objects by path, and the commands of each workload.
 *
 * Invariant: every change happens in one synchronous step, so that no request ever sees half of another. Finished
 * commands beyond the bound are forgotten, oldest first; live ones never are.
 */
import { Context, Layer } from "effect"
import { isFinal, type RunState } from "./jobs/run-state.ts"
import type { JsonObject } from "./json.ts"
import { collectionPath, gvcPath, orgPath, type Place } from "./links.ts"

/** An object of any kind. `body` is what was sent, without the envelope. Times are in milliseconds since 1970. */
export interface Resource {
  readonly kind: string
  readonly id: string
  readonly org: string
  readonly gvc: string | undefined
  readonly name: string
  readonly path: string
  /** Grows with creation. */
  readonly order: number
  readonly created: number
  version: number
  lastModified: number
  description: string | undefined
  tags: JsonObject
  body: JsonObject
}

export interface Command {
  readonly id: string
  readonly order: number
  /** Path of the workload. */
  readonly workload: string
  readonly type: string
  readonly tags: JsonObject
  readonly spec: JsonObject
  readonly location: string
  readonly created: number
  version: number
  lastModified: number
  run: RunState
}

export interface NewResource extends Place {
  readonly kind: string
  readonly id: string
  readonly name: string
  readonly description: string | undefined
  readonly tags: JsonObject
  readonly body: JsonObject
}

export interface StoreOptions {
  readonly orgs: ReadonlyArray<string>
  /** How many finished commands are kept, over all workloads. */
  readonly keepCommands: number
}

export class Store extends Context.Service<
  Store,
  {
    readonly orgs: ReadonlyArray<string>
    get(path: string): Resource | undefined
    /** In order of creation. */
    list(collection: string): ReadonlyArray<Resource>
    /** All of one kind in an org, over all GVCs, in order of creation. */
    listKind(org: string, kind: string): ReadonlyArray<Resource>
    create(made: NewResource, now: number): Resource
    /** Replaces what a person may change and raises the version. */
    update(
      resource: Resource,
      change: Pick<Resource, "body" | "description" | "tags">,
      now: number
    ): void
    /** Removes it and what it holds; returns all that is gone. */
    remove(resource: Resource): ReadonlyArray<Resource>
    addCommand(command: Omit<Command, "order">): Command
    commands(workload: string): ReadonlyMap<string, Command>
    command(workload: string, id: string): Command | undefined
    /** Takes over a new state; unchanged states change nothing. */
    advance(command: Command, run: RunState, now: number): void
    /** Forgets the commands of a workload and returns them. */
    dropCommands(workload: string): ReadonlyArray<Command>
    /** The run whose pod has this name and is not over. */
    liveReplica(workload: string, replica: string): Command | undefined
    liveCount(): number
  }
>()("emulator/Store") {
  static readonly layer = (options: StoreOptions) => Layer.sync(Store, () => Store.of(makeStore(options)))
}

const makeStore = ({ orgs, keepCommands }: StoreOptions): Store["Service"] => {
  const byPath = new Map<string, Resource>()
  const collections = new Map<string, Map<string, Resource>>()
  const commandsOf = new Map<string, Map<string, Command>>()
  const live = new Set<Command>()
  const finished = new Set<Command>()
  let order = 0

  const list = (collection: string) => [...(collections.get(collection)?.values() ?? [])]

  const listKind = (org: string, kind: string): ReadonlyArray<Resource> => {
    const inGvcs = list(`${orgPath(org)}/gvc`).flatMap(({ name }) => list(`${gvcPath(org, name)}/${kind}`))
    return [...list(`${orgPath(org)}/${kind}`), ...inGvcs].sort((a, b) => a.order - b.order)
  }

  const forget = (resource: Resource) => {
    byPath.delete(resource.path)
    collections.get(collectionPath(resource, resource.kind))?.delete(resource.name)
  }

  const settle = (command: Command) => {
    live.delete(command)
    finished.add(command)
    for (const oldest of finished) {
      if (finished.size <= keepCommands) break
      finished.delete(oldest)
      commandsOf.get(oldest.workload)?.delete(oldest.id)
    }
  }

  return {
    orgs,
    get: (path) => byPath.get(path),
    list,
    listKind,
    create: (made, now) => {
      const collection = collectionPath(made, made.kind)
      const resource: Resource = {
        ...made,
        path: `${collection}/${made.name}`,
        order: order++,
        created: now,
        lastModified: now,
        version: 1
      }
      byPath.set(resource.path, resource)
      const siblings = collections.get(collection) ?? new Map<string, Resource>()
      siblings.set(resource.name, resource)
      collections.set(collection, siblings)
      return resource
    },
    update: (resource, change, now) => {
      Object.assign(resource, change)
      resource.version++
      resource.lastModified = now
    },
    remove: (resource) => {
      const inside =
        resource.kind === "gvc"
          ? [...byPath.values()].filter(({ org, gvc }) => org === resource.org && gvc === resource.name)
          : []
      const gone = [...inside, resource]
      gone.forEach(forget)
      return gone
    },
    addCommand: (made) => {
      const command = { ...made, order: order++ }
      const siblings = commandsOf.get(made.workload) ?? new Map<string, Command>()
      siblings.set(command.id, command)
      commandsOf.set(made.workload, siblings)
      if (isFinal(command.run.stage)) settle(command)
      else live.add(command)
      return command
    },
    commands: (workload) => commandsOf.get(workload) ?? new Map(),
    command: (workload, id) => commandsOf.get(workload)?.get(id),
    advance: (command, run, now) => {
      if (run === command.run) return
      command.run = run
      command.version++
      command.lastModified = now
      if (isFinal(run.stage) && live.has(command)) settle(command)
    },
    dropCommands: (workload) => {
      const gone = [...(commandsOf.get(workload)?.values() ?? [])]
      commandsOf.delete(workload)
      for (const command of gone) {
        live.delete(command)
        finished.delete(command)
      }
      return gone
    },
    liveReplica: (workload, replica) => {
      for (const command of commandsOf.get(workload)?.values() ?? []) {
        if (command.run.replica === replica && !isFinal(command.run.stage)) return command
      }
      return undefined
    },
    liveCount: () => live.size
  }
}
