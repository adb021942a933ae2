/**
 * Workloads that are no jobs (standard, stateful and the like), kept running as processes.
 *
 * Invariant: each place of a replica (workload, location, number) has one fiber, which ends one replica before it starts the
 * next, so that two generations never fight for a port. What runs follows what is stored, whoever wrote it; the store holds
 * what is to be seen of it.
 */
import { Cause, Context, Deferred, Effect, Exit, Fiber, FiberMap, Layer } from "effect"
import { Auth } from "../auth.ts"
import { suffix } from "../ids.ts"
import { Driver } from "../jobs/driver.ts"
import { composePod } from "../jobs/pod.ts"
import { gvcPath } from "../links.ts"
import { Listener } from "../listener.ts"
import { gvcOf, locationsOf } from "../resources/gvc.ts"
import { Settings } from "../settings.ts"
import { type Replica, type Resource, Store } from "../store.ts"
import { endingTimes } from "../workload/ending.ts"
import { typeOf } from "../workload/rules.ts"
import { makeObserver } from "./observer.ts"
import { generationOf, isService, replicasHere } from "./scale.ts"
import { Volumes } from "./volumes.ts"

export class Services extends Context.Service<
  Services,
  {
    /** Ends a replica, which another one follows; false when there is none of that name. */
    stop(workload: string, replica: string): Effect.Effect<boolean>
  }
>()("emulator/services/Services") {
  /** Where nothing runs, everything is ready as it stands. */
  static readonly none = Layer.succeed(Services, { stop: () => Effect.succeed(false) })

  static readonly layer = Layer.effect(
    Services,
    Effect.suspend(() => make)
  )
}

/** A place for one replica after another. */
interface Slot {
  readonly key: string
  readonly workload: string
  readonly location: string
  readonly index: number
  /** What should run; undefined when nothing should any more. */
  wanted: { readonly workload: Resource; readonly generation: string } | undefined
  /** Done when what runs has to end. */
  ending: Deferred.Deferred<void>
  replica: Replica | undefined
}

/** How often a replica that waits for a secret looks again. */
const waitForSecret = 1000

const make = Effect.gen(function* () {
  const store = yield* Store
  const settings = yield* Settings
  const driver = yield* Driver
  const auth = yield* Auth
  const volumes = yield* Volumes
  const { url } = yield* Listener
  const fibers = yield* FiberMap.make<string, void>()
  const run = yield* FiberMap.runtime(fibers)<never>()
  const slots = new Map<string, Map<string, Slot>>()

  const publish = (workload: string) => {
    const mine = [...(slots.get(workload)?.values() ?? [])]
    const isGone = mine.length === 0 && store.get(workload) === undefined
    store.setReplicas(workload, isGone ? undefined : mine.flatMap(({ replica }) => replica ?? []))
  }

  const show = (slot: Slot, replica: Replica | undefined) => {
    slot.replica = replica
    publish(slot.workload)
  }

  const isNameTaken = (name: string) =>
    [...slots.values()].some((mine) => [...mine.values()].some(({ replica }) => replica?.name === name))

  /** Stateful replicas are numbered. Names are told apart on this machine, which all GVCs and locations share. */
  const nameOf = Effect.fnUntraced(function* ({ index }: Slot, { name, body }: Resource) {
    const numbered = `${name}-${index}`
    if (typeOf(body) === "stateful" && !isNameTaken(numbered)) return numbered
    return `${name}-${yield* suffix(10)}-${yield* suffix(5)}`
  })

  const compose = (slot: Slot, workload: Resource, name: string) =>
    composePod(workload, { location: slot.location, spec: {}, workloadVersion: workload.version }, name, {
      store,
      endpoint: url,
      token: auth.podToken(workload.path),
      images: settings.images,
      volumeFolder: (set) => volumes.folderOf(workload, set, `${slot.location}-${slot.index}`)
    })

  /** One replica, from its start until it has ended. */
  const oneReplica = (slot: Slot, workload: Resource): Effect.Effect<void> =>
    Effect.scoped(
      Effect.gen(function* () {
        const name = yield* nameOf(slot, workload)
        const composed = compose(slot, workload, name)
        if (composed._tag === "Waits") {
          return yield* Effect.raceFirst(Effect.sleep(waitForSecret), Deferred.await(slot.ending))
        }
        const observer = yield* makeObserver(workload, name, driver, (containers) =>
          show(slot, {
            name,
            location: slot.location,
            isCurrent: !Deferred.isDoneUnsafe(slot.ending),
            containers
          })
        )
        const fiber = yield* Effect.forkChild(driver.run(composed.pod, observer.hear))
        const ended = Effect.asVoid(Fiber.await(fiber))
        yield* Effect.raceFirst(ended, Deferred.await(slot.ending))
        observer.ending()
        const { grace, preStop } = endingTimes(workload, settings)
        yield* Effect.raceFirst(ended, Effect.sleep(preStop))
        yield* driver.signal(name, "SIGTERM")
        yield* Effect.raceFirst(ended, Effect.sleep(grace - preStop))
        yield* driver.signal(name, "SIGKILL")
        const exit = yield* Fiber.await(fiber)
        // A driver that cannot even begin would be asked again at once, and for ever.
        if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) {
          yield* Effect.logError(`emulator: the replica ${name} failed`, exit.cause)
          yield* Effect.sleep(waitForSecret)
        }
      })
    ).pipe(Effect.ensuring(Effect.sync(() => show(slot, undefined))))

  const live = (slot: Slot): Effect.Effect<void> =>
    Effect.gen(function* () {
      while (slot.wanted !== undefined) {
        slot.ending = Deferred.makeUnsafe()
        yield* oneReplica(slot, slot.wanted.workload)
      }
      const mine = slots.get(slot.workload)
      mine?.delete(slot.key)
      if (mine?.size === 0) slots.delete(slot.workload)
      publish(slot.workload)
    })

  const want = (slot: Slot, wanted: Slot["wanted"]) => {
    const isSame =
      slot.wanted?.generation === wanted?.generation && slot.wanted?.workload.id === wanted?.workload.id
    slot.wanted = wanted
    if (isSame) return
    Deferred.doneUnsafe(slot.ending, Effect.void)
    if (slot.replica !== undefined) slot.replica = { ...slot.replica, isCurrent: false }
  }

  const newSlot = (workload: Resource, key: string, location: string, index: number): Slot => ({
    key,
    workload: workload.path,
    location,
    index,
    wanted: { workload, generation: generationOf(workload) },
    ending: Deferred.makeUnsafe(),
    replica: undefined
  })

  /** Brings what runs for a workload in line with what is stored. */
  const reconcile = (workload: Resource) => {
    const isThere = store.get(workload.path) === workload
    const locations = isThere ? locationsOf(gvcOf(workload, store), store) : []
    const mine = slots.get(workload.path) ?? new Map<string, Slot>()
    const wanted = new Set<string>()
    for (const location of locations) {
      for (let index = 0; index < replicasHere(workload.body, location, locations); index++) {
        const key = `${workload.path} ${location} ${index}`
        wanted.add(key)
        const slot = mine.get(key)
        if (slot !== undefined) {
          want(slot, { workload, generation: generationOf(workload) })
          // It was on its way out: its fiber sees the new wish before it goes.
          continue
        }
        const made = newSlot(workload, key, location, index)
        mine.set(key, made)
        run(key, live(made))
      }
    }
    for (const [key, slot] of mine) if (!wanted.has(key)) want(slot, undefined)
    if (mine.size > 0) slots.set(workload.path, mine)
    publish(workload.path)
  }

  store.watch((resource, what) => {
    if (isService(resource)) reconcile(resource)
    else if (resource.kind === "gvc" && what !== "removed") {
      store
        .list(`${gvcPath(resource.org, resource.name)}/workload`)
        .filter(isService)
        .forEach(reconcile)
    }
  })

  return Services.of({
    stop: (workload, replica) =>
      Effect.sync(() => {
        const slot = [...(slots.get(workload)?.values() ?? [])].find((each) => each.replica?.name === replica)
        if (slot?.replica?.isCurrent !== true) return false
        Deferred.doneUnsafe(slot.ending, Effect.void)
        show(slot, { ...slot.replica, isCurrent: false })
        return true
      })
  })
})
