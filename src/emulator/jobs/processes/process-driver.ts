/**
 * Runs the containers of a pod as processes of this machine, their output becoming log lines.
 *
 * Invariant: each container has exactly the environment of its pod (plus PATH, HOME and HOSTNAME where the pod sets
 * none) and a folder of its own; when a pod's run has ended, in whatever way, its processes and folders are gone.
 */
import { Clock, Deferred, Effect, Layer, Semaphore } from "effect"
import { LogStore } from "../../logs/log-store.ts"
import { Driver, type Exec, type Pod, type PodContainer } from "../driver.ts"
import type { RunEvent } from "../run-state.ts"
import {
  atExit,
  type Group,
  type GroupEnd,
  type GroupSignal,
  inherited,
  killByHostname,
  makeFolder,
  makeFolderNamed,
  removeFolder,
  removeFolderNow,
  runGroup
} from "./host.ts"
import { makeLineCutter } from "./output.ts"
import { placeOf } from "./place.ts"
import { inTerminal, programOf } from "./program.ts"

type Emit = (event: RunEvent) => Effect.Effect<void>

/** How a container ended, with words where its exit code does not say enough. */
interface Ending {
  readonly exitCode: number
  readonly reason?: string
  readonly message?: string
}

/** A container with what this machine gave it. */
interface Settled {
  readonly container: PodContainer
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
}

/** A pod that lives. */
interface Here {
  readonly groups: Set<Group>
  readonly containers: Map<string, Settled>
  /** The API that its containers know. */
  readonly endpoint: string | undefined
  /** It was told to end: nothing of it is started again. */
  isStopping: boolean
  readonly stopping: Deferred.Deferred<void>
}

/** Milliseconds before a container is started again, twice as many each time that it did not live for long. */
const firstPause = 500
const longestPause = 30_000
const longEnough = 60_000
/** A job that fails again and again is given up, as Kubernetes does it. */
const mostRestarts = 6

const notExecutable = 126
const notFound = 127
const otherwiseFailed = 128
/** The service's word for a container whose program could not be executed. */
const startError = "StartError"
/** A process that forks while it is being looked for may be missed by one look, not by several. */
const mostSweeps = 5

export const processDriver: Layer.Layer<Driver, never, LogStore> = Layer.effect(
  Driver,
  Effect.gen(function* () {
    const store = yield* LogStore
    const clock = yield* Clock.Clock
    const root = yield* Effect.acquireRelease(
      Effect.sync(() => makeFolder()),
      removeFolder
    )
    const pods = new Map<string, Here>()
    const toSweep = new Map<string, string | undefined>()
    const sweeping = yield* Semaphore.make(1)
    let lastStamp = 0n

    /** Lines of all jobs have stamps of their own, so that a reader's "after this one" is exact. */
    const stamp = (): bigint => {
      const now = clock.currentTimeNanosUnsafe()
      lastStamp = now > lastStamp ? now : lastStamp + 1n
      return lastStamp
    }

    const signalAll = (replica: string, signal: GroupSignal): void => {
      const here = pods.get(replica)
      if (here === undefined) return
      here.isStopping = true
      Deferred.doneUnsafe(here.stopping, Effect.void)
      for (const group of here.groups) group.signal(signal)
    }

    // When this process ends without closing its scopes, as by an error in a callback, this is all that still happens.
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        atExit(() => {
          for (const replica of pods.keys()) signalAll(replica, "SIGKILL")
          if (pods.size > 0)
            killByHostname(new Map([...pods].map(([replica, { endpoint }]) => [replica, endpoint])))
          removeFolderNow(root)
        })
      ),
      (takeBack) => Effect.sync(takeBack)
    )

    /** One look serves all pods that ended by then. */
    const sweep = (replica: string): Effect.Effect<void> =>
      Effect.suspend(() => {
        toSweep.set(replica, pods.get(replica)?.endpoint)
        return sweeping.withPermit(
          Effect.suspend(() => {
            if (!toSweep.has(replica)) return Effect.void
            const replicas = new Map(toSweep)
            toSweep.clear()
            return sweepAll(replicas)
          })
        )
      })

    const outputOf = (pod: Pod, container: PodContainer) => {
      const cutter = (stream: "stdout" | "stderr") => {
        const labels = {
          gvc: pod.gvc,
          workload: pod.workload,
          container: container.name,
          location: pod.location,
          provider: providerOf(pod.location),
          replica: pod.replica,
          stream,
          version: String(pod.workloadVersion)
        }
        return makeLineCutter((line, unread) =>
          store.append({ at: stamp(), org: pod.org, labels, line, unread })
        )
      }
      return { stdout: cutter("stdout"), stderr: cutter("stderr") }
    }

    /** What a container of a pod is given by this machine. */
    const settle = (pod: Pod, given: PodContainer, scratch: string): Settled => {
      const place = placeOf(given, makeFolderNamed(scratch, given.name))
      const env = { ...inherited(), HOSTNAME: pod.replica, ...place.env, ...place.container.env }
      return { container: place.container, folder: place.folder, env }
    }

    const runOnce = Effect.fnUntraced(function* (
      pod: Pod,
      { container, env, folder }: Settled,
      emit: Emit
    ): Effect.fn.Return<Ending> {
      const output = outputOf(pod, container)
      const program = programOf(container, env["PATH"] ?? "", folder)
      const running: Effect.Effect<Ending> =
        program._tag === "Missing"
          ? Effect.succeed({ exitCode: program.exitCode, reason: startError, message: program.message })
          : runGroup({
              file: program.file,
              args: program.args,
              env,
              folder,
              onStarted: (group) => pods.get(pod.replica)?.groups.add(group),
              onOutput: (stream, bytes) => output[stream].push(bytes)
            }).pipe(Effect.map((end) => endingOf(container, end)))
      if (program._tag === "Found" && (pod.restarts ?? "Never") !== "Never") {
        yield* emit({ _tag: "ContainerStarted", container: container.name })
      }
      const ending = yield* running.pipe(
        Effect.ensuring(
          Effect.sync(() => {
            output.stdout.end()
            output.stderr.end()
          })
        )
      )
      // An entrypoint would have said it itself.
      if (ending.reason === startError) output.stderr.push(new TextEncoder().encode(`${ending.message}\n`))
      return ending
    })

    /** To its last end: what ends by itself may be started again, later each time, until the pod is told to stop. */
    const runContainer = Effect.fnUntraced(function* (pod: Pod, settled: Settled, emit: Emit) {
      const { name } = settled.container
      const policy = pod.restarts ?? "Never"
      for (let restarts = 0, failures = 0; ; restarts++) {
        const before = clock.currentTimeMillisUnsafe()
        const ending = yield* runOnce(pod, settled, emit)
        const here = pods.get(pod.replica)
        const isOver =
          policy === "Never" ||
          (policy === "OnFailure" && (ending.exitCode === 0 || restarts >= mostRestarts)) ||
          here?.isStopping !== false
        if (isOver) return yield* emit({ _tag: "ContainerEnded", container: name, ...ending })
        failures = clock.currentTimeMillisUnsafe() - before > longEnough ? 1 : failures + 1
        yield* emit({ _tag: "ContainerRestarted", container: name, ...ending })
        const pause = Math.min(longestPause, firstPause * 2 ** (failures - 1))
        yield* Effect.raceFirst(Effect.sleep(pause), Deferred.await(here.stopping))
        if (here.isStopping) return yield* emit({ _tag: "ContainerEnded", container: name, ...ending })
      }
    })

    const run = Effect.fn("emulator.processes.run")(function* (pod: Pod, emit: Emit) {
      yield* Effect.acquireUseRelease(
        Effect.sync(() => {
          const here: Here = {
            groups: new Set(),
            containers: new Map(),
            endpoint: pod.containers[0]?.env["CPLN_ENDPOINT"],
            isStopping: false,
            stopping: Deferred.makeUnsafe()
          }
          pods.set(pod.replica, here)
          return { scratch: makeFolder(root), here }
        }),
        ({ scratch, here }) =>
          Effect.forEach(
            pod.containers,
            (container) =>
              Effect.suspend(() => {
                const settled = settle(pod, container, scratch)
                here.containers.set(container.name, settled)
                return runContainer(pod, settled, emit)
              }),
            { concurrency: "unbounded", discard: true }
          ),
        ({ scratch }) =>
          sweep(pod.replica).pipe(
            Effect.andThen(Effect.sync(() => pods.delete(pod.replica))),
            Effect.andThen(removeFolder(scratch))
          )
      )
    })

    const exec = Effect.fnUntraced(function* (ask: Exec): Effect.fn.Return<number, string> {
      const here = pods.get(ask.replica)
      const settled = here?.containers.get(ask.container)
      if (here === undefined || settled === undefined) {
        return yield* Effect.fail(`container ${ask.container} of replica ${ask.replica} does not run`)
      }
      const { container, env, folder } = settled
      const [command, ...args] = ask.tty ? inTerminal(ask.command, env["PATH"] ?? "", folder) : ask.command
      const program = programOf({ ...container, command, args }, env["PATH"] ?? "", folder)
      if (program._tag === "Missing") return yield* Effect.fail(program.message)
      const end = yield* runGroup({
        file: program.file,
        args: program.args,
        env,
        folder,
        onStarted: (group) => here.groups.add(group),
        onOutput: (_, bytes) => ask.onOutput(bytes),
        ...(ask.onInput === undefined ? {} : { onInput: ask.onInput })
      })
      return end._tag === "Exited" ? end.code : yield* Effect.fail(`it could not be started (${end.code})`)
    })

    return Driver.of({
      run,
      exec,
      signal: (replica, signal) => Effect.sync(() => signalAll(replica, signal))
    })
  })
)

const sweepAll = Effect.fnUntraced(function* (replicas: ReadonlyMap<string, string | undefined>) {
  for (let round = 0; round < mostSweeps; round++) {
    if (killByHostname(replicas) === 0) return
    yield* Effect.sleep("20 millis")
  }
})

/** Locations are named after their provider: aws-us-west-2, gcp-us-east1. */
const providerOf = (location: string): string => location.split("-")[0] ?? location

const endingOf = (container: PodContainer, end: GroupEnd): Ending => {
  if (end._tag === "Exited") return { exitCode: end.code }
  const failed = (exitCode: number, why: string): Ending => ({
    exitCode,
    reason: startError,
    message: `container ${container.name} could not be started: ${why}`
  })
  switch (end.code) {
    case "ENOENT":
      // The file is there, so it is what its first line names that is not.
      return failed(notFound, "the program or its interpreter is not there")
    case "EACCES":
    case "EPERM":
    case "ENOEXEC":
      return failed(notExecutable, `the program cannot be executed (${end.code})`)
    case "E2BIG":
      return failed(notExecutable, "arguments and environment are too long together (E2BIG)")
    case "ERR_INVALID_ARG_VALUE":
      return failed(otherwiseFailed, "a NUL character in an argument or a variable")
    default:
      return failed(otherwiseFailed, end.code)
  }
}
