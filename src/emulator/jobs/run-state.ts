/**
 * The life of one job run, as a pure state machine: what the service would say of it after each thing that happened.
 *
 * Invariant: `completed` and `cancelled` are permanent; `failed` may only become `completed`, by correction. Events that
 * come too late change nothing.
 */

export const finalStages = ["completed", "failed", "cancelled"] as const
export type FinalStage = (typeof finalStages)[number]
export type Stage = "pending" | "running" | "cancellation-requested" | FinalStage

export interface ContainerState {
  readonly ready: boolean
  readonly message?: string
  readonly exitCode?: number
  readonly reason?: string
  readonly restarts?: number
  readonly endedAt?: number
}

/** All times are in milliseconds since 1970. */
export interface RunState {
  readonly stage: Stage
  /** The pod; there is none until the run was placed. */
  readonly replica?: string
  readonly startTime?: number
  readonly completionTime?: number
  readonly message?: string
  /** Set by a stop: the stage to end in, whatever the exit codes. */
  readonly endsAs?: FinalStage
  readonly deadlinePassed?: boolean
  readonly containers: Readonly<Record<string, ContainerState>>
}

export type RunEvent =
  /** A pod exists, its images are being pulled. */
  | { readonly _tag: "Placed"; readonly replica: string }
  /** It waits, and says why: for an image, for capacity. */
  | { readonly _tag: "Held"; readonly container: string; readonly message: string }
  | { readonly _tag: "Started"; readonly replica: string }
  | {
      readonly _tag: "ContainerEnded"
      readonly container: string
      readonly exitCode: number
      readonly reason?: string
      readonly message?: string
    }
  /** It ended, and will be started again. */
  | {
      readonly _tag: "ContainerRestarted"
      readonly container: string
      readonly exitCode?: number
      readonly reason?: string
      readonly message?: string
    }
  /** A process of it is there, for the first time or again. */
  | { readonly _tag: "ContainerStarted"; readonly container: string }
  | { readonly _tag: "StopAsked"; readonly endsAs: FinalStage }
  | { readonly _tag: "CancellationRequested" }
  | { readonly _tag: "DeadlinePassed" }
  /** Its pod was taken away, with whatever ran in it. */
  | { readonly _tag: "Evicted"; readonly reason: string; readonly message: string }
  | { readonly _tag: "Corrected" }

export const isFinal = (stage: Stage): stage is FinalStage =>
  (finalStages as ReadonlyArray<string>).includes(stage)

export const isLive = (run: RunState): boolean => run.replica !== undefined && !isFinal(run.stage)

const oomKilled = 137

/** The service's word for how a container ended. */
export const reasonOf = (exitCode: number): string => (exitCode === 0 ? "Completed" : "Error")

export const pending = (containers: ReadonlyArray<string>): RunState => ({
  stage: "pending",
  containers: Object.fromEntries(containers.map((name) => [name, { ready: false }]))
})

const withContainer = (run: RunState, name: string, change: ContainerState): RunState => ({
  ...run,
  containers: { ...run.containers, [name]: { ...run.containers[name], ...change } }
})

const stageOf = (run: RunState): FinalStage => {
  if (run.deadlinePassed === true) return "failed"
  if (run.endsAs !== undefined) return run.endsAs
  return Object.values(run.containers).every(({ exitCode }) => exitCode === 0) ? "completed" : "failed"
}

/** The run is over when its last container is. */
const ended = (run: RunState, at: number): RunState =>
  Object.values(run.containers).some(({ exitCode }) => exitCode === undefined)
    ? run
    : { ...run, stage: stageOf(run), completionTime: at }

const taken = (run: RunState, at: number, reason: string, message: string): RunState => ({
  ...run,
  stage: run.endsAs ?? "failed",
  completionTime: at,
  message,
  containers: Object.fromEntries(
    Object.entries(run.containers).map(([name, container]) => [
      name,
      container.exitCode === undefined
        ? { ...container, ready: false, exitCode: oomKilled, reason, message, endedAt: at }
        : container
    ])
  )
})

/** The state after the event; the very same object when the event changes nothing. */
export const transition = (run: RunState, event: RunEvent, at: number): RunState => {
  if (isFinal(run.stage)) {
    return event._tag === "Corrected" && run.stage === "failed" ? { ...run, stage: "completed" } : run
  }
  switch (event._tag) {
    case "Placed":
      return run.replica === undefined ? { ...run, replica: event.replica } : run
    case "Held":
      return run.stage === "pending"
        ? withContainer(run, event.container, { ready: false, message: event.message })
        : run
    case "Started":
      if (run.startTime !== undefined) return run
      return {
        ...run,
        stage: run.stage === "pending" ? "running" : run.stage,
        replica: event.replica,
        startTime: at,
        containers: Object.fromEntries(Object.keys(run.containers).map((name) => [name, { ready: true }]))
      }
    case "ContainerEnded": {
      const container = run.containers[event.container]
      if (container === undefined || container.exitCode !== undefined) return run
      const reason = event.reason ?? reasonOf(event.exitCode)
      const message =
        event.message ?? (event.exitCode === 0 ? undefined : `exited with code ${event.exitCode} (${reason})`)
      const next = withContainer(run, event.container, {
        ready: false,
        exitCode: event.exitCode,
        reason,
        endedAt: at,
        ...(message === undefined ? {} : { message })
      })
      return ended(next, at)
    }
    case "ContainerRestarted": {
      const container = run.containers[event.container]
      return container === undefined
        ? run
        : withContainer(run, event.container, { ready: true, restarts: (container.restarts ?? 0) + 1 })
    }
    case "ContainerStarted":
      return run
    case "StopAsked":
      // A pod that never started has nothing to run to its end.
      return run.startTime === undefined
        ? { ...run, stage: event.endsAs, completionTime: at, endsAs: event.endsAs }
        : { ...run, endsAs: event.endsAs }
    case "CancellationRequested":
      return { ...run, stage: "cancellation-requested", endsAs: run.endsAs ?? "cancelled" }
    case "DeadlinePassed":
      return run.startTime === undefined
        ? { ...run, stage: "failed", completionTime: at, deadlinePassed: true, message: deadlineMessage }
        : { ...run, deadlinePassed: true, message: deadlineMessage }
    case "Evicted":
      return taken(run, at, event.reason, event.message)
    case "Corrected":
      return run
  }
}

const deadlineMessage = "Job was active longer than specified deadline"
