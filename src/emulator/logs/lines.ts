/**
 * The service's rules for single lines: how long they may be, and what is kept of longer ones. Pure.
 *
 * Invariant: a line is cut between characters, never within one.
 */

/** In bytes. */
export const longestLine = 16 * 1024

/** How many of these bytes make whole characters of UTF-8, when their end was cut off anywhere. */
export const wholeCharacters = (bytes: Uint8Array): number => {
  let start = bytes.length - 1
  // A byte of the form 10xxxxxx goes on with a character that began before; four bytes are the longest one.
  while (start > bytes.length - 4 && start > 0 && (bytes[start]! & 0xc0) === 0x80) start--
  const lead = bytes[start] ?? 0
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1
  return start + length > bytes.length ? start : bytes.length
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
  const kept = wholeCharacters(bytes.subarray(0, longestLine))
  return `${decoder.decode(bytes.subarray(0, kept))}... [truncated ${total - kept} bytes]`
}
