/**
 * Reads as of a moment ago: the store once more, with what it would have said then.
 *
 * Invariant: only reads look back, never the emulator's own work; and only in one synchronous step, so that no two requests
 * ever look through each other's eyes. Nothing is remembered while no stale read is asked for.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { isFinal } from "../jobs/run-state.ts"
import { type Command, type Resource, Store } from "../store.ts"
import { Faults } from "./faults.ts"

/** Before `until` it was `value`; undefined is that it was not there. */
interface Was<A> {
  readonly until: number
  readonly value: A | undefined
}

type CommandState = Pick<Command, "lastModified" | "run" | "version">

export class Past extends Context.Service<
  Past,
  {
    /** Calls `read` while the store answers as of `age` milliseconds ago. */
    at<A>(age: number, read: () => A): A
  }
>()("emulator/faults/Past") {}

/** How many changes are remembered; older ones count as always having been so. */
const mostChanges = 10_000

/** A list of what things were, oldest first, within a bound over all things. */
const makeMemory = <K, A>() => {
  const memory = new Map<K, Array<Was<A>>>()
  const order: Array<K> = []
  return {
    remember: (key: K, was: Was<A>) => {
      const known = memory.get(key)
      if (known === undefined) memory.set(key, [was])
      else known.push(was)
      order.push(key)
      if (order.length <= mostChanges) return
      const oldest = order.shift()!
      const left = memory.get(oldest)
      left?.shift()
      if (left?.length === 0) memory.delete(oldest)
    },
    at: (key: K, time: number): Was<A> | undefined => memory.get(key)?.find(({ until }) => until > time),
    keys: () => memory.keys()
  }
}

const make = Effect.gen(function* () {
  const base = yield* Store
  const faults = yield* Faults
  const clock = yield* Clock.Clock
  const resources = makeMemory<string, Resource>()
  const states = makeMemory<Command, CommandState>()
  let past: number | undefined

  const isKept = (): boolean => faults.has("stale-read")

  const resourceAt = (path: string, time: number): Resource | undefined => {
    const was = resources.at(path, time)
    return was === undefined ? base.get(path) : was.value
  }

  const commandAt = (command: Command, time: number): Command | undefined => {
    if (command.created > time) return undefined
    const was = states.at(command, time)?.value
    return was === undefined ? command : { ...command, ...was }
  }

  const listAt = (now: ReadonlyArray<Resource>, isMeant: (path: string) => boolean, time: number) => {
    const paths = new Set([...now.map(({ path }) => path), ...[...resources.keys()].filter(isMeant)])
    return [...paths].flatMap((path) => resourceAt(path, time) ?? []).sort((a, b) => a.order - b.order)
  }

  const commandsAt = (workload: string, time: number): ReadonlyMap<string, Command> =>
    new Map(
      [...base.commands(workload).values()].flatMap((command) => {
        const seen = commandAt(command, time)
        return seen === undefined ? [] : [[seen.id, seen] as const]
      })
    )

  const liveAt = (workload: string, time: number): ReadonlyMap<string, Command> =>
    new Map([...commandsAt(workload, time)].filter(([, { run }]) => !isFinal(run.stage)))

  const runsAt = (workload: string, time: number): ReadonlyMap<string, Command> =>
    new Map(
      [...base.history(workload), ...base.liveRuns(workload).values()].flatMap((command) => {
        const seen = commandAt(command, time)
        return seen === undefined || isFinal(seen.run.stage) ? [] : [[seen.id, seen] as const]
      })
    )

  const store = Store.of({
    ...base,
    get: (path) => (past === undefined ? base.get(path) : resourceAt(path, past)),
    list: (collection) =>
      past === undefined
        ? base.list(collection)
        : listAt(base.list(collection), (path) => path.slice(0, path.lastIndexOf("/")) === collection, past),
    listKind: (org, kind) =>
      past === undefined
        ? base.listKind(org, kind)
        : listAt(
            base.listKind(org, kind),
            (path) => path.startsWith(`/org/${org}/`) && path.split("/").at(-2) === kind,
            past
          ),
    create: (made, now) => {
      const created = base.create(made, now)
      if (isKept()) resources.remember(created.path, { until: now, value: undefined })
      return created
    },
    update: (resource, change, now) => {
      if (isKept()) resources.remember(resource.path, { until: now, value: { ...resource } })
      base.update(resource, change, now)
    },
    remove: (resource) => {
      const gone = base.remove(resource)
      const until = clock.currentTimeMillisUnsafe()
      if (isKept()) gone.forEach((each) => resources.remember(each.path, { until, value: { ...each } }))
      return gone
    },
    advance: (command, run, now) => {
      if (isKept() && run !== command.run) {
        const { lastModified, version } = command
        states.remember(command, { until: now, value: { run: command.run, version, lastModified } })
      }
      base.advance(command, run, now)
    },
    commands: (workload) => (past === undefined ? base.commands(workload) : commandsAt(workload, past)),
    liveCommands: (workload) => (past === undefined ? base.liveCommands(workload) : liveAt(workload, past)),
    liveRuns: (workload) => (past === undefined ? base.liveRuns(workload) : runsAt(workload, past)),
    // What was is never the same as anything: nobody may take it for what is.
    changes: (workload) => (past === undefined ? base.changes(workload) : Number.NaN),
    history: (workload) => {
      if (past === undefined) return base.history(workload)
      const time = past
      return base.history(workload).flatMap((command) => {
        const seen = commandAt(command, time)
        return seen !== undefined && isFinal(seen.run.stage) ? [seen] : []
      })
    },
    command: (workload, id) => {
      const found = base.command(workload, id)
      return past === undefined || found === undefined ? found : commandAt(found, past)
    }
  })

  return Context.make(Store, store).pipe(
    Context.add(Past, {
      at: (age, read) => {
        past = clock.currentTimeMillisUnsafe() - age
        try {
          return read()
        } finally {
          past = undefined
        }
      }
    })
  )
})

/** The store that is provided to it, with its past. */
export const layer: Layer.Layer<Past | Store, never, Faults | Store> = Layer.effectContext(make)
