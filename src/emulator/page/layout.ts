/** What all pages of the emulator share: head, style, and the small parts that their tables are made of. */
import type { Answer } from "../answer.ts"
import { markup, type Html, type Part, trusted } from "./html.ts"

/** Nothing is fetched from anywhere, and nothing runs. */
const policy =
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

const style = trusted(`
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --good: #1a7f37; --bad: #cf222e; --busy: #0969da; --wait: #9a6700 }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #f85149; --busy: #58a6ff; --wait: #d29922 } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem 1.5rem 4rem }
h1 { font-size: 1.35rem; margin: .5rem 0 } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
a { color: var(--busy); text-decoration: none } a:hover { text-decoration: underline }
table { border-collapse: collapse; width: 100%; font-size: .92rem } .wide { overflow-x: auto }
th { text-align: left; font-weight: 600; opacity: .7 } th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
code, pre, .mono { font: .86rem/1.45 ui-monospace, monospace } pre { background: var(--soft); padding: .8rem; border-radius: 6px; overflow-x: auto; margin: 0 }
.log { white-space: pre-wrap; overflow-wrap: anywhere } .log span { opacity: .55; user-select: none } .log b { font-weight: normal; color: var(--bad) }
.stage { font-weight: 600 } .good { color: var(--good) } .bad { color: var(--bad) } .busy { color: var(--busy) } .wait { color: var(--wait) }
.none { opacity: .6 } footer { margin-top: 3rem; opacity: .6; font-size: .85rem } input, button { font: inherit; padding: .3rem .6rem }
`)

/** Seconds until a page is read again. */
const refresh = 5

export interface Page {
  readonly title: string
  readonly body: Html
  readonly status?: number
  readonly isStill?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

export const pageAnswer = ({ title, body, status = 200, isStill = false, headers = {} }: Page): Answer => ({
  status,
  text: markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        ${isStill ? undefined : markup`<meta http-equiv="refresh" content="${refresh}" />`}
        <title>${title}</title>
        <style>
          ${style}
        </style>
      </head>
      <body>
        ${body}
      </body>
    </html>`.text,
  headers: {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": policy,
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...headers
  }
})

export const table = (heads: ReadonlyArray<string>, rows: ReadonlyArray<Html>, nothing: string): Html =>
  rows.length === 0
    ? markup`<p class="none">${nothing}</p>`
    : markup`<div class="wide">
        <table>
          <thead>
            <tr>
              ${heads.map((head) => markup`<th>${head}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${rows}
          </tbody>
        </table>
      </div>`

export const row = (...cells: ReadonlyArray<Part>): Html =>
  markup`<tr>
    ${cells.map((cell) => markup`<td>${cell}</td>`)}
  </tr>`

const looks: Readonly<Record<string, string>> = {
  completed: "good",
  ready: "good",
  failed: "bad",
  cancelled: "bad",
  "not ready": "wait",
  pending: "wait",
  "cancellation-requested": "wait",
  running: "busy"
}

/** A word that says how something is, in its colour. */
export const state = (word: string): Html =>
  markup`<span class="stage ${looks[word] ?? "none"}">${word}</span>`

/** Of a moment, in UTC: the time, with the date for whoever points at it. */
export const moment = (milliseconds: number | undefined): Html | undefined => {
  if (milliseconds === undefined) return undefined
  const [date, time] = new Date(milliseconds).toISOString().split("T")
  return markup`<span class="mono" title="${date}">${time?.slice(0, 8)}</span>`
}
