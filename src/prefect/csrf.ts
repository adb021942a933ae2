/**
 * The CSRF token of a server that wants one. Reads need none; every other method does, read-like POSTs included.
 *
 * Invariant: one client id per process and one token at a time, because fetching a token kills the id's previous one. A 403
 * of this kind means that nothing was done, so the request goes out again, once, with a fresh token.
 */
import { Clock, DateTime, Effect, Option, Random, Ref, Schema, Semaphore } from "effect"
import { HttpClientRequest } from "effect/http"
import { type Api, json } from "../http/api.ts"
import type { ApiError, Forbidden } from "../http/errors.ts"
import { get, path } from "./requests.ts"

/** `until` is in milliseconds since 1970 on our clock. Compared by identity: a fetch always makes a new one. */
type Protection =
  | { readonly wanted: true; readonly token: string; readonly until: number }
  | { readonly wanted: false }

const Token = Schema.Struct({ token: Schema.String, expiration: Schema.String })

/** "Missing CSRF token.", "Invalid CSRF token or client identifier.", "Missing client identifier." */
const isAboutCsrf = (error: Forbidden): boolean => /csrf|client identifier/iu.test(error.detail)

/** Of a token's lifetime: a request that then waits in its lane still arrives with a live token. */
const usableShare = 0.9

const clientId = Effect.gen(function* () {
  const parts: Array<string> = []
  for (let i = 0; i < 4; i++) {
    parts.push((yield* Random.nextIntBetween(0, 2 ** 32)).toString(16).padStart(8, "0"))
  }
  return `cpln-agent-${parts.join("")}`
})

/** The same API, its writes carrying the token that the server wants. Asks for one before the first write. */
export const withCsrf = Effect.fnUntraced(function* (api: Api): Effect.fn.Return<Api> {
  const client = yield* clientId
  const held = yield* Ref.make<Option.Option<Protection>>(Option.none())
  const one = yield* Semaphore.make(1)

  const fetchToken: Effect.Effect<Protection, ApiError> = api
    .repeatable(get(path`/csrf-token?client=${client}`))
    .pipe(
      Effect.flatMap(json(Token)),
      Effect.flatMap(({ value, at }) =>
        Effect.map(Clock.currentTimeMillis, (now): Protection => {
          const expires = Option.map(DateTime.make(value.expiration), DateTime.toEpochMillis)
          // An unreadable expiry is left to the server to enforce.
          const lifetime = Option.match(expires, { onNone: () => Infinity, onSome: (end) => end - at })
          return { wanted: true, token: value.token, until: now + lifetime * usableShare }
        })
      ),
      // 404: a server from before CSRF. 422: switched off.
      Effect.catchTag("NotFound", () => Effect.succeed<Protection>({ wanted: false })),
      Effect.catchTag("Refused", (error) =>
        error.status === 422 ? Effect.succeed<Protection>({ wanted: false }) : Effect.fail(error)
      )
    )

  /** What is held, unless it is `refused` or has run out; whoever comes second takes what the first one fetched. */
  const protection = Effect.fnUntraced(function* (refused: Protection | undefined) {
    const now = yield* Clock.currentTimeMillis
    const current = yield* Ref.get(held)
    if (Option.isSome(current) && current.value !== refused) {
      if (!current.value.wanted || now < current.value.until) return current.value
    }
    const fresh = yield* fetchToken
    yield* Ref.set(held, Option.some(fresh))
    return fresh
  }, one.withPermits(1))

  const signed = (request: HttpClientRequest.HttpClientRequest, by: Protection) =>
    by.wanted
      ? HttpClientRequest.setHeaders(request, {
          "prefect-csrf-token": by.token,
          "prefect-csrf-client": client
        })
      : request

  const guarded =
    (send: Api["once"]): Api["once"] =>
    (request, how) =>
      request.method === "GET"
        ? send(request, how)
        : Effect.flatMap(protection(undefined), (first) =>
            send(signed(request, first), how).pipe(
              Effect.catchTag("Forbidden", (error) =>
                isAboutCsrf(error)
                  ? Effect.flatMap(protection(first), (second) => send(signed(request, second), how))
                  : Effect.fail(error)
              )
            )
          )

  return { repeatable: guarded(api.repeatable), once: guarded(api.once) }
})
