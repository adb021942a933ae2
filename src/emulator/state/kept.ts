/**
 * The stores with a memory on disk: every change of them is noted, and what there was is put back at the start.
 *
 * Invariant: what is put back is told to whoever watches the store as if it were made then, so that nothing needs to know
 * of restarts. Pods do not outlive the emulator: their runs have failed.
 */
import { Clock, Effect, Layer } from "effect"
import { Jobs } from "../jobs/jobs.ts"
import { isFinal, transition } from "../jobs/run-state.ts"
import { LogStore } from "../logs/log-store.ts"
import { type Command, Store } from "../store.ts"
import { StateFolder } from "./state-folder.ts"

/** The store that is provided to it; its changes are written to the state folder. */
export const keptStore: Layer.Layer<Store, never, StateFolder | Store> = Layer.effect(
  Store,
  Effect.gen(function* () {
    const base = yield* Store
    const { touch } = yield* StateFolder
    const noted =
      <A extends ReadonlyArray<unknown>, B>(change: (...args: A) => B) =>
      (...args: A): B => {
        touch()
        return change(...args)
      }
    return Store.of({
      ...base,
      create: noted(base.create),
      update: noted(base.update),
      remove: noted(base.remove),
      addCommand: noted(base.addCommand),
      advance: noted(base.advance),
      dropCommands: noted(base.dropCommands),
      forgetCommand: noted(base.forgetCommand)
    })
  })
)

/** The log store that is provided to it, with the lines of earlier times; new ones are written to the state folder. */
export const keptLogs: Layer.Layer<LogStore, never, LogStore | StateFolder> = Layer.effect(
  LogStore,
  Effect.gen(function* () {
    const base = yield* LogStore
    const { addLine, lines } = yield* StateFolder
    lines().forEach((line) => base.append(line))
    return LogStore.of({
      ...base,
      append: (line) => {
        base.append(line)
        if (line.line !== "") addLine(line)
      }
    })
  })
)

const gone = { _tag: "Evicted", reason: "Error", message: "the emulator was restarted" } as const

/** As a run is after a restart: over, when it had a pod. */
const afterRestart = (command: Command, now: number): Command =>
  isFinal(command.run.stage) || command.run.startTime === undefined
    ? command
    : { ...command, lastModified: now, version: command.version + 1, run: transition(command.run, gone, now) }

/** Puts back what there was, once everything that acts on it is there. */
export const restored = Layer.effectDiscard(
  Effect.gen(function* () {
    const store = yield* Store
    const jobs = yield* Jobs
    const folder = yield* StateFolder
    const now = yield* Clock.currentTimeMillis
    if (folder.saved !== undefined) {
      const { commands, resources } = folder.saved
      store.load(
        resources,
        commands.map((command) => afterRestart(command, now))
      )
      yield* jobs.resume
    }
    folder.keep(() => store.dump())
  })
)
