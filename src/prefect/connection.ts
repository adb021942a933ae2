/**
 * The way to one Prefect server: credential, headers, TLS and CSRF on every request, and which server it is.
 *
 * Invariant: the credential is added here and nowhere else. The `User-Agent` is our own: a server reads a Prefect
 * version out of one that looks like Prefect's, and then treats the runs that it touches by that version's rules.
 */
import { Effect, Option, Redacted, Ref, Schema, type Scope, Semaphore } from "effect"
import { Base64 } from "effect/encoding"
import { FetchHttpClient, Headers, HttpClient, HttpClientRequest } from "effect/http"
import { type Api, json, makeApi } from "../http/api.ts"
import { type ApiError, Refused, Undecodable } from "../http/errors.ts"
import { type Access, addressHint } from "./access.ts"
import { withCsrf } from "./csrf.ts"
import { parseVersion } from "./lines.ts"
import type { Limits, ServerVersion } from "./prefect.ts"
import { get } from "./requests.ts"

export interface Connection {
  readonly api: Api
  readonly version: Effect.Effect<ServerVersion, ApiError>
}

/** Both lines speak this version of the API. */
const apiVersion = "0.8.4"
const userAgent = "prefect-cpln-agent"

const authorization = ({ authString, apiKey }: Access): Record<string, string> => {
  if (authString !== undefined) {
    return { authorization: `Basic ${Base64.encode(Redacted.value(authString))}` }
  }
  return apiKey === undefined ? {} : { authorization: `Bearer ${Redacted.value(apiKey)}` }
}

const headersOf = (access: Access): Record<string, string> => ({
  accept: "application/json",
  ...authorization(access),
  ...Object.fromEntries(Object.entries(access.headers).map(([name, value]) => [name, Redacted.value(value)])),
  "x-prefect-api-version": apiVersion,
  "user-agent": userAgent
})

/**
 * What `fetch` takes beside the request. The compiled binary's `fetch` knows `tls`; where it is not known it is ignored, so
 * that trust stays strict there, and `NODE_EXTRA_CA_CERTS` adds an authority.
 */
const fetchOptions = ({ tls }: Access): RequestInit & { readonly tls?: object } =>
  !tls.skipVerify && tls.authorities === undefined
    ? {}
    : {
        tls: {
          rejectUnauthorized: !tls.skipVerify,
          ...(tls.authorities === undefined ? {} : { ca: tls.authorities })
        }
      }

/** Names of headers whose values must not show wherever a request is printed. */
const secretHeaders = (access: Access): ReadonlyArray<string> => [
  "prefect-csrf-token",
  ...Object.keys(access.headers)
]

/** `version` is read once, and again after a request that was not answered: the server may have been replaced. */
const versionOf = Effect.fnUntraced(function* (api: Api, url: string) {
  const known = yield* Ref.make<Option.Option<ServerVersion>>(Option.none())
  const one = yield* Semaphore.make(1)

  // A 404 as well: as itself it would be told of whatever the version was read for.
  const notPrefect = ({ detail }: { readonly detail: string }) =>
    Effect.fail(
      new Undecodable({
        service: "Prefect",
        request: "GET /admin/version",
        detail: `${detail}. ${addressHint(url)}`
      })
    )
  const read = api.repeatable(get("/admin/version")).pipe(
    Effect.flatMap(json(Schema.String)),
    Effect.catchTags({
      NotFound: ({ detail }) => notPrefect({ detail: `there is nothing (${detail})` }),
      Undecodable: notPrefect
    }),
    Effect.flatMap(({ value }) =>
      Option.match(parseVersion(value), {
        onNone: () => notPrefect({ detail: "it is no version of Prefect" }),
        onSome: Effect.succeed
      })
    ),
    Effect.tap((version) => Ref.set(known, Option.some(version)))
  )
  const version = Effect.flatMap(Ref.get(known), (held) =>
    Option.isSome(held) ? Effect.succeed(held.value) : read
  )

  return {
    version: one.withPermits(1)(version),
    forget: Ref.set(known, Option.none<ServerVersion>())
  }
})

/** A 422 repeats what was sent, in its short texts too, and that may be a secret: only that it was refused is passed on. */
const unechoed = (error: ApiError): ApiError =>
  error._tag === "Refused" && error.status === 422
    ? new Refused({ ...about(error), status: 422, detail: "it does not take this request as valid" })
    : error

const about = ({ service, request }: ApiError) => ({ service, request })

/** The limits of requests in flight and per second are of this connection: one per process and server. */
export const connect = Effect.fn("Prefect.connect")(function* (
  access: Access,
  limits: Limits
): Effect.fn.Return<Connection, never, HttpClient.HttpClient | Scope.Scope> {
  const headers = headersOf(access)
  const options = fetchOptions(access)
  const client = HttpClient.transform(yield* HttpClient.HttpClient, (send) =>
    send.pipe(
      Effect.provideService(FetchHttpClient.RequestInit, options),
      Effect.updateService(Headers.CurrentRedactedNames, (names) => [...names, ...secretHeaders(access)])
    )
  )
  const plain = yield* makeApi({
    service: "Prefect",
    baseUrl: access.url,
    timeout: access.timeout,
    ...limits,
    prepare: (request) => Effect.succeed(HttpClientRequest.setHeaders(request, headers))
  }).pipe(Effect.provideService(HttpClient.HttpClient, client))

  const { version, forget } = yield* versionOf(plain, access.url)
  const watched = <A>(sent: Effect.Effect<A, ApiError>) =>
    sent.pipe(
      Effect.tapErrorTag("Unavailable", () => forget),
      Effect.mapError(unechoed)
    )
  const api: Api = {
    repeatable: (request, how) => watched(plain.repeatable(request, how)),
    once: (request, how) => watched(plain.once(request, how))
  }
  return { api: access.csrf ? yield* withCsrf(api) : api, version }
})
