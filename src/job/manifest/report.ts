/**
 * What the conversion of one manifest has to say: problems that refuse it, and warnings that a person should read.
 *
 * Invariant: every field of a manifest is translated, warned about or refused; nothing is dropped without a word.
 */

import type { Problem } from "../problem.ts"

export class Report {
  readonly problems: Array<Problem> = []
  readonly #warnings: Array<string> = []
  readonly #ignored = new Map<string, Array<string>>()

  /** `rule` says what is not allowed, `remedy` what to write instead; both are sentences. */
  refuse(path: string, rule: string, remedy: string): void {
    this.problems.push({ path, rule, remedy })
  }

  /** Something was translated, but not into quite the same. */
  warn(path: string, text: string): void {
    this.#warnings.push(`${path}: ${text}`)
  }

  /** A field has no effect; fields with one reason share a line. */
  ignore(path: string, reason: string): void {
    const paths = this.#ignored.get(reason)
    if (paths === undefined) this.#ignored.set(reason, [path])
    else paths.push(path)
  }

  get warnings(): ReadonlyArray<string> {
    return [
      ...this.#warnings,
      ...[...this.#ignored].map(([reason, paths]) => `Ignored, ${reason}: ${shortened(paths)}`)
    ]
  }
}

const mostNamed = 12

const shortened = (paths: ReadonlyArray<string>): string =>
  paths.length <= mostNamed
    ? paths.join(", ")
    : `${paths.slice(0, mostNamed).join(", ")} and ${paths.length - mostNamed} more`
