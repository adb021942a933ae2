/**
 * Folds the raw commands of one flow run into one small observation of its *current attempt*, and says which other
 * commands must not live.
 *
 * Invariant: a command of an older attempt, or a double of the current one, is only ever stopped; it never decides.
 */
import type { Place } from "../../cpln/place.ts"
import type { Command, JobExecution } from "../../cpln/schemas.ts"
import { transitionOf } from "../../job/attempt.ts"
import type { InfrastructurePid } from "../../job/infrastructure-pid.ts"
import { mainContainer as usualMain } from "../../job/manifest/containers.ts"
import { exitOf } from "./diagnose.ts"
import type { Observation } from "./decide.ts"
import { timeOf } from "./phase.ts"

export const attemptTag = "prefect.io/attempt"
export const runTag = "prefect.io/flow-run-id"
export const poolTag = "prefect.io/work-pool-id"
export const agentTag = "cpln/prefectAgent"

export const tagOf = (command: Command, tag: string): string | undefined => {
  const value = command.tags?.[tag]
  return value === undefined || value === null ? undefined : String(value)
}

const finalStages = new Set(["completed", "failed", "cancelled"])
/** An unknown stage is not final. */
export const isFinal = (command: Command): boolean => finalStages.has(command.lifecycleStage)

/** A command, the place it is in, and the service's clock when it was read, in ms since 1970. */
export interface Located {
  readonly place: Place
  readonly command: Command
  readonly at: number
}

/** The infrastructure PID of a job. */
export const pidOf = ({
  command,
  place: { workload }
}: Pick<Located, "place"> & { readonly command: { readonly id: string } }): InfrastructurePid => ({
  org: workload.org,
  gvc: workload.gvc,
  workload: workload.name,
  commandId: command.id
})

/** What names the current attempt of a run. */
export interface CurrentAttempt {
  /** Transition id of the PENDING state, when the run is PENDING. */
  readonly transitionId: string | undefined
  /** Command of a handed-back attempt that the claim message takes over. */
  readonly adopted: string | undefined
  /** Transition ids that were accepted at the same time, as far as the history was read. */
  readonly rivals?: ReadonlySet<string>
}

/** The commands of one run, sorted out: the one that counts, and those that must be stopped if they live. */
export interface Sorted {
  readonly current: Located | undefined
  readonly strays: ReadonlyArray<Located>
}

const attemptTagOf = (command: Command): string => tagOf(command, attemptTag) ?? ""

/**
 * `found` are those of one run, whatever their attempt, stage and place. `attemptOf` gives the attempt that a command
 * counts for, which the run's history may tell better than its tag.
 */
export const sortOut = (
  found: ReadonlyArray<Located>,
  attempt: CurrentAttempt,
  attemptOf: (command: Command) => string = attemptTagOf
): Sorted => {
  const current = found.filter(currentAttempt(found, attempt, attemptOf)).sort(oldestFirst)[0]
  return {
    current,
    strays: found.filter((each) => each !== current && !isFinal(each.command))
  }
}

/** Attempts sort by time; commands without the tag (the Python agent's) are the oldest. */
const currentAttempt = (
  found: ReadonlyArray<Located>,
  { adopted, rivals, transitionId }: CurrentAttempt,
  attemptOf: (command: Command) => string
) => {
  if (transitionId !== undefined) {
    return ({ command }: Located) => {
      const transition = transitionOf(attemptOf(command))
      return command.id === adopted || transition === transitionId || rivals?.has(transition) === true
    }
  }
  const newest = found.map(({ command }) => attemptOf(command)).reduce((a, b) => (b > a ? b : a), "")
  return ({ command }: Located) => attemptOf(command) === newest
}

export const oldestFirst = (a: Located, b: Located) =>
  a.command.created === b.command.created
    ? a.command.id < b.command.id
      ? -1
      : 1
    : a.command.created < b.command.created
      ? -1
      : 1

/** How long ago the command was made, in ms; `at` is Control Plane's clock when it answered. */
export const ageOf = (command: Command, at: number): number =>
  Math.max(0, at - (timeOf(command.created) ?? at))

/** What the agent remembers of a run between looks; ages in milliseconds. */
export interface Remembered {
  /** A stop was sent. */
  readonly stopAsked: boolean
  /** A stop was to be sent, whether or not there was a replica to name. */
  readonly stopWanted: boolean
  readonly failedLooks: number
  readonly mainEndedAge: number
}

/**
 * One command as an observation. `at` is the service's clock when it answered, in ms since 1970; `execution` is the
 * command's entry among the deployment's job executions, when it was read; `started` is whether the run was ever RUNNING.
 */
export const observe = (
  command: Command,
  at: number,
  execution: JobExecution | undefined,
  started: boolean,
  remembered: Remembered
): Exclude<Observation, { readonly _tag: "Absent" | "Unreachable" }> => {
  const main = mainContainer(command)
  const exit = exitOf(execution, main)
  const { stopAsked, stopWanted } = remembered
  switch (command.lifecycleStage) {
    case "completed":
    case "failed":
    case "cancelled":
      return {
        _tag: "Final",
        stage: command.lifecycleStage,
        looks: remembered.failedLooks,
        // The engine was over when its container was, whatever lived on beside it.
        age: Math.max(0, at - (timeOf(command.lastModified) ?? at), remembered.mainEndedAge),
        exit,
        stopAsked
      }
    case "pending":
      return { _tag: "Pending", age: ageOf(command, at), stopAsked }
    case "cancellation-requested":
      return { _tag: "Stopping" }
    default:
      // One that runs again has the exit code of the time before.
      return exit.code !== undefined &&
        execution?.containers?.[main]?.ready !== true &&
        hasSideContainers(command)
        ? { _tag: "MainEnded", exit, age: remembered.mainEndedAge, stopAsked }
        : { _tag: "Live", runner: started && holdsRunner(command), stopWanted }
  }
}

/** The job container comes first; each container of a job has an override. */
export const mainContainer = (command: Command) => command.spec?.containerOverrides?.[0]?.name ?? usualMain

export const hasSideContainers = (command: Command): boolean =>
  (command.spec?.containerOverrides?.length ?? 0) > 1

export const runnerCommand = "prefect flow-run execute"

/** Only this command line runs a process that can cancel itself and run the flow's hooks. */
export const holdsRunner = (command: Command): boolean => {
  const main = command.spec?.containerOverrides?.[0]
  return [main?.command ?? "", ...(main?.args ?? [])].join(" ").includes(runnerCommand)
}
