/**
 * Which lines of one replica were printed already.
 *
 * Invariant: each line passes once and in order of time; several lines of one nanosecond all pass, whatever reads they
 * come in.
 */
import type { LogLine } from "../cpln/logs.ts"

export interface Cursor {
  /** Time of the newest line that passed, in ns; everything before it has passed or will never come. */
  at: bigint
  /** The lines of that very nanosecond. */
  readonly ofThatTime: Set<string>
}

export const cursorFrom = (start: bigint): Cursor => ({ at: start, ofThatTime: new Set() })

/** The lines that have not passed yet, in order; moves the cursor. */
export const fresh = (cursor: Cursor, lines: ReadonlyArray<LogLine>): ReadonlyArray<LogLine> => {
  const passed: Array<LogLine> = []
  for (const line of [...lines].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))) {
    if (line.at < cursor.at) continue
    const key = `${line.labels["container"] ?? ""} ${line.labels["stream"] ?? ""} ${line.line}`
    if (line.at === cursor.at && cursor.ofThatTime.has(key)) continue
    if (line.at > cursor.at) {
      cursor.at = line.at
      cursor.ofThatTime.clear()
    }
    cursor.ofThatTime.add(key)
    passed.push(line)
  }
  return passed
}
