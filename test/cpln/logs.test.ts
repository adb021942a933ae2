import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Redacted, Stream } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import { WebSocket, WebSocketServer } from "ws"
import { type LogLine, makeLogs } from "../../src/cpln/logs.ts"
import { answer, type Answering, type Asked, serving } from "../http/service.ts"

const access = { endpoint: "http://cpln.test", org: "acme", token: Redacted.make("tok-123") }
const none = { logsEndpoint: undefined, logsToken: undefined }

const stream = (
  labels: Readonly<Record<string, string>>,
  ...values: ReadonlyArray<readonly [string, string]>
) => ({
  stream: labels,
  values
})
const ask = { query: '{gvc="dev", replica=~"command-1.+"}', start: 1_795_432_602_990_000_001n }

describe("a range read", () => {
  const reading = (
    answering: (asked: Asked) => Answering,
    settings: Parameters<typeof makeLogs>[1] = none
  ) => {
    const service = serving(answering)
    return {
      service,
      logs: makeLogs(access, settings).pipe(
        Effect.provideService(HttpClient.HttpClient, service.client),
        Effect.provideService(Socket.WebSocketConstructor, () => {
          throw new Error("no tail is asked for")
        })
      )
    }
  }
  const discovery = (logs?: unknown) => answer(200, { endpoints: { logs } })
  const lines = (...result: ReadonlyArray<unknown>) =>
    answer(200, { status: "success", data: { resultType: "streams", result } })

  it.effect("asks the host that discovery names, from start to end in nanoseconds", () =>
    Effect.gen(function* () {
      const { service, logs } = reading(({ path }) =>
        path === "/discovery" ? discovery("https://logs.test/") : lines()
      )
      yield* (yield* logs).range({ ...ask, end: ask.start + 5n, limit: 999 })
      const url = new URL(service.asked[1]!.origin + service.asked[1]!.path)
      expect(url.origin + url.pathname).toBe("https://logs.test/logs/org/acme/loki/api/v1/query_range")
      expect(Object.fromEntries(url.searchParams)).toEqual({
        delay_for: "0",
        direction: "forward",
        limit: "999",
        query: ask.query,
        start: "1795432602990000001",
        end: "1795432602990000006"
      })
      expect(service.asked[1]!.headers["authorization"]).toBe("Bearer tok-123")
    })
  )

  it.effect("gives the lines of all streams in order of time, to the nanosecond, with their labels", () =>
    Effect.gen(function* () {
      const { logs } = reading(({ path }) =>
        path === "/discovery"
          ? discovery("https://logs.test")
          : lines(
              stream({ container: "main" }, ["1795432602990000003", "c"], ["1795432602990000001", "a"]),
              // Newer services add metadata to a line.
              { stream: { container: "side" }, values: [["1795432602990000002", "b", { level: "info" }]] }
            )
      )
      expect(yield* (yield* logs).range({ ...ask, end: ask.start + 5n, limit: 999 })).toEqual([
        { at: 1795432602990000001n, line: "a", labels: { container: "main" } },
        { at: 1795432602990000002n, line: "b", labels: { container: "side" } },
        { at: 1795432602990000003n, line: "c", labels: { container: "main" } }
      ])
    })
  )

  it.effect("finds the public host where the API names none, or serves no discovery", () =>
    Effect.gen(function* () {
      for (const found of [
        answer(200, {}),
        discovery(""),
        discovery("logs.cpln.io"),
        answer(404),
        answer(403)
      ]) {
        const { service, logs } = reading(({ path }) => (path === "/discovery" ? found : lines()))
        yield* (yield* logs).range({ ...ask, end: ask.start + 5n, limit: 1 })
        expect(service.asked.at(-1)!.origin).toBe("https://logs.cpln.io")
      }
    })
  )

  it.effect("asks for the host again after discovery failed, and not while it is known", () =>
    Effect.gen(function* () {
      let troubled = true
      const { service, logs } = reading(({ path }) =>
        path !== "/discovery" ? lines() : troubled ? answer(500) : discovery("https://logs.test")
      )
      const client = yield* logs
      const read = client.range({ ...ask, end: ask.start + 5n, limit: 1 })
      const first = yield* Effect.forkChild(Effect.flip(read))
      yield* TestClock.adjust("5 minutes")
      expect((yield* Fiber.join(first))._tag).toBe("Unavailable")
      troubled = false
      service.asked.length = 0
      yield* read
      yield* read
      expect(service.asked.filter(({ path }) => path === "/discovery").length).toBe(1)
      yield* TestClock.adjust("31 minutes")
      yield* read
      expect(service.asked.filter(({ path }) => path === "/discovery").length).toBe(2)
    })
  )

  it.effect("goes to the host of the settings without discovery, given as http or ws", () =>
    Effect.gen(function* () {
      for (const logsEndpoint of ["http://mine.test/", "ws://mine.test"]) {
        const { service, logs } = reading(() => lines(), { ...none, logsEndpoint })
        yield* (yield* logs).range({ ...ask, end: ask.start + 5n, limit: 1 })
        expect(service.asked.map(({ origin }) => origin)).toEqual(["http://mine.test"])
      }
    })
  )

  it.effect("with a time that is no number is an answer that could not be read, not a crash", () =>
    Effect.gen(function* () {
      const { logs } = reading(({ path }) =>
        path === "/discovery" ? discovery("https://logs.test") : lines(stream({}, ["soon", "hidden-text"]))
      )
      const error = yield* Effect.flip((yield* logs).range({ ...ask, end: ask.start + 5n, limit: 1 }))
      expect(error).toMatchObject({ _tag: "Undecodable", service: "Control Plane" })
      expect(error.message).not.toContain("hidden-text")
    })
  )
})

/** The global one of the runtime, as the agent uses it; Node 20 has none, and takes that of a library. */
const Constructor = globalThis.WebSocket ?? WebSocket

interface Session {
  readonly headers: IncomingHttpHeaders
  readonly url: URL
  readonly socket: WebSocket
  /** Sends one frame. */
  readonly send: (...streams: ReadonlyArray<unknown>) => void
}

/** A log service of our own on a port of this machine. `refuse`: status of an upgrade and of every read. */
const logService = Effect.fnUntraced(function* (refuse: number | undefined = undefined) {
  const sessions = yield* Queue.unbounded<Session>()
  const reads: Array<string> = []
  const server = createServer((request, response) => {
    reads.push(`${request.headers.authorization} ${request.url?.split("?")[0]}`)
    response.writeHead(refuse ?? 200, { "content-type": "application/json" })
    response.end(JSON.stringify(refuse === undefined ? { data: { result: [] } } : { message: "not for you" }))
  })
  const upgrades = new WebSocketServer({ noServer: true })
  server.on("upgrade", (request, socket, head) => {
    if (refuse !== undefined) {
      socket.end(`HTTP/1.1 ${refuse} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    upgrades.handleUpgrade(request, socket, head, (accepted) => {
      Queue.offerUnsafe(sessions, {
        headers: request.headers,
        url: new URL(request.url ?? "", "http://logs.test"),
        socket: accepted,
        send: (...streams) => accepted.send(JSON.stringify({ streams }))
      })
    })
  })
  yield* Effect.promise(() => new Promise<void>((done) => server.listen(0, "127.0.0.1", done)))
  yield* Effect.addFinalizer(() =>
    Effect.promise(
      () =>
        new Promise<void>((done) => {
          for (const each of upgrades.clients) each.terminate()
          server.closeAllConnections()
          server.close(() => done())
        })
    )
  )
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const logs = yield* makeLogs(access, { ...none, logsEndpoint: address }).pipe(
    Effect.provide(FetchHttpClient.layer),
    Effect.provideService(
      Socket.WebSocketConstructor,
      (url, options) => new (Constructor as typeof globalThis.WebSocket)(url, options as never)
    )
  )
  return { logs, session: Queue.take(sessions), reads, address }
})

/** What a tail gave so far, and how it ended. */
const tailing = Effect.fnUntraced(function* (world: Effect.Success<ReturnType<typeof logService>>) {
  const frames = yield* Queue.unbounded<ReadonlyArray<LogLine>>()
  const fiber = yield* world.logs.tail(ask).pipe(
    Stream.runForEach((frame) => Queue.offer(frames, frame)),
    Effect.result,
    Effect.forkChild({ startImmediately: true })
  )
  return { frames, end: Fiber.join(fiber), fiber }
})

describe("a tail", () => {
  it.live("sends the bare token, the query and the start to the nanosecond", () =>
    Effect.gen(function* () {
      const world = yield* logService()
      const tail = yield* tailing(world)
      const session = yield* world.session
      expect(session.headers.authorization).toBe("tok-123")
      expect(session.url.pathname).toBe("/logs/org/acme/loki/api/v1/tail")
      expect(Object.fromEntries(session.url.searchParams)).toEqual({
        delay_for: "0",
        direction: "forward",
        limit: "999",
        query: ask.query,
        start: "1795432602990000001"
      })
      yield* Fiber.interrupt(tail.fiber)
    })
  )

  it.live("gives lines frame by frame as they come, with their time and labels", () =>
    Effect.gen(function* () {
      const world = yield* logService()
      const tail = yield* tailing(world)
      const session = yield* world.session
      session.send(
        stream({ replica: "r" }, ["1795432602990000002", "one"], ["1795432602990000003", "zwei ü"])
      )
      expect(yield* Queue.take(tail.frames)).toEqual([
        { at: 1795432602990000002n, line: "one", labels: { replica: "r" } },
        { at: 1795432602990000003n, line: "zwei ü", labels: { replica: "r" } }
      ])
      session.send(stream({ replica: "r" }, ["1795432602990000004", "x".repeat(200_000)]))
      expect((yield* Queue.take(tail.frames))[0]?.line.length).toBe(200_000)
      // A sign of life without lines.
      session.socket.send('{"streams":null}')
      session.send(stream({ replica: "q" }, ["1795432602990000005", "last"]))
      let last: ReadonlyArray<LogLine> = []
      while (last.length === 0) last = yield* Queue.take(tail.frames)
      expect(last).toEqual([{ at: 1795432602990000005n, line: "last", labels: { replica: "q" } }])
      yield* Fiber.interrupt(tail.fiber)
    })
  )

  it.live("takes ten thousand lines in order", () =>
    Effect.gen(function* () {
      const world = yield* logService()
      const tail = yield* tailing(world)
      const session = yield* world.session
      for (let i = 0; i < 10_000; i++) session.send(stream({}, [String(i), `line ${i}`]))
      session.socket.close(1000)
      yield* tail.end
      const lines = (yield* Queue.clear(tail.frames)).flat()
      expect(lines.length).toBe(10_000)
      expect(lines.every(({ at }, nth) => at === BigInt(nth))).toBe(true)
    })
  )

  for (const code of [1000, 1001]) {
    it.live(`ends without an error when the service closes the session (${code})`, () =>
      Effect.gen(function* () {
        const world = yield* logService()
        const tail = yield* tailing(world)
        const session = yield* world.session
        session.send(stream({}, ["1", "last words"]))
        session.socket.close(code, "session is over")
        expect((yield* tail.end)._tag).toBe("Success")
        expect((yield* Queue.take(tail.frames))[0]?.line).toBe("last words")
      })
    )
  }

  it.live("that breaks off is Unavailable, after the lines that came before", () =>
    Effect.gen(function* () {
      const world = yield* logService()
      const tail = yield* tailing(world)
      const session = yield* world.session
      session.send(stream({}, ["1", "last words"]))
      yield* Queue.take(tail.frames)
      session.socket.terminate()
      expect(yield* tail.end).toMatchObject({ _tag: "Failure", failure: { _tag: "Unavailable" } })
    })
  )

  it.live("that the service closes as broken is Unavailable too, and says how", () =>
    Effect.gen(function* () {
      const world = yield* logService()
      const tail = yield* tailing(world)
      ;(yield* world.session).socket.close(1011, "too many tails of hidden-text")
      const end = yield* tail.end
      expect(end).toMatchObject({ _tag: "Failure", failure: { _tag: "Unavailable" } })
      if (end._tag === "Failure") expect(end.failure.message).toContain("1011")
    })
  )

  it.live("closes its connection when nobody reads any more", () =>
    Effect.gen(function* () {
      const world = yield* logService()
      const tail = yield* tailing(world)
      const session = yield* world.session
      const closed = new Promise<void>((done) => session.socket.once("close", () => done()))
      yield* Fiber.interrupt(tail.fiber)
      yield* Effect.promise(() => closed)
    })
  )

  const refusals = [
    [401, "Unauthorised"],
    [403, "Forbidden"],
    [503, "Unavailable"]
  ] as const
  for (const [status, tag] of refusals) {
    it.live(`whose upgrade is refused with ${status} is ${tag}, on every runtime`, () =>
      Effect.gen(function* () {
        const world = yield* logService(status)
        const tail = yield* tailing(world)
        const end = yield* tail.end
        expect(end).toMatchObject({ _tag: "Failure", failure: { _tag: tag } })
        if (end._tag === "Failure") {
          expect(end.failure.message).not.toContain("command-1")
          expect(end.failure.message).not.toContain("tok-123")
        }
        // What told it was a read with the credential of the tail.
        expect(world.reads).toEqual(["Bearer tok-123 /logs/org/acme/loki/api/v1/query_range"])
      })
    )
  }

  it.live("that finds nobody is Unavailable", () =>
    Effect.gen(function* () {
      const gone = yield* Effect.scoped(logService())
      const logs = yield* makeLogs(access, { ...none, logsEndpoint: gone.address }).pipe(
        Effect.provide(FetchHttpClient.layer),
        Effect.provideService(
          Socket.WebSocketConstructor,
          (url, options) => new (Constructor as typeof globalThis.WebSocket)(url, options as never)
        )
      )
      expect(yield* Effect.flip(Stream.runDrain(logs.tail(ask)))).toMatchObject({ _tag: "Unavailable" })
    })
  )

  it.live("with a frame that is not of the known shape is Undecodable, and tells no line", () =>
    Effect.gen(function* () {
      for (const text of ["hidden-text", '{"streams":[{"stream":{},"values":[["x","hidden-text"]]}]}']) {
        const world = yield* logService()
        const tail = yield* tailing(world)
        ;(yield* world.session).socket.send(text)
        const end = yield* tail.end
        expect(end).toMatchObject({ _tag: "Failure", failure: { _tag: "Undecodable" } })
        expect(JSON.stringify(end)).not.toContain("hidden-text")
      }
    })
  )

  it.effect("that a runtime does not even begin is Unavailable, not a crash", () =>
    Effect.gen(function* () {
      const service = serving(() => answer(200, { data: { result: [] } }))
      const logs = yield* makeLogs(access, { ...none, logsEndpoint: "http://logs.test" }).pipe(
        Effect.provideService(HttpClient.HttpClient, service.client),
        Effect.provideService(Socket.WebSocketConstructor, () => {
          throw new TypeError("invalid header tok-123")
        })
      )
      const error = yield* Effect.flip(Stream.runDrain(logs.tail(ask)))
      expect(error._tag).toBe("Unavailable")
      expect(error.message).not.toContain("tok-123")
    })
  )

  it.effect("that is silent for five minutes ends, because its connection may be dead", () =>
    Effect.gen(function* () {
      const silent = {
        readyState: 1,
        addEventListener: () => {},
        removeEventListener: () => {},
        close: () => {},
        send: () => {}
      }
      const logs = yield* makeLogs(access, { ...none, logsEndpoint: "http://logs.test" }).pipe(
        Effect.provideService(HttpClient.HttpClient, serving(() => answer(500)).client),
        Effect.provideService(Socket.WebSocketConstructor, () => silent as never)
      )
      const fiber = yield* Effect.forkChild(Stream.runDrain(logs.tail(ask)))
      yield* TestClock.adjust("299 seconds")
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(fiber)
    })
  )
})
