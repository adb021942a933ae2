/**
 * Slugs of names, label keys and label values as Prefect makes them (Python's `python-slugify` over `text-unidecode`).
 *
 * Invariant: names that the reference slugs to one text are slugged to the same text here: labels and names that users
 * search for do not change with the agent.
 */
import unidecode from "unidecode"
import { decodeNamed } from "./html-entities.ts"

/** The longest name: Kubernetes leaves the rest of its 63 characters to a random suffix. */
const longestName = 45
const longestLabel = 63
const longestPrefix = 253

/** At most 45 of `a-z0-9-`, no dash at either end; undefined when nothing is left of the text. */
export const nameSlug = (text: string): string | undefined =>
  slug(text, /[^a-zA-Z0-9-]+/gu, longestName) || undefined

/** Prefix and name are slugged apart, split at the first slash; where nothing is left, the text stays as it is. */
export const labelKeySlug = (key: string): string => {
  const slash = key.indexOf("/")
  const [prefix, name] = slash < 0 ? ["", key] : [key.slice(0, slash), key.slice(slash + 1)]
  const nameSlugged = inLabel(name, /[^a-zA-Z0-9-_.]+/gu, longestLabel)
  return prefix === "" ? nameSlugged : `${inLabel(prefix, /[^a-zA-Z0-9-.]+/gu, longestPrefix)}/${nameSlugged}`
}

/** At most 63 of `a-z0-9-_.`; where nothing is left, the text stays as it is. */
export const labelValueSlug = (value: string): string => inLabel(value, /[^a-zA-Z0-9-_.]+/gu, longestLabel)

const inLabel = (text: string, unwanted: RegExp, longest: number): string =>
  slug(text, unwanted, longest).replaceAll(/^[-_.]+|[-_.]+$/gu, "") || text

const slug = (text: string, unwanted: RegExp, longest: number): string => {
  const latin = transliterate(text.replaceAll(/'+/gu, "-").normalize("NFKD"))
  const words = decodeReferences(latin)
    .normalize("NFKD")
    .toLowerCase()
    .replaceAll("'", "")
    .replaceAll(/(?<=\p{Nd}),(?=\p{Nd})/gu, "")
    .replaceAll(unwanted, "-")
    .replaceAll(/-{2,}/gu, "-")
  return trimDashes(trimDashes(words).slice(0, longest))
}

const trimDashes = (text: string): string => text.replaceAll(/^-+|-+$/gu, "")

const decodeReferences = (text: string): string =>
  decodeNumbers(decodeNumbers(decodeNamed(text), /&#(\d+);/gu, 10), /&#x([\da-fA-F]+);/gu, 16)

/** One number that is no code point leaves all of them as they are, as in Python. */
const decodeNumbers = (text: string, pattern: RegExp, radix: number): string => {
  try {
    return text.replaceAll(pattern, (_, digits: string) =>
      String.fromCodePoint(Number.parseInt(digits, radix))
    )
  } catch {
    return text
  }
}

/**
 * Where the library and Python's `text-unidecode` differ: the characters of these ranges become "[?]" there, so that
 * they part two words.
 */
const unknown: ReadonlyArray<readonly [first: number, last: number]> = [
  [0x02ef, 0x02f3],
  [0x02fb, 0x02fe],
  [0x03f6, 0x03ff],
  [0x06ff, 0x06ff],
  [0x0800, 0x08ff],
  [0x0af0, 0x0af9],
  [0x13f5, 0x13fd],
  [0x1900, 0x1dff],
  [0x1efa, 0x1eff],
  [0x25f4, 0x25f7],
  [0x2900, 0x2dff],
  [0x3400, 0x4cff],
  [0xa500, 0xabff],
  [0xe000, 0xf8ff],
  [0xfdfd, 0xfdfd]
]

const transliterate = (text: string): string => {
  // One character at a time: the library takes pairs such as "ß»" for UTF-8 bytes and leaves them alone.
  let latin = ""
  for (const character of text) latin += transliterated(character.codePointAt(0) ?? 0)
  return latin
}

const transliterated = (code: number): string => {
  if (code < 0x80) return String.fromCharCode(code)
  // Control characters, tone letters, surrogates and all beyond the first plane have no transliteration.
  if (code < 0xa0 || (code >= 0x02e5 && code <= 0x02eb) || code > 0xffff || (code >= 0xd800 && code < 0xe000))
    return ""
  return unknown.some(([first, last]) => code >= first && code <= last)
    ? "[?]"
    : unidecode(String.fromCharCode(code))
}
