import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Random, Schema } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { json, makeApi } from "../../src/http/api.ts"
import type { ApiError } from "../../src/http/errors.ts"
import {
  answer,
  type Answering,
  apiOf,
  breaking,
  cutOff,
  get,
  inTurn,
  options,
  post,
  refusedConnection,
  reset,
  serving,
  silence,
  stalled
} from "./service.ts"

/** Lets the test's time go on until the effect is over. */
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(fiber)
  })

/** The error of a request that is sent once to a service that answers so. */
const errorOf = (answering: Answering, request = get) =>
  Effect.gen(function* () {
    const api = yield* apiOf(inTurn(answering))
    return yield* inTime(Effect.flip(api.once(request)))
  })

const Item = Schema.Struct({ name: Schema.String })

describe("a repeatable request", () => {
  const passing: ReadonlyArray<readonly [string, Answering]> = [
    ["408", answer(408)],
    ["500", answer(500)],
    ["502", answer(502, "<html>Bad gateway</html>")],
    ["503", answer(503)],
    ["504", answer(504)],
    ["429", answer(429, { message: "slow down" })],
    ["a reset connection", reset],
    ["a refused connection", refusedConnection],
    ["silence", silence],
    ["a body that breaks off", cutOff(200)],
    ["a body that never comes", stalled(200)]
  ]
  for (const [what, answering] of passing) {
    it.effect(`is tried again after ${what}`, () =>
      Effect.gen(function* () {
        const service = inTurn(answering, answering, answer(200, { name: "w" }))
        const api = yield* apiOf(service)
        const seen = yield* inTime(Effect.flatMap(api.repeatable(post), json(Item)))
        expect(seen.value).toEqual({ name: "w" })
        expect(service.asked.map(({ method, path, body }) => ({ method, path, body }))).toEqual(
          Array.from({ length: 3 }, () => ({
            method: "POST",
            path: "/org/acme/workload",
            body: { name: "w" }
          }))
        )
      })
    )
  }

  const lasting: ReadonlyArray<readonly [number, ApiError["_tag"], string]> = [
    [400, "Refused", "no such location"],
    [401, "Unauthorised", "token is not valid"],
    [403, "Forbidden", 'requires permission "readLogs" in org'],
    [404, "NotFound", "it is gone"],
    [409, "Conflict", "already there"],
    [422, "Refused", "not valid"],
    [429, "QuotaReached", "Quota exceeded for workloads"]
  ]
  for (const [status, tag, message] of lasting) {
    it.effect(`is not tried again after ${status} (${message}), which is ${tag} in the service's words`, () =>
      Effect.gen(function* () {
        const service = inTurn(answer(status, { status, message }))
        const api = yield* apiOf(service)
        const error = yield* inTime(Effect.flip(api.repeatable(get)))
        expect(error._tag).toBe(tag)
        expect(error.message).toContain(message)
        expect(error.message).toContain("GET /org/acme")
        expect(service.asked.length).toBe(1)
      })
    )
  }

  it.effect("takes a 429 in plain text that speaks of a quota for one", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(429, "Org quota reached"))
      const api = yield* apiOf(service)
      const error = yield* inTime(Effect.flip(api.repeatable(get)))
      expect(error._tag).toBe("QuotaReached")
      expect(service.asked.length).toBe(1)
    })
  )

  it.effect("is given up after five tries, with the last error", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(500), answer(503, { message: "database is locked" }))
      const api = yield* apiOf(service)
      const error = yield* inTime(Effect.flip(api.repeatable(get)))
      expect(error.message).toBe("Control Plane did not answer GET /org/acme: 503 database is locked")
      expect(service.asked.length).toBe(5)
    })
  )

  it.effect("has more tries where more are allowed, but not of a service that is not there", () =>
    Effect.gen(function* () {
      for (const [service, count] of [
        [inTurn(answer(503)), 8],
        [inTurn(refusedConnection), 5]
      ] as const) {
        const api = yield* apiOf(service, { tries: 8 })
        yield* inTime(Effect.ignore(api.repeatable(post)))
        expect(service.asked.length).toBe(count)
      }
    })
  )

  it.effect("says of a conflict whether an earlier try of it may be the reason", () =>
    Effect.gen(function* () {
      const after = (...answers: ReadonlyArray<Answering>) =>
        Effect.gen(function* () {
          const api = yield* apiOf(inTurn(...answers, answer(409)))
          const error = yield* inTime(Effect.flip(api.repeatable(post)))
          return error._tag === "Conflict" && error.afterDoubt
        })
      expect(yield* after()).toBeUndefined()
      expect(yield* after(refusedConnection, answer(429))).toBeUndefined()
      expect(yield* after(answer(503), refusedConnection)).toBe(true)
      expect(yield* after(reset)).toBe(true)
    })
  )

  it.effect("pauses by chance, under a bound that doubles", () =>
    Effect.gen(function* () {
      const pausesOf = (seed: string) =>
        Effect.gen(function* () {
          const service = inTurn(answer(503))
          const api = yield* apiOf(service)
          yield* inTime(Effect.ignore(api.repeatable(get)))
          return service.asked.slice(1).map(({ at }, nth) => at - service.asked[nth]!.at)
        }).pipe(Random.withSeed(seed))
      const all = yield* Effect.forEach(["a", "b", "c", "d", "e", "f", "g", "h"], pausesOf)
      for (const pauses of all) {
        expect(pauses.length).toBe(4)
        for (const [nth, pause] of pauses.entries()) {
          expect(pause).toBeGreaterThanOrEqual(0)
          expect(pause).toBeLessThanOrEqual(500 * 2 ** nth)
        }
      }
      expect(new Set(all.map(String)).size).toBe(all.length)
      // Later pauses really are longer: their bound is used.
      expect(Math.max(...all.map((pauses) => pauses[3]!))).toBeGreaterThan(1_000)
    })
  )
})

describe("Retry-After", () => {
  const waits = (headers: Readonly<Record<string, string>>, status = 429) =>
    Effect.gen(function* () {
      const service = inTurn(answer(status, "", headers), answer(200, { name: "w" }))
      const api = yield* apiOf(service)
      yield* inTime(api.repeatable(get))
      return service.asked[1]!.at - service.asked[0]!.at
    })

  it.effect("in seconds is waited for at least", () =>
    Effect.gen(function* () {
      const waited = yield* waits({ "retry-after": "7" })
      expect(waited).toBeGreaterThanOrEqual(7_000)
      expect(waited).toBeLessThanOrEqual(9_000)
    })
  )

  it.effect("is honoured on a 503 too", () =>
    Effect.gen(function* () {
      expect(yield* waits({ "retry-after": "11" }, 503)).toBeGreaterThanOrEqual(11_000)
    })
  )

  it.effect("as a date counts by the service's clock, not by ours", () =>
    Effect.gen(function* () {
      const waited = yield* waits({
        date: "Tue, 24 Nov 2026 12:00:00 GMT",
        "retry-after": "Tue, 24 Nov 2026 12:00:09 GMT"
      })
      expect(waited).toBeGreaterThanOrEqual(9_000)
      expect(waited).toBeLessThanOrEqual(11_000)
    })
  )

  it.effect("as a date counts by our clock where the service tells no time", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.parse("2026-11-24T12:00:00Z"))
      const waited = yield* waits({ "retry-after": "Tue, 24 Nov 2026 12:00:05 GMT" })
      expect(waited).toBeGreaterThanOrEqual(5_000)
      expect(waited).toBeLessThanOrEqual(7_000)
    })
  )

  it.effect("that makes no sense, or has passed, is no reason to wait", () =>
    Effect.gen(function* () {
      for (const given of ["soon", "", "-5", "Tue, 24 Nov 2020 12:00:00 GMT"]) {
        const waited = yield* waits({ "retry-after": given, date: "Tue, 24 Nov 2026 12:00:00 GMT" })
        expect(waited).toBeLessThanOrEqual(2_000)
      }
    })
  )

  it.effect("is a pause of all other requests too, for ten seconds at most", () =>
    Effect.gen(function* () {
      for (const [asked, waited] of [
        ["7", 7_000],
        ["3600", 10_000]
      ] as const) {
        const service = inTurn(answer(429, "", { "retry-after": asked }), answer(200, { name: "w" }))
        const api = yield* apiOf(service)
        const both = Effect.all([api.once(get), api.once(get)], { concurrency: 2 })
        const fiber = yield* Effect.forkChild(Effect.andThen(Effect.ignore(api.once(get)), both))
        while (service.asked.length < 3) yield* TestClock.adjust("100 millis")
        yield* Fiber.join(fiber)
        const [first, ...others] = service.asked.map(({ at }) => at)
        for (const at of others) expect(Math.abs(at - first! - waited)).toBeLessThan(200)
      }
    })
  )

  it.effect("longer than twenty seconds is the caller's matter: it is told, and nothing is tried again", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(429, "", { "retry-after": "120" }))
      const api = yield* apiOf(service)
      const error = yield* inTime(Effect.flip(api.repeatable(get)))
      expect(error).toMatchObject({ _tag: "RateLimited", retryAfterMillis: 120_000 })
      expect(service.asked.length).toBe(1)
    })
  )
})

describe("a request sent once", () => {
  const never: ReadonlyArray<readonly [string, Answering]> = [
    ["500", answer(500)],
    ["503 with Retry-After", answer(503, "", { "retry-after": "1" })],
    ["429", answer(429)],
    ["a reset", reset],
    ["a refused connection", refusedConnection],
    ["silence", silence],
    ["a body that breaks off", cutOff(200)]
  ]
  for (const [what, answering] of never) {
    it.effect(`is never sent again after ${what}`, () =>
      Effect.gen(function* () {
        const service = inTurn(answering)
        const api = yield* apiOf(service)
        yield* inTime(Effect.flip(api.once(post)))
        expect(service.asked.length).toBe(1)
      })
    )
  }

  it.effect("tells what may have been done from what surely was not", () =>
    Effect.gen(function* () {
      for (const answering of [
        answer(408),
        answer(500),
        reset,
        silence,
        cutOff(201),
        breaking(new Error("?"))
      ]) {
        expect(yield* errorOf(answering)).toMatchObject({ _tag: "Unavailable", mayHaveHappened: true })
      }
      const code = (value: string) => breaking(Object.assign(new Error("no"), { code: value }))
      for (const answering of [
        refusedConnection,
        code("ENOTFOUND"),
        code("EAI_AGAIN"),
        code("UND_ERR_CONNECT_TIMEOUT"),
        code("CERT_HAS_EXPIRED"),
        code("DEPTH_ZERO_SELF_SIGNED_CERT"),
        breaking(new TypeError("error sending request: client error (Connect): Connection refused"))
      ]) {
        const error = yield* errorOf(answering)
        expect(error).toMatchObject({ _tag: "Unavailable", mayHaveHappened: false })
        expect(error.message).toContain("the connection could not be made")
      }
    })
  )

  it.effect("to an address that is no URL was surely not done", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(200))
      const api = yield* apiOf(service, { baseUrl: "api.cpln.io" })
      const error = yield* Effect.flip(api.once(get))
      expect(error).toMatchObject({ _tag: "Unavailable", mayHaveHappened: false })
      expect(error.message).toContain("not a valid URL")
    })
  )
})

describe("the time limit", () => {
  it.effect("is that of one try, waiting for a turn not counted", () =>
    Effect.gen(function* () {
      const service = serving(() => Effect.delay(answer(200, { name: "w" }), "20 seconds"))
      const api = yield* apiOf(service, { concurrency: 1 })
      const all = yield* Effect.forkChild(
        Effect.all([api.once(get), api.once(get), api.once(get)], { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("61 seconds")
      expect((yield* Fiber.join(all)).length).toBe(3)
    })
  )

  it.effect("names itself in the error, and may be set for one request", () =>
    Effect.gen(function* () {
      const api = yield* apiOf(inTurn(silence))
      const fiber = yield* Effect.forkChild(Effect.flip(api.once(get, { timeout: Duration.seconds(15) })))
      yield* TestClock.adjust("15 seconds")
      expect((yield* Fiber.join(fiber)).message).toContain("no answer within 15s")
    })
  )

  it.effect("holds for the bodies of errors as well", () =>
    Effect.gen(function* () {
      expect(yield* errorOf(stalled(404))).toMatchObject({ _tag: "Unavailable", mayHaveHappened: true })
    })
  )

  it.effect("a request whose turn does not come within its patience is not sent, and says so", () =>
    Effect.gen(function* () {
      const service = inTurn(silence)
      const api = yield* apiOf(service, { concurrency: 1 })
      yield* Effect.forkChild(Effect.ignore(api.once(get)), { startImmediately: true })
      const fiber = yield* Effect.forkChild(Effect.flip(api.once(post, { patience: Duration.seconds(5) })))
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(fiber)
      expect(error).toMatchObject({ _tag: "Unavailable", mayHaveHappened: false })
      expect(error.message).toContain("not sent")
      yield* TestClock.adjust("1 hour")
      expect(service.asked.length).toBe(1)
    })
  )
})

describe("the gate", () => {
  it.effect("holds its place until the whole answer is there", () =>
    Effect.gen(function* () {
      const service = inTurn(stalled(200), answer(200, { name: "w" }))
      const api = yield* apiOf(service, { concurrency: 1 })
      yield* Effect.forkChild(Effect.ignore(api.once(get)), { startImmediately: true })
      const second = yield* Effect.forkChild(api.once(get), { startImmediately: true })
      yield* TestClock.adjust("29 seconds")
      expect(service.asked.length).toBe(1)
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(second)).status).toBe(200)
    })
  )

  it.effect("slows down by half after a 429, whoever met it", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(429), answer(200))
      const api = yield* apiOf(service, { ratePerSecond: 10, concurrency: 1_000 })
      yield* TestClock.adjust(1)
      yield* Effect.ignore(api.once(get))
      yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 50 }, () => api.once(get)),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("4 seconds")
      // One second's worth of the halved rate at once, then 5 a second; and the first one.
      expect(service.asked.length).toBe(1 + 5 + 20)
    })
  )
})

describe("what an error tells", () => {
  const secret = "s3cr3t-value"

  it.effect("is never the request's body, its headers or its query", () =>
    Effect.gen(function* () {
      const request = HttpClientRequest.post(
        `/org/acme/thing?token=${secret}&start=${secret}#${secret}`
      ).pipe(
        HttpClientRequest.bodyJsonUnsafe({ env: secret }),
        HttpClientRequest.setHeaders({ authorization: `Bearer ${secret}`, "x-access": secret })
      )
      const broken = [
        answer(400, { message: "bad" }),
        answer(401),
        answer(403),
        answer(404),
        answer(409),
        answer(429),
        answer(500),
        reset,
        silence,
        // As Node and Deno say it.
        breaking(new TypeError(`Headers.append: "Bearer ${secret}" is an invalid header value.`)),
        breaking(new TypeError(`Failed to parse URL from http://service.test/x?token=${secret}`)),
        breaking(new TypeError(`error sending request for url (http://service.test/x?t=${secret})`)),
        breaking(new TypeError(`something about ${secret}`))
      ]
      for (const answering of broken) {
        const error = yield* errorOf(answering, request)
        expect(error.message).toContain("POST /org/acme/thing")
        expect(JSON.stringify(error) + String(error) + error.message).not.toContain(secret)
      }
    })
  )

  it.effect("is never an address, whatever its query holds", () =>
    Effect.gen(function* () {
      for (const text of [
        `error sending request for url (http://service.test/x?t=${secret})`,
        `WebSocket connection to 'ws://service.test/x?t=${secret}' failed`
      ]) {
        expect((yield* errorOf(breaking(new TypeError(text)))).message).not.toContain(secret)
      }
    })
  )

  it.effect("names a credential with characters that HTTP does not allow", () =>
    Effect.gen(function* () {
      const error = yield* errorOf(breaking(new TypeError(`Header 'Authorization' has invalid value`)))
      expect(error).toMatchObject({ _tag: "Unavailable", mayHaveHappened: false })
      expect(error.message).toContain("look at the credential")
    })
  )

  it.effect("is never the list of a 422, which repeats what was sent", () =>
    Effect.gen(function* () {
      const error = yield* errorOf(
        answer(422, {
          exception_message: "Invalid request received.",
          exception_detail: [{ loc: ["body", "env"], input: secret }],
          request_body: { env: secret }
        })
      )
      expect(error.message).toBe("Control Plane refused GET /org/acme (422): Invalid request received.")
      const listed = yield* errorOf(answer(422, { detail: [{ input: secret }] }))
      expect(listed.message).not.toContain(secret)
    })
  )

  it.effect("is neither a page of HTML nor a text without end", () =>
    Effect.gen(function* () {
      const page = yield* errorOf(answer(502, "<html>nginx</html>"))
      expect(page.message).toBe("Control Plane did not answer GET /org/acme: status 502")
      const long = yield* errorOf(answer(400, { message: "x".repeat(10_000) }))
      expect(long.message.length).toBeLessThan(400)
    })
  )

  it.effect("names where an answer differs from what is known, not what stood there", () =>
    Effect.gen(function* () {
      const api = yield* apiOf(inTurn(answer(200, { name: { hidden: secret } })), { service: "Prefect" })
      const error = yield* Effect.flip(
        Effect.flatMap(api.once(HttpClientRequest.post("/logs/filter?x=1")), json(Item))
      )
      expect(error._tag).toBe("Undecodable")
      expect(error.message).toContain("The answer of Prefect to POST /logs/filter could not be read")
      expect(error.message).toContain("name")
      expect(error.message).not.toContain(secret)
    })
  )

  it.effect("of an answer that is not JSON says just that", () =>
    Effect.gen(function* () {
      const api = yield* apiOf(inTurn(answer(200, `<html>${secret}</html>`)))
      const error = yield* Effect.flip(Effect.flatMap(api.once(get), json(Item)))
      expect(error.message).toBe(
        "The answer of Control Plane to GET /org/acme could not be read: it is text/plain with status 200, not JSON"
      )
    })
  )
})

describe("an answer", () => {
  const asked = (headers: Readonly<Record<string, string>>) =>
    Effect.gen(function* () {
      const api = yield* apiOf(inTurn(answer(200, { name: "w" }, headers)))
      return yield* Effect.flatMap(api.once(get), json(Item))
    })

  it.effect("is as old as its Date header says, whatever our clock shows", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(5)
      const seen = yield* asked({ date: "Tue, 24 Nov 2026 12:00:00 GMT" })
      expect(seen).toEqual({ value: { name: "w" }, at: Date.parse("2026-11-24T12:00:00Z") })
    })
  )

  it.effect("without a Date, or with a senseless one, is taken by our clock", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(5)
      expect((yield* asked({})).at).toBe(5)
      expect((yield* asked({ date: "yesterday" })).at).toBe(5)
    })
  )
})

describe("addresses", () => {
  it.effect(
    "are relative to the base, with or without a slash at its end; a full one is taken as it is",
    () =>
      Effect.gen(function* () {
        const service = inTurn(answer(200))
        const api = yield* apiOf(service, { baseUrl: "http://service.test/api/" })
        yield* api.once(HttpClientRequest.get("/admin/version"))
        yield* api.once(HttpClientRequest.get("https://logs.test/range?query=x"))
        expect(service.asked.map(({ origin, path }) => origin + path)).toEqual([
          "http://service.test/api/admin/version",
          "https://logs.test/range?query=x"
        ])
      })
  )

  it.effect("carry what `prepare` adds, on every try", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(503), answer(200))
      const api = yield* apiOf(service, {
        prepare: (request) => Effect.succeed(HttpClientRequest.setHeader(request, "x-client", "me"))
      })
      yield* inTime(api.repeatable(get))
      expect(service.asked.map(({ headers }) => headers["x-client"])).toEqual(["me", "me"])
      // Nothing about our own tracing goes out.
      expect(Object.keys(service.asked[0]!.headers)).not.toContain("traceparent")
    })
  )
})

describe("a redirect", () => {
  it.effect("307 is followed with method and body", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(307, "", { location: "/elsewhere" }), answer(201, "Created"))
      const api = yield* apiOf(service)
      expect((yield* api.once(post)).status).toBe(201)
      expect(service.asked[1]).toMatchObject({ method: "POST", path: "/elsewhere", body: { name: "w" } })
    })
  )

  it.effect("to another host does not take the credential along", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(307, "", { location: "http://other.test/x" }), answer(200))
      const api = yield* apiOf(service)
      yield* api.once(HttpClientRequest.bearerToken(get, "t"))
      expect(service.asked[0]!.headers["authorization"]).toBe("Bearer t")
      expect(service.asked[1]!.origin).toBe("http://other.test")
      expect(service.asked[1]!.headers["authorization"]).toBeUndefined()
    })
  )

  it.effect("without end is given up after three, as a refusal", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(307, "", { location: "/round" }))
      const api = yield* apiOf(service)
      expect(yield* Effect.flip(api.once(get))).toMatchObject({ _tag: "Refused", status: 307 })
      expect(service.asked.length).toBe(4)
    })
  )

  it.effect("is left to us by the runtime's fetch", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const fetch = (async (_: unknown, init?: RequestInit) => {
        seen.push(init?.redirect)
        return new Response("{}")
      }) as typeof globalThis.fetch
      const api = yield* makeApi(options).pipe(Effect.provide(FetchHttpClient.layer))
      // Also where the caller of the client sets options of its own, as TLS needs it.
      const own = yield* Effect.map(HttpClient.HttpClient, (client) =>
        HttpClient.transform(client, (send) =>
          Effect.provideService(send, FetchHttpClient.RequestInit, { cache: "no-store" })
        )
      ).pipe(Effect.provide(FetchHttpClient.layer))
      const other = yield* makeApi(options).pipe(Effect.provideService(HttpClient.HttpClient, own))
      yield* Effect.all([api.once(get), other.once(get)]).pipe(
        Effect.provideService(FetchHttpClient.Fetch, fetch)
      )
      expect(seen).toEqual(["manual", "manual"])
    })
  )
})
