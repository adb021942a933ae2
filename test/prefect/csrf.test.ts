import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Prefect } from "../../src/prefect/prefect.ts"
import { type Answer, type Asked, serving } from "./server.ts"

const heartbeat = Prefect.use((prefect) => prefect.heartbeat("cpln", "w", 30))
const tokenPath = /^\/api\/csrf-token\?client=/u

/** A server that keeps tokens as Prefect does: one per client id, and a new one kills the one before. */
const protectedServer = (settings: { readonly lifetimeSeconds?: number } = {}) => {
  const tokens = new Map<string, string>()
  const state = { on: true, issued: 0 }
  const answer = (asked: Asked): Answer => {
    if (tokenPath.test(asked.path)) {
      if (!state.on) return { status: 422, body: { detail: "CSRF protection is disabled." } }
      const client = asked.path.split("=")[1]!
      const token = `token-${++state.issued}`
      tokens.set(client, token)
      const end = Date.parse("2026-11-24T12:00:00Z") + (settings.lifetimeSeconds ?? 3600) * 1000
      return { status: 200, body: { token, client, expiration: new Date(end).toISOString() } }
    }
    if (!state.on || asked.method === "GET") return { status: 204 }
    const token = asked.headers["prefect-csrf-token"]
    const client = asked.headers["prefect-csrf-client"]
    if (token === undefined) return { status: 403, body: { detail: "Missing CSRF token." } }
    return tokens.get(client ?? "") === token
      ? { status: 204 }
      : { status: 403, body: { detail: "Invalid CSRF token or client identifier." } }
  }
  return { ...serving(answer, { csrf: true }), state, tokens }
}

const tokensAsked = (asked: ReadonlyArray<Asked>) => asked.filter((each) => tokenPath.test(each.path))
const statuses = (asked: ReadonlyArray<Asked>) =>
  asked.map((each) => `${each.method} ${each.path.split("?")[0]}`)

describe("CSRF", () => {
  it.effect("asks for one token before the first write, and for none before reads", () => {
    const server = protectedServer()
    return Effect.gen(function* () {
      yield* Effect.ignore(Prefect.use((prefect) => prefect.readRun("r")))
      expect(tokensAsked(server.asked)).toHaveLength(0)
      yield* Effect.all([heartbeat, heartbeat, heartbeat], { concurrency: "unbounded" })
      expect(tokensAsked(server.asked)).toHaveLength(1)
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("renews a token before it runs out, under the same client id", () => {
    const server = protectedServer({ lifetimeSeconds: 600 })
    return Effect.gen(function* () {
      yield* heartbeat
      yield* TestClock.adjust("8 minutes")
      yield* heartbeat
      expect(server.state.issued).toBe(1)
      yield* TestClock.adjust("2 minutes")
      yield* heartbeat
      expect(server.state.issued).toBe(2)
      expect(server.tokens.size).toBe(1)
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("gets a new token and goes on when the server no longer knows the old one", () => {
    const server = protectedServer()
    return Effect.gen(function* () {
      yield* heartbeat
      server.tokens.clear()
      yield* Effect.all([heartbeat, heartbeat, heartbeat], { concurrency: "unbounded" })
      expect(server.state.issued).toBe(2)
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("stops asking where it is switched off, and starts when it is switched on later", () => {
    const server = protectedServer()
    server.state.on = false
    return Effect.gen(function* () {
      yield* heartbeat
      yield* heartbeat
      expect(tokensAsked(server.asked)).toHaveLength(1)
      server.state.on = true
      yield* heartbeat
      expect(server.state.issued).toBe(1)
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("stops asking servers that have no such route", () => {
    const server = serving((asked) => ({ status: tokenPath.test(asked.path) ? 404 : 204 }), { csrf: true })
    return Effect.gen(function* () {
      yield* heartbeat
      yield* heartbeat
      expect(tokensAsked(server.asked)).toHaveLength(1)
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("does not go round in circles when a server refuses every token", () => {
    const server = serving(
      (asked) =>
        tokenPath.test(asked.path)
          ? { status: 200, body: { token: "t", expiration: "2026-11-24T13:00:00Z" } }
          : { status: 403, body: { detail: "Invalid CSRF token or client identifier." } },
      { csrf: true }
    )
    return Effect.gen(function* () {
      expect((yield* Effect.flip(heartbeat))._tag).toBe("Forbidden")
      expect(statuses(server.asked).filter((each) => each.startsWith("POST"))).toHaveLength(2)
    }).pipe(Effect.provide(server.layer))
  })

  it.effect("lets any other 403 through at once", () => {
    const server = serving(
      (asked) => ({ status: asked.method === "GET" ? 404 : 403, body: { detail: "reserved" } }),
      {
        csrf: true
      }
    )
    return Effect.gen(function* () {
      expect((yield* Effect.flip(heartbeat))._tag).toBe("Forbidden")
      expect(tokensAsked(server.asked)).toHaveLength(1)
    }).pipe(Effect.provide(server.layer))
  })
})
