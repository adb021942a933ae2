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

/** The type of the commands that run a job; the others only act on one. */
export const runType = "runCronWorkload"

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
  /** Version of the workload that it was made for. */
  readonly workloadVersion: number
  readonly created: number
  /** Of a run that its schedule started: the name of its execution. It is no command that anybody can read. */
  readonly execution?: string
  version: number
  lastModified: number
  run: RunState
}

/** A container of a replica of a standard or stateful workload. */
export interface ServedContainer {
  readonly ready: boolean
  readonly message?: string
  readonly restarts: number
  /** How it last ended, when it ever did. */
  readonly exitCode?: number
  readonly reason?: string
  readonly endedAt?: number
}

/** A replica of a workload that is no job, as long as something runs for it. */
export interface Replica {
  readonly name: string
  readonly location: string
  /** Of what is stored now, not of an earlier version that is being stopped. */
  readonly isCurrent: boolean
  readonly containers: Readonly<Record<string, ServedContainer>>
}

/** Called after a write, in the same step; it must not fail. */
export type Watcher = (resource: Resource, what: "made" | "changed" | "removed") => void

/** The name of a run's execution, which its pod's begins with. */
export const executionOf = ({ id, execution }: Pick<Command, "execution" | "id">): string =>
  execution ?? `command-${id}`

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
    update(resource: Resource, change: Pick<Resource, "body" | "description" | "tags">, now: number): void
    /** Removes it and what it holds; returns all that is gone. */
    remove(resource: Resource): ReadonlyArray<Resource>
    addCommand(command: Omit<Command, "order">): Command
    commands(workload: string): ReadonlyMap<string, Command>
    /** Those of `commands` that are not over, also in order of creation. */
    liveCommands(workload: string): ReadonlyMap<string, Command>
    /** The runs of a workload that are not over, by command or by schedule, in order of creation. */
    liveRuns(workload: string): ReadonlyMap<string, Command>
    /** Grows with every change of its commands and runs. */
    changes(workload: string): number
    /** The last finished runs of a workload, oldest first, at most `mostHistory` for each location. */
    history(workload: string): ReadonlyArray<Command>
    command(workload: string, id: string): Command | undefined
    /** By its id alone, when it is not over. */
    live(id: string): Command | undefined
    allLive(): Iterable<Command>
    /** Takes over a new state; unchanged states change nothing. */
    advance(command: Command, run: RunState, now: number): void
    /** Forgets the commands of a workload and returns them. */
    dropCommands(workload: string): ReadonlyArray<Command>
    /** Forgets one command, over or not. */
    forgetCommand(command: Command): void
    /** The run whose pod has this name and is not over. */
    liveReplica(workload: string, replica: string): Command | undefined
    liveCount(): number
    /** How many finished commands are kept at the moment. */
    finishedCount(): number
    /** Hears of every object that is made, changed or removed from now on. */
    watch(watcher: Watcher): void
    /** What runs for a workload that is no job; undefined where nobody looks after such, as in virtual mode. */
    replicas(workload: string): ReadonlyArray<Replica> | undefined
    setReplicas(workload: string, replicas: ReadonlyArray<Replica> | undefined): void
    /** All objects and commands, in order of creation. */
    dump(): { readonly resources: ReadonlyArray<Resource>; readonly commands: ReadonlyArray<Command> }
    /** Puts back what `dump` gave, over an empty store. */
    load(resources: ReadonlyArray<Resource>, commands: ReadonlyArray<Command>): void
  }
>()("emulator/Store") {
  static readonly layer = (options: StoreOptions) => Layer.sync(Store, () => Store.of(makeStore(options)))
}

/** The longest history that a job can ask for. */
export const mostHistory = 10

/** What is known of the commands of one workload. */
interface Shelf {
  changes: number
  readonly all: Map<string, Command>
  readonly live: Map<string, Command>
  readonly runs: Map<string, Command>
  readonly pods: Map<string, Command>
  readonly history: Map<string, Array<Command>>
}

const emptyShelf = (): Shelf => ({
  changes: 0,
  all: new Map(),
  live: new Map(),
  runs: new Map(),
  pods: new Map(),
  history: new Map()
})
const nothing: ReadonlyMap<string, Command> = new Map()

const makeStore = ({ orgs: given, keepCommands }: StoreOptions): Store["Service"] => {
  const orgs = [...given]
  const byPath = new Map<string, Resource>()
  const collections = new Map<string, Map<string, Resource>>()
  const shelves = new Map<string, Shelf>()
  const live = new Map<string, Command>()
  const finished = new Set<Command>()
  const replicas = new Map<string, ReadonlyArray<Replica>>()
  const watchers: Array<Watcher> = []
  let order = 0

  const told = (resource: Resource, what: Parameters<Watcher>[1]) =>
    watchers.forEach((watcher) => watcher(resource, what))

  const list = (collection: string) => [...(collections.get(collection)?.values() ?? [])]

  const listKind = (org: string, kind: string): ReadonlyArray<Resource> => {
    const inGvcs = list(`${orgPath(org)}/gvc`).flatMap(({ name }) => list(`${gvcPath(org, name)}/${kind}`))
    return [...list(`${orgPath(org)}/${kind}`), ...inGvcs].sort((a, b) => a.order - b.order)
  }

  const forget = (resource: Resource) => {
    byPath.delete(resource.path)
    collections.get(collectionPath(resource, resource.kind))?.delete(resource.name)
  }

  const shelfOf = (workload: string): Shelf => {
    const found = shelves.get(workload)
    if (found !== undefined) return found
    const made = emptyShelf()
    shelves.set(workload, made)
    return made
  }

  /** Its pod is known by name for as long as it lives. */
  const shelvePod = (shelf: Shelf, command: Command) => {
    if (command.run.replica !== undefined) shelf.pods.set(command.run.replica, command)
  }

  const settle = (shelf: Shelf, command: Command) => {
    live.delete(command.id)
    shelf.live.delete(command.id)
    shelf.runs.delete(command.id)
    if (command.run.replica !== undefined) shelf.pods.delete(command.run.replica)
    if (command.type === runType) {
      const past = shelf.history.get(command.location) ?? []
      past.push(command)
      if (past.length > mostHistory) past.shift()
      shelf.history.set(command.location, past)
    }
    // The history is all that remembers a run by schedule.
    if (command.execution !== undefined) return
    finished.add(command)
    for (const oldest of finished) {
      if (finished.size <= keepCommands) break
      finished.delete(oldest)
      shelves.get(oldest.workload)?.all.delete(oldest.id)
    }
  }

  const place = (resource: Resource) => {
    const collection = collectionPath(resource, resource.kind)
    byPath.set(resource.path, resource)
    const siblings = collections.get(collection) ?? new Map<string, Resource>()
    siblings.set(resource.name, resource)
    collections.set(collection, siblings)
    told(resource, "made")
  }

  const shelve = (command: Command) => {
    const shelf = shelfOf(command.workload)
    shelf.changes++
    const isListed = command.execution === undefined
    if (isListed) shelf.all.set(command.id, command)
    if (isFinal(command.run.stage)) settle(shelf, command)
    else {
      live.set(command.id, command)
      if (isListed) shelf.live.set(command.id, command)
      if (command.type === runType) shelf.runs.set(command.id, command)
      shelvePod(shelf, command)
    }
  }

  return {
    orgs,
    get: (path) => byPath.get(path),
    list,
    listKind,
    create: (made, now) => {
      const resource: Resource = {
        ...made,
        path: `${collectionPath(made, made.kind)}/${made.name}`,
        order: order++,
        created: now,
        lastModified: now,
        version: 1
      }
      place(resource)
      return resource
    },
    update: (resource, change, now) => {
      Object.assign(resource, change)
      resource.version++
      resource.lastModified = now
      told(resource, "changed")
    },
    remove: (resource) => {
      const inside =
        resource.kind === "gvc"
          ? [...byPath.values()].filter(({ org, gvc }) => org === resource.org && gvc === resource.name)
          : []
      const gone = [...inside, resource]
      gone.forEach(forget)
      gone.forEach((each) => told(each, "removed"))
      return gone
    },
    addCommand: (made) => {
      const command = { ...made, order: order++ }
      shelve(command)
      return command
    },
    commands: (workload) => shelves.get(workload)?.all ?? nothing,
    liveCommands: (workload) => shelves.get(workload)?.live ?? nothing,
    liveRuns: (workload) => shelves.get(workload)?.runs ?? nothing,
    changes: (workload) => shelves.get(workload)?.changes ?? 0,
    history: (workload) => [...(shelves.get(workload)?.history.values() ?? [])].flat(),
    command: (workload, id) => shelves.get(workload)?.all.get(id),
    live: (id) => live.get(id),
    allLive: () => live.values(),
    advance: (command, run, now) => {
      if (run === command.run) return
      command.run = run
      command.version++
      command.lastModified = now
      const shelf = shelves.get(command.workload)
      if (shelf !== undefined) shelf.changes++
      // A command whose workload is gone still ends, but nobody keeps it.
      if (shelf === undefined || !live.has(command.id)) return
      if (isFinal(run.stage)) settle(shelf, command)
      else shelvePod(shelf, command)
    },
    dropCommands: (workload) => {
      const shelf = shelves.get(workload) ?? emptyShelf()
      const gone = [...new Set([...shelf.all.values(), ...shelf.runs.values()])]
      shelves.delete(workload)
      for (const command of gone) {
        live.delete(command.id)
        finished.delete(command)
      }
      return gone
    },
    forgetCommand: (command) => {
      const shelf = shelves.get(command.workload)
      if (shelf !== undefined) shelf.changes++
      live.delete(command.id)
      finished.delete(command)
      shelf?.all.delete(command.id)
      shelf?.live.delete(command.id)
      shelf?.runs.delete(command.id)
      if (command.run.replica !== undefined) shelf?.pods.delete(command.run.replica)
      const past = shelf?.history.get(command.location)
      if (past?.includes(command))
        shelf?.history.set(
          command.location,
          past.filter((each) => each !== command)
        )
    },
    liveReplica: (workload, replica) => shelves.get(workload)?.pods.get(replica),
    liveCount: () => live.size,
    finishedCount: () => finished.size,
    watch: (watcher) => void watchers.push(watcher),
    replicas: (workload) => replicas.get(workload),
    setReplicas: (workload, list) => {
      if (list === undefined) replicas.delete(workload)
      else replicas.set(workload, list)
    },
    dump: () => ({
      resources: [...byPath.values()],
      commands: [...shelves.values()]
        .flatMap(({ all, runs }) => [...new Set([...all.values(), ...runs.values()])])
        .sort((a, b) => a.order - b.order)
    }),
    load: (resources, commands) => {
      for (const resource of resources) {
        if (resource.kind === "org" && !orgs.includes(resource.name)) orgs.push(resource.name)
        order = Math.max(order, resource.order + 1)
        place(resource)
      }
      for (const command of commands) {
        order = Math.max(order, command.order + 1)
        shelve(command)
      }
    }
  }
}
