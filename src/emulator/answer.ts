/**
 * What comes in and what goes out, apart from HTTP itself.
 *
 * Invariant: a handler sees a body that was read as JSON and is well-behaved, and answers with a value; only the server
 * knows sockets.
 */
import type { Effect } from "effect"
import type { Principal } from "./auth.ts"
import type { ApiError } from "./errors.ts"
import { object, type Json } from "./json.ts"

export interface Ask {
  readonly method: string
  /** As it was asked for, without the query. */
  readonly path: string
  /** The named parts of the route's pattern, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly body: Json | undefined
  readonly principal: Principal
  /** Only the pages look at it. */
  readonly cookie?: string | undefined
}

export interface Answer {
  readonly status: number
  readonly json?: Json
  /** Sent as it is, when there is no `json`. */
  readonly text?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The connection breaks: instead of the answer, or in its middle. */
  readonly cut?: "dropped" | "truncated"
}

export type Handler = (ask: Ask) => Effect.Effect<Answer, ApiError>

export const ok = (json: Json): Answer => ({ status: 200, json })

/** The text is what the service says; the new object is only found by the header. */
export const created = (location: string): Answer => ({ status: 201, text: "Created", headers: { location } })

/** Deleting goes on after the answer, which is empty. */
export const accepted: Answer = { status: 202 }

export const failure = ({ status, message, code, headers }: ApiError, id: string): Answer => ({
  status,
  json: object({ status, message, code, details: {}, id }),
  ...(headers === undefined ? {} : { headers })
})
