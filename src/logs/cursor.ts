/**
 * Which lines of one job have passed already, stream by stream: a stream is what one container of one replica writes to
 * stdout, or to stderr.
 *
 * Invariant: a line passes once, and the lines of a stream pass in order of time, whatever reads they come in and however
 * far one stream is behind another. Several lines of one nanosecond all pass; equal ones of one nanosecond are one line.
 */
import { Hash } from "effect"
import type { LogLine } from "../cpln/logs.ts"

export interface Cursor {
  /** Nothing older passes of a stream that is not known yet, in ns. */
  floor: bigint
  readonly streams: Map<string, Passed>
}

/** How far one stream has passed. */
interface Passed {
  /** Time of the newest line, in ns; everything before it has passed or will never come. */
  at: bigint
  /** The lines of that very nanosecond, as `markOf` has them. */
  readonly ofThatTime: Set<string>
}

/** A job with more streams than this has lost replicas: the oldest stream is forgotten. */
const mostStreams = 64
/** Lines of one nanosecond that are told apart; what goes beyond passes, twice if it must be. */
const mostOfOneTime = 10_000

export const cursorFrom = (start: bigint): Cursor => ({ floor: start, streams: new Map() })

/** The lines that have not passed yet, in order of time; moves the cursor. Costs as much as there are lines. */
export const fresh = (cursor: Cursor, lines: ReadonlyArray<LogLine>): ReadonlyArray<LogLine> => {
  const passed: Array<LogLine> = []
  let labels: LogLine["labels"] | undefined
  let stream: Passed | undefined
  for (const line of inOrder(lines)) {
    // Lines of one frame share the labels of their stream.
    if (stream === undefined || line.labels !== labels) {
      labels = line.labels
      stream = streamOf(cursor, labels)
    }
    if (line.at < stream.at) continue
    const mark = markOf(line.line)
    if (line.at > stream.at) {
      stream.at = line.at
      stream.ofThatTime.clear()
    } else if (stream.ofThatTime.has(mark)) continue
    if (stream.ofThatTime.size < mostOfOneTime) stream.ofThatTime.add(mark)
    passed.push(line)
  }
  return passed
}

const byTime = (a: LogLine, b: LogLine): number => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)

/** Nearly always they are in order already. The sort keeps the order of lines of one nanosecond. */
const inOrder = (lines: ReadonlyArray<LogLine>): ReadonlyArray<LogLine> =>
  lines.every((line, index) => index === 0 || lines[index - 1]!.at <= line.at)
    ? lines
    : lines.toSorted(byTime)

/** Stands for a text of up to 16 KiB without keeping it. */
const markOf = (text: string): string => `${Hash.string(text)} ${text.length}`

const streamOf = (cursor: Cursor, labels: LogLine["labels"]): Passed => {
  const key = `${labels["replica"] ?? ""} ${labels["container"] ?? ""} ${labels["stream"] ?? ""}`
  const known = cursor.streams.get(key)
  if (known !== undefined) return known
  if (cursor.streams.size >= mostStreams) forgetOldest(cursor)
  const made: Passed = { at: cursor.floor, ofThatTime: new Set() }
  cursor.streams.set(key, made)
  return made
}

/** What the forgotten stream printed must not pass again as that of a new one. */
const forgetOldest = (cursor: Cursor): void => {
  let oldest: readonly [string, Passed] | undefined
  for (const each of cursor.streams) if (oldest === undefined || each[1].at < oldest[1].at) oldest = each
  if (oldest === undefined) return
  cursor.streams.delete(oldest[0])
  if (oldest[1].at >= cursor.floor) cursor.floor = oldest[1].at + 1n
}
