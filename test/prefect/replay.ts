/**
 * Recorded request and answer pairs of real servers, replayed at the HTTP boundary.
 *
 * A recording is matched on what matters: method, path, and every key of the recorded body that our client decides. Page
 * sizes are left out, and times are compared to the millisecond, which is all that JavaScript sends.
 */
import { readdirSync, readFileSync } from "node:fs"
import type { Access } from "../../src/prefect/access.ts"
import { type Answer, type Asked, serving } from "./server.ts"

export const lines = ["2.20.25", "3.8.8"] as const
export type Line = (typeof lines)[number]

export interface Exchange {
  readonly request: {
    readonly method: string
    readonly path: string
    readonly body: unknown
    readonly headers?: Readonly<Record<string, string>>
  }
  readonly response: { readonly status: number; readonly body: unknown }
}

const folder = (line: Line) => new URL(`../contract/exchanges/${line}/`, import.meta.url)

export const names = (line: Line): ReadonlyArray<string> =>
  readdirSync(folder(line)).map((file) => file.replace(/\.json$/u, ""))

export const exchange = (line: Line, name: string): Exchange =>
  JSON.parse(readFileSync(new URL(`${name}.json`, folder(line)), "utf8")) as Exchange

/** A server that answers one request after the other as recorded, then the last answer for ever. */
export const replaying = (exchanges: ReadonlyArray<Exchange>, how: Partial<Access> = {}) => {
  let next = 0
  return serving((): Answer => exchanges[Math.min(next++, exchanges.length - 1)]!.response, how)
}

/** Paging is ours alone; a queue's priority is a person's choice. */
const besides = new Set(["limit", "offset", "sort", "priority"])
const times = new Set(["scheduled_before", "timestamp"])

/** A body reduced to what matters. */
const reduced = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reduced)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !besides.has(key))
      .map(([key, each]) => [key, times.has(key) ? Date.parse(String(each)) : reduced(each)])
  )
}

export const whatMatters = ({ method, path, body }: Asked | Exchange["request"]) => ({
  method,
  path,
  body: reduced(body ?? null)
})
