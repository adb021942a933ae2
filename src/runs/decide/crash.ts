/**
 * What a person reads when the agent had to end a run as CRASHED: what happened, where, what kind of trouble it is, what
 * to do, and what the job said last.
 *
 * Invariant: the text is bounded, whatever a job printed.
 */
import { advice, type Category } from "./diagnose.ts"

export interface Crash {
  /** The decision's reason, with the exit code or the platform's word where there is one. */
  readonly why: string
  readonly workload: string | undefined
  readonly command: string | undefined
  readonly category: Category
  /** Last lines of the job's output, oldest first. */
  readonly lines: ReadonlyArray<string>
}

/** Lines in the state's message; the run's log gets all that are given. */
const linesInMessage = 5
const longestLine = 300

export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

const cut = (line: string): string => (line.length > longestLine ? `${line.slice(0, longestLine)}…` : line)

/** "(workload …, command …)", as far as it is known. */
export const whereOf = ({
  workload,
  command
}: {
  readonly workload?: string | undefined
  readonly command?: string | undefined
}): string =>
  workload === undefined
    ? ""
    : ` (workload ${workload}${command === undefined ? "" : `, command ${command}`})`

const head = (crash: Crash): string => `${sentence(crash.why)}${whereOf(crash)}. ${advice(crash.category)}`

/** Of the CRASHED state. */
export const crashMessage = (crash: Crash): string =>
  [
    head(crash),
    ...(crash.lines.length === 0
      ? []
      : ["Last lines of the job:", ...crash.lines.slice(-linesInMessage).map(cut)])
  ].join("\n")

/** For the run's log. */
export const crashLog = (crash: Crash): string =>
  [
    head(crash),
    ...(crash.lines.length === 0 ? [] : ["Last lines of the job:", ...crash.lines.map(cut)])
  ].join("\n")
