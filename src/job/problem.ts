/**
 * What is wrong with a job's definition, in words that its owner can act on.
 *
 * Invariant: no text of a problem holds a value that was read from a block: it may be a secret.
 */
import { Schema } from "effect"

export const Problem = Schema.Struct({
  /** Where: a path into the job configuration or the job manifest, or the name of a variable. Empty: the whole of it. */
  path: Schema.String,
  /** What is wrong; where the Python reference has a text for it that users know, with that text. */
  rule: Schema.String,
  /** What the user can do. */
  remedy: Schema.String
})
export type Problem = typeof Problem.Type

/** For what stands at no one place, and says all in a sentence of its own. */
export const ofTheWhole = (rule: string): Problem => ({ path: "", rule, remedy: "" })

const line = ({ path, rule, remedy }: Problem): string =>
  `${path === "" ? "" : `${path}: `}${sentence(rule)} ${sentence(remedy)}`.trim()

/** What has lines of its own is there to be copied: nothing is added to it. */
const sentence = (text: string): string => (text === "" || /[.!?]$|\n/u.test(text) ? text : `${text}.`)

/** All problems as one text, one a line. */
export const problemText = (problems: ReadonlyArray<Problem>): string =>
  problems.length === 1
    ? problems.map(line).join("")
    : [`${problems.length} problems:`, ...problems.map((each) => `- ${line(each)}`)].join("\n")
