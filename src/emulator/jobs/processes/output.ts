/**
 * Cuts the bytes that a process writes into lines.
 *
 * Invariant: a line is the same whatever chunks its bytes came in, characters of several bytes included; of a line that
 * does not end no more is held than the log service keeps.
 */
import { longestLine, wholeCharacters } from "../../logs/lines.ts"

/** `unread` counts bytes at the end of the line that were let go. */
export type OnLine = (line: string, unread: number) => void

const newline = 10

export interface LineCutter {
  readonly push: (bytes: Uint8Array) => void
  /** The output has ended; what was begun is a line too. */
  readonly end: () => void
}

export const makeLineCutter = (onLine: OnLine): LineCutter => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  let held: Array<Uint8Array> = []
  let heldBytes = 0
  let unread = 0

  const hold = (bytes: Uint8Array): void => {
    const room = longestLine - heldBytes
    // The last character may be cut here, when its end is in a later chunk; `flush` sees to that.
    const kept = bytes.subarray(0, room)
    if (kept.length > 0) held.push(kept.slice())
    heldBytes += kept.length
    unread += bytes.length - kept.length
  }

  const joined = (): Uint8Array => {
    if (held.length === 1) return held[0]!
    const all = new Uint8Array(heldBytes)
    let at = 0
    for (const each of held) {
      all.set(each, at)
      at += each.length
    }
    return all
  }

  const flush = (): void => {
    const bytes = joined()
    const whole = unread === 0 ? bytes.length : wholeCharacters(bytes)
    onLine(decoder.decode(bytes.subarray(0, whole)), unread + bytes.length - whole)
    held = []
    heldBytes = 0
    unread = 0
  }

  return {
    push: (bytes) => {
      let from = 0
      for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, from)) {
        const piece = bytes.subarray(from, end)
        from = end + 1
        if (heldBytes === 0 && unread === 0 && piece.length <= longestLine) {
          onLine(decoder.decode(piece), 0)
        } else {
          hold(piece)
          flush()
        }
      }
      if (from < bytes.length) hold(bytes.subarray(from))
    },
    end: () => {
      if (heldBytes > 0 || unread > 0) flush()
    }
  }
}
