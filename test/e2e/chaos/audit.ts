/**
 * Judges what became of flow runs under trouble, from the records of both services alone.
 *
 * Invariant: nothing that an agent printed or believes is read, and no code of `src/` is used. A state that an agent wrote
 * is known by its transition id, which is derived (version 5), or by the words of its claim.
 */
import type { Command, JobExecution } from "../../../scripts/local/control-plane.ts"
import { type FlowRun, isFinal, type State } from "../../../scripts/local/prefect-server.ts"

export interface Recorded {
  readonly run: FlowRun
  /** Oldest first. */
  readonly states: ReadonlyArray<State>
  readonly commands: ReadonlyArray<Command>
  readonly executions: ReadonlyMap<string, JobExecution>
}

/** What the agents were told, and how long trouble lasted; in ms. */
export interface Terms {
  /** Two commands of one run may live at once for this long: until the second claimant has seen the first. */
  readonly settle: number
  /** A job may outlive its run by the linger, the platform's own grace, and the longest time in which nobody could act. */
  readonly linger: number
}

export interface Violation {
  readonly promise: string
  readonly run: string
  readonly seen: string
}

const over = ["completed", "failed", "cancelled"]
const ends = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
const at = (text: string) => Date.parse(text)
/** The services' clocks are one clock here, but a state is stamped before it is stored. In ms. */
const blur = 1_000

const isEnd = ({ name, type }: State) => ends.includes(type) && name !== "Cancelling"
const isCancel = ({ name, type }: State) => type === "CANCELLING" || name === "Cancelling"
const byAgent = ({ message, state_details: { transition_id: id } }: State) =>
  id?.[14] === "5" || /^(?:Claimed|Handed back) by /u.test(message ?? "")
const shown = (state: State | undefined) =>
  state === undefined ? "none" : `${state.timestamp} ${state.name} "${state.message ?? ""}"`

/**
 * A state is stamped before it is stored, and a busy database makes it wait. Nothing but CANCELLED follows a cancel, so any
 * other end was there before it.
 */
const inOrder = (states: ReadonlyArray<State>): ReadonlyArray<State> => {
  const sorted = [...states]
  for (const [index, state] of sorted.entries()) {
    const before = sorted[index - 1]
    if (before === undefined || !isCancel(before) || !isEnd(state) || state.type === "CANCELLED") continue
    sorted[index - 1] = state
    sorted[index] = before
  }
  return sorted
}

export const audit = (record: Recorded, terms: Terms): ReadonlyArray<Violation> => {
  const { commands, executions, run } = record
  const states = inOrder(record.states)
  const found: Array<Violation> = []
  const must = (holds: boolean, promise: string, seen: () => string) => {
    if (!holds) found.push({ promise, run: run.id, seen: seen() })
  }
  const sorted = [...commands].sort((a, b) => at(a.created) - at(b.created))
  const live = sorted.filter(({ lifecycleStage }) => !over.includes(lifecycleStage))
  const asked = states.findLastIndex(isCancel)
  /** A cancel by force opens also what was over: then what counts begins anew. */
  const since = states.slice(asked + 1)

  must(isFinal(run), "every run is terminal", () => shown(states.at(-1)))
  must(live.length === 0, "no job is left", () => live.map(({ id }) => id).join(", "))
  if (!isFinal(run)) return found

  const [, , , named] = run.infrastructure_pid?.split(":") ?? []
  const newest = sorted.map(attemptOf).sort().at(-1)
  // A claim that adopts a job takes it over as it is.
  const adopted = states.map(({ message }) => / \| adopts (\S+)$/u.exec(message ?? "")?.[1])
  must(
    named === undefined ||
      adopted.includes(named) ||
      sorted.some((command) => command.id === named && attemptOf(command) === newest),
    "the PID names a command of the newest attempt",
    () => `${run.infrastructure_pid}; ${sorted.map((each) => `${each.id} of ${attemptOf(each)}`).join(", ")}`
  )

  let ended: State | undefined
  for (const state of states) {
    const before = ended
    if (isCancel(state)) ended = undefined
    else if (before === undefined) ended = isEnd(state) ? state : undefined
    else
      must(
        !byAgent(state) || state.type === before.type,
        "no agent changes a terminal state",
        () => `${shown(before)} then ${shown(state)}`
      )
  }

  const engines = since.filter((state) => isEnd(state) && !byAgent(state)).at(-1)
  must(
    engines === undefined || engines.type === run.state_type,
    "the end is what was reported last by who is no agent",
    () => `${shown(engines)} and ${run.state_type}`
  )
  if (engines === undefined) {
    const completed = sorted.some(({ lifecycleStage }) => lifecycleStage === "completed")
    const exits = sorted.map(({ id }) => exitOf(executions.get(id)))
    must(
      run.state_type !== "COMPLETED" || completed,
      "without a report COMPLETED needs a job that completed",
      () => sorted.map(({ lifecycleStage }, index) => `${lifecycleStage} ${exits[index]}`).join(", ")
    )
    must(
      run.state_type !== "CANCELLED" ||
        asked >= 0 ||
        sorted.some(({ lifecycleStage }) => lifecycleStage === "cancelled"),
      "CANCELLED needs somebody who cancelled",
      () => states.map(shown).join(", ")
    )
    must(run.state_type !== "FAILED", "FAILED is the engine's word alone", () => shown(run.state))
  }

  const last = since.find(isEnd)
  if (last?.type === "CANCELLED" && byAgent(last)) {
    // A command that is corrected is modified after its job was over.
    const overAt = ({ id, lastModified }: Command) => at(executions.get(id)?.completionTime ?? lastModified)
    const later = sorted.filter((each) => overAt(each) > at(last.timestamp) + blur)
    must(
      later.length === 0,
      "CANCELLED is written when the job is over",
      () =>
        `${shown(last)}; ${later.map(({ id, lastModified }) => `${id} over at ${lastModified}`).join(", ")}`
    )
  }
  const end = states.find(isEnd)
  for (const [index, command] of sorted.entries()) {
    const next = sorted[index + 1]
    const both = next === undefined ? 0 : at(command.lastModified) - at(next.created)
    must(
      both <= terms.settle,
      "one command lives at a time",
      () => `${command.id} and ${next?.id} for ${both} ms`
    )
    const outlived = end === undefined ? 0 : at(command.lastModified) - at(end.timestamp)
    must(outlived <= terms.linger, "no job outlives its run", () => `${command.id} by ${outlived} ms`)
  }
  return found
}

/** Attempts sort by time. */
const attemptOf = ({ tags }: Command) => tags?.["prefect.io/attempt"] ?? ""

const exitOf = (execution: JobExecution | undefined) =>
  Object.values(execution?.containers ?? {}).find(({ restarts }) => restarts?.exitCode !== undefined)
    ?.restarts?.exitCode

/** Whatever of the texts holds one of the secrets, as far as the first of them and without it. */
export const leaks = (texts: ReadonlyArray<string>, secrets: ReadonlyArray<string>): ReadonlyArray<string> =>
  texts.flatMap((text) => {
    const found = secrets.filter((secret) => text.includes(secret)).map((secret) => text.indexOf(secret))
    return found.length === 0 ? [] : [`${text.slice(0, Math.min(...found))}…`]
  })

/** How many ended in which state, for the report. */
export const tally = (records: ReadonlyArray<Recorded>): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const { run } of records) counts[run.state_type] = (counts[run.state_type] ?? 0) + 1
  return counts
}
