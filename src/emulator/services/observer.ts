/**
 * What is to be seen of the containers of one replica: whether each is ready, how often it restarted, how it last ended.
 *
 * Invariant: a container is ready only while a process of it is there and, where it has a readiness probe, only while that
 * passes. Probes end with the scope.
 */
import { Clock, Effect, FiberMap, type Scope } from "effect"
import type { Driver } from "../jobs/driver.ts"
import { reasonOf, type RunEvent } from "../jobs/run-state.ts"
import { at, listOf, objectOf, textOf } from "../json.ts"
import type { Resource, ServedContainer } from "../store.ts"
import { isPassed, type Probe, readinessOf } from "./probe.ts"

type Containers = Readonly<Record<string, ServedContainer>>

export interface Observer {
  readonly hear: (event: RunEvent) => Effect.Effect<void>
  /** The replica has to end: it takes no more work. */
  readonly ending: () => void
}

export const makeObserver = Effect.fnUntraced(function* (
  workload: Resource,
  replica: string,
  driver: Driver["Service"],
  show: (containers: Containers) => void
): Effect.fn.Return<Observer, never, Scope.Scope> {
  const probing = yield* FiberMap.make<string, void>()
  const specs = listOf(at(workload.body, ["spec", "containers"])).map(objectOf)
  const probes = new Map(specs.map((spec) => [textOf(spec["name"]) ?? "", readinessOf(spec)]))
  let containers: Containers = Object.fromEntries(
    [...probes.keys()].map((name) => [name, { ready: false, restarts: 0 }])
  )
  show(containers)

  const change = (name: string, what: Partial<ServedContainer>) => {
    containers = { ...containers, [name]: { ready: false, restarts: 0, ...containers[name], ...what } }
    show(containers)
  }

  const probe = (name: string, { initialDelay, period, successes, failures, ...rest }: Probe) =>
    Effect.gen(function* () {
      yield* Effect.sleep(initialDelay)
      for (let [passed, missed] = [0, 0]; ;) {
        const isFine = yield* isPassed({ initialDelay, period, successes, failures, ...rest }, (command) =>
          driver.exec({ replica, container: name, command, tty: false, onOutput: () => {} })
        )
        ;[passed, missed] = isFine ? [passed + 1, 0] : [0, missed + 1]
        const isReady = containers[name]?.ready === true
        if (!isReady && passed >= successes) change(name, { ready: true, message: "" })
        if (!isReady && !isFine) change(name, { message: "the readiness probe fails" })
        if (isReady && missed >= failures)
          change(name, { ready: false, message: "the readiness probe fails" })
        yield* Effect.sleep(period)
      }
    })

  const hear = (event: RunEvent): Effect.Effect<void> =>
    Effect.gen(function* () {
      switch (event._tag) {
        case "ContainerStarted": {
          const asked = probes.get(event.container)
          if (asked === undefined) return change(event.container, { ready: true, message: "" })
          yield* FiberMap.run(probing, event.container, probe(event.container, asked))
          return
        }
        case "ContainerRestarted":
        case "ContainerEnded": {
          yield* FiberMap.remove(probing, event.container)
          const { container, exitCode = 0, message } = event
          const before = containers[container]?.restarts ?? 0
          change(container, {
            ready: false,
            exitCode,
            reason: event.reason ?? reasonOf(exitCode),
            message: message ?? `exited with code ${exitCode}`,
            endedAt: yield* Clock.currentTimeMillis,
            restarts: event._tag === "ContainerRestarted" ? before + 1 : before
          })
          return
        }
        default:
          return
      }
    })

  return { hear, ending: () => show(containers) }
})
