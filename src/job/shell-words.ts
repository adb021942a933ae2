/**
 * Splits a command line into its words as a POSIX shell does, without expanding anything (Python's `shlex.split`).
 *
 * Invariant: quotes and backslashes decide where words end and are gone from them; every other character stays.
 */

export type ShellWords = { readonly words: ReadonlyArray<string> } | { readonly problem: string }

export const shellWords = (line: string): ShellWords => {
  const words: Array<string> = []
  /** Undefined between words: an empty word in quotes is a word too. */
  let word: string | undefined
  let quote = ""
  for (let at = 0; at < line.length; at++) {
    const character = line.charAt(at)
    if (quote === "'" ? false : character === "\\") {
      const next = line.charAt(at + 1)
      if (next === "") return { problem: "No escaped character" }
      // Inside double quotes a backslash keeps itself before anything but a quote and a backslash.
      word = (word ?? "") + (quote === '"' && next !== '"' && next !== "\\" ? `\\${next}` : next)
      at++
    } else if (quote !== "") {
      if (character === quote) quote = ""
      else word = (word ?? "") + character
    } else if (character === "'" || character === '"') {
      quote = character
      word ??= ""
    } else if (/[ \t\r\n]/u.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? "") + character
  }
  if (quote !== "") return { problem: "No closing quotation" }
  return { words: word === undefined ? words : [...words, word] }
}
