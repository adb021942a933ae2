/**
 * Whether a workload of ours is used no more: judged from what the platform shows of it. Pure.
 *
 * Invariant: time counts from the last *completion*, by the service's own clock, and never from a start; what is not
 * understood (an unknown stage, an execution without an end) is in use. A workload goes only when an earlier look, whose
 * mark it still carries, had found it just as idle.
 */
import type { Command, JobExecution, Workload } from "../../cpln/schemas.ts"
import { isNameOfPool } from "../../job/workload-name.ts"
import { duration } from "../../observe/duration.ts"
import { isFinal, poolTag } from "../decide/normalise.ts"
import { timeOf } from "../decide/phase.ts"

/**
 * The mark of the first look: when it was, by the platform's clock. It stands on the workload, so that it outlives the
 * agent and every agent that is about to use the workload can take it away.
 */
export const idleTag = "prefect.io/idle-since"

export const isMarked = ({ tags }: Workload): boolean => (tags?.[idleTag] ?? undefined) !== undefined

export interface Evidence {
  readonly workload: Workload
  /** All of them, of any type. */
  readonly commands: ReadonlyArray<Command>
  /** Of every location. */
  readonly executions: ReadonlyArray<JobExecution>
  /** The platform's clock, in ms since 1970. */
  readonly at: number
}

export interface Rules {
  readonly poolId: string
  /** After the last completion, in ms. */
  readonly ttl: number
  /** Between the two looks, in ms. */
  readonly apart: number
}

export type Verdict =
  /** `again` is when it may be different, in ms from now. */
  | { readonly _tag: "Stays"; readonly why: string; readonly again: number }
  /** Idle for long enough at a first look. */
  | { readonly _tag: "Mark"; readonly why: string }
  | { readonly _tag: "Goes"; readonly why: string }

/** Between the two looks: longer than an agent relies on a workload that it saw, and a claim takes to show. In ms. */
export const looksApart = (ttl: number): number => Math.min(120_000, ttl)

/** A change this soon after the time on the mark is the mark's own, in ms. */
const ownWrite = 60_000

/** What only a person changes is looked at again after this long, in ms. */
const wait = 3_600_000

const stays = (why: string, again: number = wait): Verdict => ({ _tag: "Stays", why, again })

export const judge = ({ at, commands, executions, workload }: Evidence, rules: Rules): Verdict => {
  const notOurs = whyNotOurs(workload, rules.poolId)
  if (notOurs !== undefined) return stays(notOurs)
  const busy = busyWith(commands, at, rules.ttl)
  if (busy !== undefined) return busy
  const running = executions.find((each) => isRunning(each, commands))
  if (running !== undefined)
    return stays(`its job execution ${running.name} is ${running.status || "not over"}`)
  const marked = markedAt(workload)
  const changed = latest(workload.created, workload.lastModified)
  // The mark is a change itself, of a workload that was idle for long enough by then.
  const touched = changed !== undefined && (marked === undefined || changed > marked + ownWrite)
  const completed = lastCompletion(commands, executions)
  const since = completed ?? (touched || marked === undefined ? changed : marked - rules.ttl)
  // Without any time nothing is known of its age.
  if (since === undefined) return stays("the platform does not say how old it is")
  const idle = at - since
  const what = completed === undefined ? "never used and unchanged" : "unused"
  if (idle < rules.ttl) return notYet(what, idle, rules.ttl)
  const why = `${what} for ${duration(idle)}`
  // Somebody else may be about to use it.
  if (touched && at - changed < rules.apart) {
    return stays(`${why}, but changed a moment ago`, rules.apart - (at - changed))
  }
  // An older mark is of an idleness that ended meanwhile.
  if (marked === undefined || touched || marked < since + rules.ttl || marked > at)
    return { _tag: "Mark", why }
  const age = at - marked
  return age < rules.apart
    ? stays(`${why}, marked ${duration(age)} ago`, rules.apart - age)
    : { _tag: "Goes", why }
}

const notYet = (what: string, idle: number, ttl: number): Verdict =>
  stays(`${what} for ${duration(Math.max(0, idle))} of ${duration(ttl)}`, ttl - idle)

/** Why these commands, which need not be all, keep their workload; undefined when they do not. */
export const busyWith = (commands: ReadonlyArray<Command>, at: number, ttl: number): Verdict | undefined => {
  const live = commands.find((command) => !isFinal(command))
  if (live !== undefined) return stays(`its command ${live.id} is ${live.lifecycleStage}`, ttl)
  const completed = lastCompletion(commands, [])
  const idle = completed === undefined ? undefined : at - completed
  return idle !== undefined && idle < ttl ? notYet("unused", idle, ttl) : undefined
}

const whyNotOurs = ({ name, spec, tags }: Workload, poolId: string): string | undefined => {
  if (String(tags?.[poolTag]) !== poolId) return `it does not carry the tag ${poolTag}=${poolId}`
  // Somebody's copy carries our tags under another name.
  if (!isNameOfPool(name, poolId)) return "its name is none that an agent of this pool gives"
  if (String(tags?.["cpln/protected"]) === "true") return "it is protected by the tag cpln/protected"
  const options = spec?.["defaultOptions"]
  return typeof options === "object" && options !== null && "suspend" in options && options.suspend === false
    ? "somebody switched its schedule on"
    : undefined
}

const over = new Set(["successful", "failed", "invalid", "removed"])

/** That of a command which is over is over too, whatever it is left at. */
const isRunning = (
  { completionTime, name, status }: JobExecution,
  commands: ReadonlyArray<Command>
): boolean =>
  (completionTime ?? undefined) === undefined &&
  !over.has(status ?? "") &&
  !commands.some((command) => `command-${command.id}` === name && isFinal(command))

const latest = (...times: ReadonlyArray<string | null | undefined>): number | undefined => {
  const known = times.flatMap((each) => timeOf(each) ?? [])
  return known.length === 0 ? undefined : Math.max(...known)
}

/** Undefined when nothing ever ran in it. */
const lastCompletion = (
  commands: ReadonlyArray<Command>,
  executions: ReadonlyArray<JobExecution>
): number | undefined => {
  let last: number | undefined
  for (const time of [
    ...commands.map((command) => timeOf(command.lastModified) ?? timeOf(command.created)),
    ...executions.map((each) => timeOf(each.completionTime) ?? timeOf(each.startTime))
  ]) {
    if (time !== undefined && (last === undefined || time > last)) last = time
  }
  return last
}

const markedAt = ({ tags }: Workload): number | undefined => {
  const value = tags?.[idleTag]
  return typeof value === "string" ? timeOf(value) : undefined
}
