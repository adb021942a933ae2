/**
 * Faults of runs: what a run has to wait for, what happens to its pod, and what comes of a stop.
 *
 * Invariant: each fault is chosen for a run at most once, at the moment that it belongs to; the engine carries it out and
 * says when it really happened. All times are in milliseconds.
 */
import { Context, Effect, Layer } from "effect"
import type { RunEvent } from "../jobs/run-state.ts"
import { at, listOf, textOf } from "../json.ts"
import { lastSegment } from "../links.ts"
import { type Command, Store } from "../store.ts"
import type { What } from "./catalogue.ts"
import { type Fault, Faults, type Subject, textIn } from "./faults.ts"

/** Something that a run waits for before its containers start. */
export interface Wait {
  readonly fault: Fault
  readonly message: string
  /** There is a replica already. */
  readonly isPlaced: boolean
  /** Undefined is for ever. */
  readonly time: number | undefined
}

/** How a pod ends: both from the stop on; without a SIGTERM it is deaf to it, or never sent one. */
export interface EndingTimes {
  readonly grace: number
  readonly preStop: number | undefined
}

export class RunFaults extends Context.Service<
  RunFaults,
  {
    startDelay(command: Command): number
    waits(command: Command): ReadonlyArray<Wait>
    /** What will happen to the pod that just started. */
    afterStart(command: Command): ReadonlyArray<{ readonly after: number; readonly fault: Fault }>
    ending(command: Command, usual: EndingTimes): EndingTimes
    /** One that is to happen to this run now, with its time. */
    choose(what: What, command: Command): { readonly fault: Fault; readonly time: number } | undefined
    fired(fault: Fault): void
  }
>()("emulator/faults/RunFaults") {
  static readonly layer = Layer.effect(
    RunFaults,
    Effect.gen(function* () {
      const faults = yield* Faults
      const store = yield* Store

      const subjectOf = (command: Command): Subject => ({
        workload: lastSegment(command.workload),
        tags: () => command.tags
      })

      const choose = (what: What, command: Command) => {
        if (!faults.has(what)) return undefined
        const fault = faults.choose(what, subjectOf(command))
        if (fault === undefined) return undefined
        return { fault, time: fault.rule.parameters["seconds"] === undefined ? 0 : faults.time(fault) }
      }

      const strike = (what: What, command: Command) => {
        const found = choose(what, command)
        if (found !== undefined) faults.fired(found.fault)
        return found
      }

      /** Of the first container, as the run has it. */
      const imageOf = ({ workload, spec }: Command): string => {
        const [container] = listOf(at(store.get(workload)?.body, ["spec", "containers"]))
        const override = listOf(spec["containerOverrides"]).find(
          (each) => at(each, ["name"]) === at(container, ["name"])
        )
        return textOf(at(override, ["image"]) ?? at(container, ["image"])) ?? ""
      }

      return RunFaults.of({
        choose,
        fired: (fault) => faults.fired(fault),
        startDelay: (command) => strike("start-delay", command)?.time ?? 0,
        waits: (command) => {
          const capacity = choose("capacity", command)
          const pull = choose("image-pull", command)
          const failure = choose("image-failure", command)
          return [
            ...(capacity === undefined
              ? []
              : [{ ...capacity, message: textIn(capacity.fault, "message"), isPlaced: false }]),
            ...(pull === undefined
              ? []
              : [{ ...pull, message: `Pulling image "${imageOf(command)}"`, isPlaced: true }]),
            ...(failure === undefined
              ? []
              : [
                  {
                    fault: failure.fault,
                    time: undefined,
                    message: textIn(failure.fault, "message"),
                    isPlaced: true
                  }
                ])
          ]
        },
        afterStart: (command) =>
          (["oom", "eviction", "vanished"] as const).flatMap((what) => {
            const found = choose(what, command)
            return found === undefined ? [] : [{ after: found.time, fault: found.fault }]
          }),
        ending: (command, usual) => {
          const grace = strike("grace", command)?.time ?? usual.grace
          const preStop = strike("pre-stop", command)?.time ?? usual.preStop
          if (strike("pre-stop-failure", command) !== undefined) return { grace: 0, preStop: undefined }
          const isDeaf = strike("deaf", command) !== undefined
          return { grace, preStop: isDeaf || preStop === undefined ? undefined : Math.min(grace, preStop) }
        }
      })
    })
  )
}

const outOfMemory = 137

/** How an end is told of a run that was killed for its memory. */
export const asOutOfMemory = (event: RunEvent): RunEvent =>
  event._tag === "ContainerEnded" && event.exitCode === outOfMemory
    ? {
        ...event,
        reason: "OOMKilled",
        message: `container ${event.container} was killed: out of memory (exit code ${outOfMemory}, OOMKilled)`
      }
    : event
