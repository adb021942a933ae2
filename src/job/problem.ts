/**
 * What is wrong with a job's definition, in words that its owner can act on.
 *
 * Invariant: no text of a problem holds a value that was read from a block: it may be a secret.
 */

export interface Problem {
  /** Where: a path into the job configuration or the job manifest, or the name of a variable. */
  readonly path: string
  /** What is wrong; where the Python reference has a text for it that users know, with that text. */
  readonly rule: string
  /** What the user can do. */
  readonly remedy: string
}

const line = ({ path, rule, remedy }: Problem): string =>
  `${path}: ${sentence(rule)} ${sentence(remedy)}`.trim()

const sentence = (text: string): string => (text === "" || /[.!?]$/u.test(text) ? text : `${text}.`)

/** All problems as one text, one a line. */
export const problemText = (problems: ReadonlyArray<Problem>): string =>
  problems.length === 1
    ? problems.map(line).join("")
    : [`${problems.length} problems:`, ...problems.map((each) => `- ${line(each)}`)].join("\n")
