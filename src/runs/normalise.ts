/**
 * Folds the raw commands of one flow run into one small observation of its *current attempt*, and says which other
 * commands must not live.
 *
 * Invariant: a command of an older attempt, or a double of the current one, is only ever stopped; it never decides.
 */
import type { Command, JobExecution } from "../cpln/schemas.ts"
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

/** What names the current attempt of a run. */
export interface CurrentAttempt {
  /** Transition id of the PENDING state, when the run is PENDING. */
  readonly transitionId: string | undefined
  /** Command of a handed-back attempt that the claim message takes over. */
  readonly adopted: string | undefined
}

/** The commands of one run, sorted out: the one that counts, and those that must be stopped if they live. */
export interface Sorted {
  readonly current: Command | undefined
  readonly strays: ReadonlyArray<Command>
}

/** `commands` are those of one run, whatever their attempt and stage. */
export const sortOut = (commands: ReadonlyArray<Command>, attempt: CurrentAttempt): Sorted => {
  const belongs = currentAttempt(commands, attempt)
  const mine = commands.filter(belongs).sort(oldestFirst)
  const current = mine[0]
  return { current, strays: commands.filter((each) => each !== current && !isFinal(each)) }
}

/** Attempts sort by time; commands without the tag (the Python agent's) are the oldest. */
const currentAttempt = (commands: ReadonlyArray<Command>, attempt: CurrentAttempt) => {
  if (attempt.transitionId !== undefined) {
    const { transitionId, adopted } = attempt
    return (each: Command) =>
      each.id === adopted || (tagOf(each, attemptTag)?.endsWith(`_${transitionId}`) ?? false)
  }
  const newest = commands.map((each) => tagOf(each, attemptTag) ?? "").reduce((a, b) => (b > a ? b : a), "")
  return (each: Command) => (tagOf(each, attemptTag) ?? "") === newest
}

const oldestFirst = (a: Command, b: Command) =>
  a.created === b.created ? (a.id < b.id ? -1 : 1) : a.created < b.created ? -1 : 1

/** What the agent remembers of a run between looks; ages in milliseconds. */
export interface Remembered {
  readonly stopAsked: boolean
  readonly failedLooks: number
  readonly mainEndedAge: number
}

/**
 * One command as an observation. `at` is the service's clock when it answered, in ms since 1970; `execution` is the
 * command's entry among the deployment's job executions, when it was read; `started` is whether the run has a start time.
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
  const { stopAsked } = remembered
  switch (command.lifecycleStage) {
    case "completed":
    case "failed":
    case "cancelled":
      return {
        _tag: "Final",
        stage: command.lifecycleStage,
        looks: remembered.failedLooks,
        age: Math.max(0, at - (timeOf(command.lastModified) ?? at)),
        exit,
        stopAsked
      }
    case "pending":
      return { _tag: "Pending", age: Math.max(0, at - (timeOf(command.created) ?? at)), stopAsked }
    case "cancellation-requested":
      return { _tag: "Stopping" }
    default:
      return exit.code !== undefined && hasSideContainers(command)
        ? { _tag: "MainEnded", exit, age: remembered.mainEndedAge }
        : { _tag: "Live", runner: started && holdsRunner(command), stopAsked }
  }
}

/** The job container comes first; each container of a job has an override. */
const mainContainer = (command: Command) => command.spec?.containerOverrides?.[0]?.name ?? "prefect-job"

export const hasSideContainers = (command: Command): boolean =>
  (command.spec?.containerOverrides?.length ?? 0) > 1

/** Only this command line runs a process that can cancel itself and run the flow's hooks. */
const holdsRunner = (command: Command): boolean => {
  const main = command.spec?.containerOverrides?.[0]
  return [main?.command ?? "", ...(main?.args ?? [])].join(" ").includes("prefect flow-run execute")
}
