/**
 * The service's rules for single lines: how long they may be, and what is kept of longer ones. Pure.
 *
 * Invariant: a line is cut between characters, never within one.
 */

/** In bytes. */
export const longestLine = 16 * 1024

/** How many of the first `most` bytes make whole characters of UTF-8. */
export const wholeCharacters = (bytes: Uint8Array, most: number): number => {
  if (bytes.length <= most) return bytes.length
  let end = most
  // A byte of the form 10xxxxxx goes on with a character that began before; four bytes are the longest one.
  while (end > most - 4 && end > 0 && (bytes[end]! & 0xc0) === 0x80) end--
  return end
}

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** The line as the service keeps it. `unread` counts bytes that whoever read the line had already let go. */
export const keptOf = (line: string, unread: number): string => {
  // No character takes more than three bytes for each of JavaScript's units.
  if (unread === 0 && line.length * 3 <= longestLine) return line
  const bytes = encoder.encode(line)
  const total = bytes.length + unread
  if (total <= longestLine) return line
  const kept = wholeCharacters(bytes, longestLine)
  return `${decoder.decode(bytes.subarray(0, kept))}... [truncated ${total - kept} bytes]`
}
