/**
 * What a request that got no whole answer failed of, in words that every runtime shares.
 *
 * Invariant: runtimes put addresses with their query, and header values with their secrets, into these messages. So a
 * known reason is told by its code or in our own words, and of any other the addresses and header values are taken out.
 */
import type { HttpClientError } from "effect/http"
import { type ApiError, Unavailable } from "./errors.ts"

interface Thrown {
  readonly message?: unknown
  readonly code?: unknown
  readonly cause?: unknown
}

/** The error and what stands behind it, outermost first: Node's `fetch` says only "fetch failed" itself. */
const chain = (error: unknown): ReadonlyArray<Thrown> => {
  const found: Array<Thrown> = []
  let next = error
  while (typeof next === "object" && next !== null && found.length < 5) {
    found.push(next)
    next = (next as Thrown).cause
  }
  return found
}

/** Codes of what can only happen before a request is sent: no name, no connection, no trust. */
const beforeSending =
  /^(ECONNREFUSED|ConnectionRefused|FailedToOpenSocket|ENOTFOUND|EAI_\w+|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_\w+|ERR_SSL_WRONG_VERSION_NUMBER|CERT_\w+|\w+_CERT|\w+_CERT_\w+|\w+_SIGNATURE)$/u

/** The same in words, where a runtime gives no code. */
const couldNotConnect = /connection refused|client error \(connect\)|dns error|unable to connect/iu

const badHeader = /header|bytestring/iu

export const unanswered = (
  about: Pick<ApiError, "service" | "request">,
  error: HttpClientError.HttpClientError
): Unavailable => {
  const { reason } = error
  if (reason._tag === "InvalidUrlError") {
    return new Unavailable({ ...about, detail: "its address is not a valid URL", mayHaveHappened: false })
  }
  const thrown = chain(reason.cause)
  const code = thrown.map((each) => each.code).findLast((each) => typeof each === "string")
  const text = thrown.map((each) => (typeof each.message === "string" ? each.message : "")).join(": ")
  const shown = code === undefined ? "" : ` (${code})`
  if (beforeSending.test(code ?? "") || couldNotConnect.test(text)) {
    return new Unavailable({
      ...about,
      detail: `the connection could not be made${shown}`,
      mayHaveHappened: false
    })
  }
  if (reason._tag === "TransportError" && code === undefined && badHeader.test(text)) {
    return new Unavailable({
      ...about,
      detail: "a header has characters that HTTP does not allow: look at the credential",
      mayHaveHappened: false
    })
  }
  const words = code === undefined ? scrubbed(text, reason.request.headers) : ""
  return new Unavailable({
    ...about,
    detail: `the connection broke${words === "" ? shown : ` (${words})`}`,
    mayHaveHappened: true
  })
}

const scrubbed = (text: string, headers: Readonly<Record<string, string>>): string => {
  const withoutUrls = text.replace(/\b[a-z]+:\/\/\S+/giu, "…")
  const values = Object.values(headers).flatMap((value) => [value, value.replace(/^\S+ /u, "")])
  const clean = values.reduce(
    (words, value) => (value.length < 4 ? words : words.replaceAll(value, "…")),
    withoutUrls
  )
  return clean.length > 200 ? `${clean.slice(0, 200)}…` : clean
}
