/**
 * HTML from templates in which every value is escaped. The tag is not called `html`, since formatters move the spaces of
 * such templates about.
 *
 * Invariant: only what a template of this file made is markup; whatever else is put in is text, in an element as in a
 * quoted attribute.
 */

/** Markup. Made by `markup` and `trusted` alone. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type Part = Html | string | number | undefined | ReadonlyArray<Html>

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

const escaped = (text: string): string => text.replaceAll(/[&<>"']/gu, (found) => entities[found]!)

const textOf = (part: Part): string => {
  if (part === undefined) return ""
  if (part instanceof Html) return part.text
  return typeof part === "object" ? part.map(({ text }) => text).join("") : escaped(String(part))
}

export const markup = (strings: TemplateStringsArray, ...parts: ReadonlyArray<Part>): Html =>
  new Html(strings.map((each, index) => each + textOf(parts[index])).join(""))

/** Text of this program that is markup as it stands, such as a style sheet. */
export const trusted = (text: string): Html => new Html(text)
