import { connect, type Socket } from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, Redacted } from "effect"
import { type Address, addressText, parseAddress } from "../../src/observe/address.ts"
import { serveStatus } from "../../src/observe/server.ts"

const here: Address = { host: "127.0.0.1", port: 0 }
const routes = (path: string) => (path === "/thing" ? { status: 200, body: { thing: 1 } } : undefined)

const ask = (address: Address, path: string, init: RequestInit = {}) =>
  Effect.promise(async () => {
    const answer = await fetch(`http://127.0.0.1:${address.port}${path}`, init)
    return { status: answer.status, body: await answer.text() }
  })

/** Sends it as it is, and gives what came back until the server closed the connection. */
const raw = (address: Address, text: string) =>
  Effect.promise(
    () =>
      new Promise<string>((resolve) => {
        let heard = ""
        const socket = connect(address.port, "127.0.0.1", () => socket.write(text))
        socket.on("data", (chunk) => (heard += chunk.toString()))
        socket.on("error", () => {})
        socket.on("close", () => resolve(heard))
      })
  )

const started = (token?: string, address: Address = here) =>
  Effect.map(
    serveStatus(address, token === undefined ? undefined : Redacted.make(token), routes),
    (found) => found!
  )

describe("an address", () => {
  it.each([
    ["127.0.0.1:4280", "127.0.0.1:4280"],
    ["4280", "127.0.0.1:4280"],
    [":4280", "127.0.0.1:4280"],
    ["0.0.0.0:80", "0.0.0.0:80"],
    ["localhost:0", "localhost:0"],
    ["[::1]:4280", "[::1]:4280"]
  ])("is read from %s", (text, shown) => {
    expect(addressText(parseAddress(text)!)).toBe(shown)
  })

  it.each(["", "off", "host", "host:", "1:2:3", "::1:4280", "host:70000", "http://host:80", "a b:80"])(
    "is not %j",
    (text) => {
      expect(parseAddress(text)).toBeUndefined()
    }
  )
})

describe("the status server", () => {
  it.live("answers /healthz and its routes, and 404 to all else", () =>
    Effect.gen(function* () {
      const at = yield* started()
      expect(yield* ask(at, "/healthz")).toEqual({ status: 200, body: '{"status":"ok"}' })
      expect(yield* ask(at, "/thing?x=1")).toEqual({ status: 200, body: '{"thing":1}' })
      expect((yield* ask(at, "/other")).status).toBe(404)
      expect((yield* ask(at, "/thing", { method: "POST", body: "x".repeat(100_000) })).status).toBe(405)
      expect(yield* ask(at, "/thing", { method: "HEAD" })).toEqual({ status: 200, body: "" })
    }).pipe(Effect.scoped)
  )

  it.live("asks for the token where there is one, but for /healthz", () =>
    Effect.gen(function* () {
      const at = yield* started("open-sesame")
      const withToken = (token: string) => ({ headers: { authorization: token } })
      expect((yield* ask(at, "/thing")).status).toBe(401)
      expect((yield* ask(at, "/thing", withToken("Bearer open-sesam"))).status).toBe(401)
      expect((yield* ask(at, "/thing", withToken("open-sesame"))).status).toBe(401)
      expect((yield* ask(at, "/other")).status).toBe(401)
      expect((yield* ask(at, "/thing", withToken("Bearer open-sesame"))).status).toBe(200)
      expect((yield* ask(at, "/healthz")).status).toBe(200)
    }).pipe(Effect.scoped)
  )

  it.live("tells a page of another name nothing, on a loopback address without a token", () =>
    Effect.gen(function* () {
      const at = yield* started()
      const from = (name: string) => raw(at, `GET /thing HTTP/1.1\r\nHost: ${name}\r\n\r\n`)
      expect(yield* from("evil.example.org:4280")).toMatch(/^HTTP\/1\.1 403 /u)
      expect(yield* from("localhost:4280")).toMatch(/^HTTP\/1\.1 200 /u)
      expect(yield* from("[::1]:4280")).toMatch(/^HTTP\/1\.1 200 /u)
    }).pipe(Effect.scoped)
  )

  it.live("holds a bounded number of connections, and serves again when they are gone", () =>
    Effect.gen(function* () {
      const at = yield* started()
      const open: Array<Socket> = []
      const closed = yield* Effect.promise(
        () =>
          new Promise<number>((resolve) => {
            let refused = 0
            for (let n = 0; n < 40; n += 1) {
              const socket = connect(at.port, "127.0.0.1")
              socket.on("error", () => {})
              socket.on("close", () => {
                refused += 1
                if (refused === 8) setTimeout(() => resolve(refused), 200)
              })
              open.push(socket)
            }
          })
      )
      expect(closed).toBe(8)
      for (const socket of open) socket.destroy()
      yield* Effect.sleep("100 millis")
      expect((yield* ask(at, "/healthz")).status).toBe(200)
    }).pipe(Effect.scoped)
  )

  it.live("goes without an address that is in use, and says so", () => {
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ message }) => void lines.push(String(message)))
    return Effect.gen(function* () {
      const first = yield* started()
      expect(yield* serveStatus({ host: "127.0.0.1", port: first.port }, undefined, routes)).toBeUndefined()
      expect(lines.join("\n")).toMatch(/127\.0\.0\.1:\d+ is in use: this agent goes on without/u)
      expect((yield* ask(first, "/healthz")).status).toBe(200)
    }).pipe(Effect.provide(Logger.layer([logger])), Effect.scoped)
  })

  it.live("leaves no open port behind", () =>
    Effect.gen(function* () {
      const at = yield* Effect.scoped(started())
      const again = yield* started(undefined, { host: "127.0.0.1", port: at.port })
      expect(again.port).toBe(at.port)
    }).pipe(Effect.scoped)
  )
})
