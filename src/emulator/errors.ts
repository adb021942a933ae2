/**
 * The one failure of the emulator's API: a status and the service's error body.
 *
 * Invariant: `status` of the body repeats the HTTP status, because clients tell errors of the service by its presence.
 */
import { Schema } from "effect"

export class ApiError extends Schema.TaggedError<ApiError>()("ApiError", {
  status: Schema.Int,
  message: Schema.String,
  code: Schema.optionalKey(Schema.String),
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
}) {}

const refusal = (status: number, code: string) => (message: string) => new ApiError({ status, code, message })

export const badRequest = refusal(400, "badRequest")
export const unauthorised = refusal(401, "unauthorized")
export const forbidden = refusal(403, "forbidden")
export const notFound = refusal(404, "notFound")
export const methodNotAllowed = (allowed: ReadonlyArray<string>) => (message: string) =>
  new ApiError({ status: 405, code: "methodNotAllowed", message, headers: { allow: allowed.join(", ") } })
export const conflict = refusal(409, "conflict")
export const tooLarge = refusal(413, "tooLarge")
