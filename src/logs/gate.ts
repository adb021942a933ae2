/**
 * The place where lines of a live session wait until a range read has brought what came before them. One gate belongs to
 * one job and one session.
 *
 * Invariant: a gate is opened only after a range read that began when the session was known to send this job's lines, and
 * only when it holds all that the session has sent since. What does not fit is not lost: it is read again.
 */
import type { LogLine } from "../cpln/logs.ts"

export interface Gate {
  /** The session has sent a line of this job: from then on it sends all of them. */
  seen: boolean
  /** Open: lines pass as they come. */
  joined: boolean
  /** Something did not fit since the last read began. */
  spilled: boolean
  lines: Array<LogLine>
  bytes: number
}

/** Bytes that wait in all gates together. */
export interface Room {
  bytes: number
}

/** Bytes that may wait for one job, and for all. */
const roomOfOne = 256 * 1024
const roomOfAll = 16 * 1024 * 1024
/** What a line costs beside its text, roughly. */
const overhead = 160

export const newGate = (): Gate => ({ seen: false, joined: false, spilled: false, lines: [], bytes: 0 })

/** Puts a line before the gate. */
export const wait = (gate: Gate, room: Room, line: LogLine): void => {
  gate.seen = true
  if (gate.spilled) return
  const bytes = line.line.length * 2 + overhead
  if (gate.bytes + bytes > roomOfOne || room.bytes + bytes > roomOfAll) {
    clear(gate, room)
    gate.spilled = true
    return
  }
  gate.lines.push(line)
  gate.bytes += bytes
  room.bytes += bytes
}

/** Takes away what waits, in the order in which it came. */
export const clear = (gate: Gate, room: Room): ReadonlyArray<LogLine> => {
  const { bytes, lines } = gate
  room.bytes -= bytes
  gate.bytes = 0
  gate.lines = []
  return lines
}
