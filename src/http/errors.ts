/**
 * What can go wrong between us and either service, one error for each thing that a caller does differently.
 *
 * Invariant: no error of this file carries a request body, a header or a query string, so that none can leak a secret:
 * Prefect echoes whole requests in its 422 answers.
 */
import { Schema } from "effect"

export const ServiceName = Schema.Literals(["Prefect", "Control Plane"])
export type ServiceName = typeof ServiceName.Type

/** Every error names the service and the request as `METHOD /path`, without its query string. */
const about = { service: ServiceName, request: Schema.String }

/**
 * No answer, a broken one, or 408/5xx. `mayHaveHappened` is false only when the request surely never arrived.
 * `retryAfterMillis` is what the service asked for, when it did.
 */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  ...about,
  detail: Schema.String,
  mayHaveHappened: Schema.Boolean,
  retryAfterMillis: Schema.optionalKey(Schema.Number)
}) {
  override get message() {
    return `${this.service} did not answer ${this.request}: ${this.detail}`
  }
}

/** 429 that means "slow down". `retryAfterMillis` is what the service asked for, when it did. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  ...about,
  retryAfterMillis: Schema.optionalKey(Schema.Number)
}) {
  override get message() {
    return `${this.service} asks to slow down (429 on ${this.request})`
  }
}

/** 429 whose text names a quota: repeating it is of no use. */
export class QuotaReached extends Schema.TaggedError<QuotaReached>()("QuotaReached", {
  ...about,
  detail: Schema.String
}) {
  override get message() {
    return `${this.service} refused ${this.request}, a quota is reached: ${this.detail}`
  }
}

/** 401: the credential is not accepted. */
export class Unauthorised extends Schema.TaggedError<Unauthorised>()("Unauthorised", {
  ...about,
  detail: Schema.String
}) {
  override get message() {
    return `${this.service} does not accept the credential (401 on ${this.request}): ${this.detail}`
  }
}

/** 403: the credential is known but may not do this. */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", {
  ...about,
  detail: Schema.String
}) {
  override get message() {
    return `${this.service} forbids ${this.request} (403): ${this.detail}`
  }
}

/** 404: the object does not exist. */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {
  ...about,
  detail: Schema.String
}) {
  override get message() {
    return `Got 404 from ${this.service} on ${this.request}: ${this.detail}`
  }
}

/**
 * 409: it exists already, or was changed by somebody else in between. `afterDoubt`: an earlier try of the same call got no
 * clear answer, so that the other may be oneself.
 */
export class Conflict extends Schema.TaggedError<Conflict>()("Conflict", {
  ...about,
  detail: Schema.String,
  afterDoubt: Schema.optionalKey(Schema.Boolean)
}) {
  override get message() {
    return `${this.service} reports a conflict on ${this.request} (409): ${this.detail}`
  }
}

/** Any other 4xx: the request itself is wrong, and will be wrong again. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  ...about,
  status: Schema.Int,
  detail: Schema.String
}) {
  override get message() {
    return `${this.service} refused ${this.request} (${this.status}): ${this.detail}`
  }
}

/** A success whose body is not what the service is known to send. */
export class Undecodable extends Schema.TaggedError<Undecodable>()("Undecodable", {
  ...about,
  detail: Schema.String
}) {
  override get message() {
    return `The answer of ${this.service} to ${this.request} could not be read: ${this.detail}`
  }
}

export type ApiError =
  | Unavailable
  | RateLimited
  | QuotaReached
  | Unauthorised
  | Forbidden
  | NotFound
  | Conflict
  | Refused
  | Undecodable

/** True for what may pass by itself; false for what stays wrong until somebody changes something. */
export const isTransient = (error: { readonly _tag: string }): boolean =>
  error._tag === "Unavailable" || error._tag === "RateLimited" || error._tag === "Undecodable"
