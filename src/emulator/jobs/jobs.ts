/**
 * The life of runs: when a pod starts, who stops it, and what the store says of it.
 *
 * Invariant: each run has at most one pod, each pod at most one open stop, and a run that is over has no pod. Deadlines and
 * stops end a pod in the same way: a pause, SIGTERM, and SIGKILL when the grace is over.
 */
import { Cause, Clock, Context, Deferred, Effect, FiberMap, Layer, Result } from "effect"
import { Auth } from "../auth.ts"
import { type ApiError, badRequest } from "../errors.ts"
import { type Fault, textIn } from "../faults/faults.ts"
import { carryPod, newFate, type PodFate } from "../faults/pods.ts"
import { RunFaults, type Wait } from "../faults/runs.ts"
import { suffix, uuid } from "../ids.ts"
import { at, type Json, type JsonObject, listOf, numberOf, objectOf, textOf } from "../json.ts"
import { Listener } from "../listener.ts"
import { gvcOf, locationsOf } from "../resources/gvc.ts"
import { type Plan, Scheduler } from "../scheduler.ts"
import { Settings } from "../settings.ts"
import { Services } from "../services/services.ts"
import { Volumes } from "../services/volumes.ts"
import { type Command, executionOf, type Resource, runType, Store } from "../store.ts"
import { commandProblems } from "../workload/command-rules.ts"
import { endingTimes } from "../workload/ending.ts"
import { Driver } from "./driver.ts"
import { composePod, withNamesOnly } from "./pod.ts"
import { addRecord, step } from "./records.ts"
import { type FinalStage, isFinal, pending, type RunEvent, transition } from "./run-state.ts"

export class Jobs extends Context.Service<
  Jobs,
  {
    /** Takes a command as it was posted; it goes on after the answer. */
    submit(workload: Resource, body: Json | undefined): Effect.Effect<Command, ApiError>
    /** The workload is gone: so are its commands, and soon its pods. */
    abandon(workload: Resource): Effect.Effect<void>
    /** After a restart: runs that had not begun begin now. */
    readonly resume: Effect.Effect<void>
    /** The schedule of a workload has come to a moment: a run starts, as far as those that live allow it. */
    fire(workload: Resource, location: string, moment: number): Effect.Effect<void>
  }
>()("emulator/jobs/Jobs") {
  static readonly layer = Layer.effect(
    Jobs,
    Effect.suspend(() => make)
  )
}

/** What is under way for a live run besides its pod. */
interface Affairs {
  plans: ReadonlyArray<Plan>
  /** The command that asked for its end. */
  stop?: Command
  isEnding: boolean
  readonly fate: PodFate
}

/** A moment for a command to reach its location. */
const stopDelay = 50
/** How often a pod that waits for a secret looks again. */
const waitForSecret = 1000

const make = Effect.gen(function* () {
  const store = yield* Store
  const settings = yield* Settings
  const scheduler = yield* Scheduler
  const driver = yield* Driver
  const auth = yield* Auth
  const faults = yield* RunFaults
  const services = yield* Services
  const volumes = yield* Volumes
  const { url } = yield* Listener
  const pods = yield* FiberMap.make<string, void>()
  const affairs = new Map<string, Affairs>()

  const affairsOf = (command: Command): Affairs => {
    const found = affairs.get(command.id)
    if (found !== undefined) return found
    const made: Affairs = { plans: [], isEnding: false, fate: newFate() }
    affairs.set(command.id, made)
    return made
  }

  const later = (command: Command, moment: number, what: Effect.Effect<void>) => {
    const mine = affairsOf(command)
    // A pod that waits plans again and again: what is done is forgotten.
    mine.plans = [...mine.plans.filter((plan) => plan.what !== undefined), scheduler.plan(moment, what)]
  }

  /** What happened to a run, at this moment. */
  const tell = (command: Command, event: RunEvent) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      store.advance(command, transition(command.run, event, now), now)
      if (isFinal(command.run.stage)) close(command, now)
    })

  /** The run is over: nothing more is planned for it, and whoever stopped it has succeeded. */
  const close = (command: Command, now: number) => {
    const found = affairs.get(command.id)
    if (found === undefined) return
    affairs.delete(command.id)
    found.plans.forEach((plan) => scheduler.cancel(plan))
    if (found.stop !== undefined) step(store, found.stop, "completed", now)
    if (command.run.stage === "failed") afterwards(command, now, "corrected")
    afterwards(command, now, "forgotten")
  }

  /** What still happens to a run that is over. */
  const afterwards = (command: Command, now: number, what: "corrected" | "forgotten") => {
    const chosen = faults.choose(what, command)
    if (chosen === undefined) return
    const happen = Effect.suspend(() => {
      faults.fired(chosen.fault)
      if (what === "corrected") return tell(command, { _tag: "Corrected" })
      store.forgetCommand(command)
      return Effect.void
    })
    scheduler.plan(now + chosen.time, happen)
  }

  /** Goes on with the waits of a run, one after another, and then with its start. */
  const wait = (command: Command, [next, ...rest]: ReadonlyArray<Wait>): Effect.Effect<void> =>
    Effect.gen(function* () {
      if (next === undefined) return yield* start(command)
      if (isFinal(command.run.stage)) return
      faults.fired(next.fault)
      if (next.isPlaced) yield* tell(command, { _tag: "Placed", replica: yield* replicaOf(command) })
      const container = Object.keys(command.run.containers)[0] ?? ""
      yield* tell(command, { _tag: "Held", container, message: next.message })
      const now = yield* Clock.currentTimeMillis
      if (next.time !== undefined) later(command, now + next.time, wait(command, rest))
    })

  const start = (command: Command, hasWaited = false): Effect.Effect<void> =>
    Effect.gen(function* () {
      const workload = store.get(command.workload)
      if (workload === undefined || isFinal(command.run.stage)) return
      const replica = yield* replicaOf(command)
      const composed = composePod(workload, command, replica, {
        store,
        endpoint: url,
        token: auth.podToken(workload.path),
        images: settings.images,
        volumeFolder: (set) => volumes.folderOf(workload, set, command.location)
      })
      if (composed._tag === "Waits") {
        // The service says nothing of it, so this is the only place where one can learn why.
        if (!hasWaited) yield* Effect.logInfo(`emulator: ${executionOf(command)} waits: ${composed.message}`)
        return later(command, (yield* Clock.currentTimeMillis) + waitForSecret, start(command, true))
      }
      yield* tell(command, { _tag: "Started", replica })
      // Whatever a fiber begins with stays as long as it does: ten thousand environments would be a lot.
      const carried = settings.mode === "virtual" ? withNamesOnly(composed.pod) : composed.pod
      const pod = carryPod(driver, faults, command, carried, affairsOf(command).fate, (event) =>
        tell(command, event)
      ).pipe(
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.failCause(cause)
            : Effect.logError(`emulator: the pod ${replica} failed`, cause)
        ),
        // Whatever a driver leaves open ends with its pod.
        Effect.ensuring(
          Effect.suspend(() =>
            tell(command, { _tag: "Evicted", reason: "Error", message: "the pod is gone" })
          )
        )
      )
      yield* FiberMap.run(pods, command.id, pod)
      if (isFinal(command.run.stage)) return
      const now = yield* Clock.currentTimeMillis
      for (const { after, fault } of faults.afterStart(command)) {
        later(command, now + after, strike(command, replica, fault))
      }
    })

  const replicaOf = (command: Command) =>
    command.run.replica === undefined
      ? Effect.map(suffix(5), (end) => `${executionOf(command)}-${end}`)
      : Effect.succeed(command.run.replica)

  const kill = (command: Command, replica: string) =>
    Effect.suspend(() => {
      Deferred.doneUnsafe(affairsOf(command).fate.killed, Effect.void)
      return driver.signal(replica, "SIGKILL")
    })

  /** What happens to a pod while it runs. */
  const strike = (command: Command, replica: string, fault: Fault) =>
    Effect.gen(function* () {
      faults.fired(fault)
      switch (fault.rule.what) {
        case "oom":
          affairsOf(command).fate.isOutOfMemory = true
          return yield* kill(command, replica)
        case "vanished":
          forget(command)
          break
        default:
          yield* tell(command, {
            _tag: "Evicted",
            reason: "Evicted",
            message: "The node was low on resource: memory."
          })
      }
      yield* FiberMap.remove(pods, command.id)
    })

  /** Without a word: nobody is told how it ends. */
  const forget = (command: Command) => {
    store.forgetCommand(command)
    affairs.get(command.id)?.plans.forEach((plan) => scheduler.cancel(plan))
    affairs.delete(command.id)
  }

  /** The way every pod ends that does not end by itself. */
  const terminate = (command: Command, now: number) => {
    const mine = affairsOf(command)
    const { replica } = command.run
    if (mine.isEnding || replica === undefined) return
    mine.isEnding = true
    const { grace, preStop } = faults.ending(command, endingTimes(store.get(command.workload), settings))
    if (preStop !== undefined) later(command, now + preStop, driver.signal(replica, "SIGTERM"))
    later(command, now + grace, kill(command, replica))
  }

  const expire = (command: Command) =>
    Effect.gen(function* () {
      yield* tell(command, { _tag: "DeadlinePassed" })
      const { replica, stage } = command.run
      if (isFinal(stage)) return
      const now = yield* Clock.currentTimeMillis
      const late = faults.choose("late-kill", command)
      if (late === undefined || replica === undefined) return terminate(command, now)
      faults.fired(late.fault)
      later(command, now + late.time, kill(command, replica))
    })

  const carryOutStop = (stop: Command, run: Command | undefined) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const replica = textOf(stop.spec["replica"]) ?? ""
      if (run === undefined && (yield* services.stop(stop.workload, replica))) {
        return step(store, stop, "completed", now)
      }
      if (run === undefined || isFinal(run.run.stage)) {
        return step(store, stop, "failed", now, `replica ${replica} does not exist`)
      }
      step(store, stop, "running", now)
      const ignored = faults.choose("stop-ignored", run)
      if (ignored !== undefined) {
        faults.fired(ignored.fault)
        const stage = textIn(ignored.fault, "stage")
        if (stage === "pending") return
        // The next stop is a new one.
        delete affairsOf(run).stop
        return step(store, stop, stage as FinalStage, now)
      }
      const requested = faults.choose("cancellation-requested", run)
      if (requested === undefined) return yield* end(run, settings.stopStage)
      faults.fired(requested.fault)
      yield* tell(run, { _tag: "CancellationRequested" })
      later(run, now + requested.time, end(run, "cancelled"))
    })

  const end = (run: Command, endsAs: FinalStage) =>
    Effect.gen(function* () {
      yield* tell(run, { _tag: "StopAsked", endsAs })
      if (!isFinal(run.run.stage)) terminate(run, yield* Clock.currentTimeMillis)
    })

  const submitRun = (workload: Resource, body: JsonObject, id: string, now: number): Command => {
    const run = pending(containerNames(workload))
    return begun(workload, addRecord(store, workload, { body, id, now, run }), now)
  }

  /** Plans the start of a run, and its deadline. */
  const begun = (workload: Resource, command: Command, now: number): Command => {
    const deadline =
      numberOf(command.spec["activeDeadlineSeconds"]) ??
      numberOf(at(workload.body, ["spec", "job", "activeDeadlineSeconds"]))
    const begin = Effect.suspend(() => wait(command, faults.waits(command)))
    later(command, now + settings.startDelay + faults.startDelay(command), begin)
    if (deadline !== undefined) later(command, now + deadline * 1000, expire(command))
    return command
  }

  const submitStop = (
    workload: Resource,
    body: JsonObject,
    id: string,
    now: number
  ): Result.Result<Command, ApiError> => {
    const { replica, location } = objectOf(body["spec"])
    const named = store.liveReplica(workload.path, String(replica))
    const run = named?.location === location ? named : undefined
    if (run !== undefined && affairsOf(run).stop !== undefined) {
      return Result.fail(badRequest(`A stopReplica command for replica ${String(replica)} already exists`))
    }
    const stop = addRecord(store, workload, { body, id, now, run: pending([]) })
    if (run !== undefined) affairsOf(run).stop = stop
    scheduler.plan(now + stopDelay, carryOutStop(stop, run))
    return Result.succeed(stop)
  }

  const submit = Effect.fnUntraced(function* (workload: Resource, body: Json | undefined) {
    const asked = objectOf(body)
    const problems = commandProblems(asked, workload, locationsOf(gvcOf(workload, store), store))
    if (problems.length > 0) return yield* badRequest(problems.join("; "))
    const id = yield* uuid
    const now = yield* Clock.currentTimeMillis
    return asked["type"] === runType
      ? submitRun(workload, asked, id, now)
      : yield* Effect.fromResult(submitStop(workload, asked, id, now))
  })

  /** Its pods get the grace that they would have; nobody is told how they end. */
  const abandon = Effect.fnUntraced(function* (workload: Resource) {
    const now = yield* Clock.currentTimeMillis
    const { grace } = endingTimes(workload, settings)
    for (const command of store.dropCommands(workload.path)) {
      affairs.get(command.id)?.plans.forEach((plan) => scheduler.cancel(plan))
      affairs.delete(command.id)
      if (!FiberMap.hasUnsafe(pods, command.id) || command.run.replica === undefined) continue
      yield* driver.signal(command.run.replica, "SIGTERM")
      later(command, now + grace, Effect.asVoid(FiberMap.remove(pods, command.id)))
    }
  })

  const fire = Effect.fnUntraced(function* (workload: Resource, location: string, moment: number) {
    const policy = at(workload.body, ["spec", "job", "concurrencyPolicy"]) ?? "Forbid"
    const live = [...store.liveRuns(workload.path).values()].filter(
      (run) => run.execution !== undefined && run.location === location
    )
    if (policy === "Forbid" && live.length > 0) return
    if (policy === "Replace") yield* Effect.forEach(live, (run) => end(run, "cancelled"), { discard: true })
    const now = yield* Clock.currentTimeMillis
    // Named as Kubernetes names them, by the minute.
    const execution = `${workload.name}-${Math.floor(moment / 60_000)}`
    const body = { type: runType, spec: { location } }
    const run = pending(containerNames(workload))
    begun(workload, addRecord(store, workload, { body, id: yield* uuid, now, run, execution }), now)
  })

  /** A stop has nothing left to stop then. */
  const resume = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    for (const command of store.allLive()) {
      const workload = store.get(command.workload)
      if (command.type === runType && workload !== undefined) begun(workload, command, now)
      else step(store, command, "failed", now, "the emulator was restarted")
    }
  })

  return Jobs.of({ submit, abandon, fire, resume })
})

const containerNames = ({ body }: Resource): ReadonlyArray<string> =>
  listOf(at(body, ["spec", "containers"])).map((each) => textOf(at(each, ["name"])) ?? "")
