import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import { Commands } from "../../src/cpln/commands.ts"
import { Access, ControlPlane, type ControlPlaneSettings } from "../../src/cpln/control-plane.ts"
import { Logs } from "../../src/cpln/logs.ts"
import { at } from "../../src/cpln/place.ts"
import { WorkloadRef } from "../../src/cpln/schemas.ts"
import { Workloads } from "../../src/cpln/workloads.ts"
import { answer, type Answering, type Asked, serving, silence } from "../http/service.ts"

const access = (how: { readonly endpoint?: string; readonly org?: string; readonly token?: string } = {}) =>
  new Access({
    endpoint: how.endpoint ?? "http://cpln.test",
    org: how.org ?? "acme",
    token: Redacted.make(how.token ?? "t-1")
  })

const settings: ControlPlaneSettings = { ratePerSecond: 0, logsEndpoint: undefined, logsToken: undefined }

const world = (how: Partial<ControlPlaneSettings> = {}, answering?: (asked: Asked) => Answering) => {
  const service = serving(
    answering ??
      (({ path }) =>
        path === "/discovery"
          ? answer(200, { endpoints: { logs: "http://logs.test/" } })
          : answer(200, { data: { result: [] } }))
  )
  const layer = ControlPlane.layerWith({ ...settings, ...how }).pipe(
    Layer.provide(Layer.succeed(HttpClient.HttpClient, service.client)),
    Layer.provide(
      Layer.succeed(Socket.WebSocketConstructor, () => {
        throw new Error("no tails here")
      })
    )
  )
  return { service, layer }
}

const readOrg = Workloads.use((workloads) => workloads.readOrg)
const range = Logs.use((logs) => logs.range({ query: "{}", start: 0n, end: 1n, limit: 10 }))
const discoveries = (asked: ReadonlyArray<Asked>) => asked.filter(({ path }) => path === "/discovery").length

describe("the credential", () => {
  for (const token of ["t-1", "Bearer t-1", "bearer t-1", " Bearer  t-1\n"]) {
    it.effect(`${JSON.stringify(token)} goes out as one bearer token, and only in its header`, () => {
      const { service, layer } = world()
      return Effect.gen(function* () {
        yield* readOrg.pipe(at(access({ token })))
        yield* range.pipe(at(access({ token })))
        const authorised = service.asked.filter(({ path }) => path !== "/discovery")
        expect(authorised.map(({ headers }) => headers["authorization"])).toEqual([
          "Bearer t-1",
          "Bearer t-1"
        ])
        expect(service.asked.map(({ path }) => path).join()).not.toContain("t-1")
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("asks caches for nothing stale", () => {
    const { service, layer } = world()
    return Effect.gen(function* () {
      yield* readOrg.pipe(at(access()))
      expect(service.asked[0]!.headers).toMatchObject({ "cache-control": "no-cache", pragma: "no-cache" })
    }).pipe(Effect.provide(layer))
  })

  it.effect("of the log service may be another one", () => {
    const { service, layer } = world({ logsToken: Redacted.make("Bearer logs-token") })
    return Effect.gen(function* () {
      yield* range.pipe(at(access()))
      expect(service.asked.at(-1)!.headers["authorization"]).toBe("Bearer logs-token")
    }).pipe(Effect.provide(layer))
  })

  it.effect("is not sent to find the log service's address", () => {
    const { service, layer } = world()
    return Effect.gen(function* () {
      yield* range.pipe(at(access()))
      expect(service.asked[0]!.path).toBe("/discovery")
      expect(service.asked[0]!.headers["authorization"]).toBeUndefined()
    }).pipe(Effect.provide(layer))
  })
})

describe("clients", () => {
  it.effect("are one per endpoint, org and token: equal ones share what was discovered", () => {
    const { service, layer } = world()
    return Effect.gen(function* () {
      yield* range.pipe(at(access()))
      yield* range.pipe(at(access()))
      expect(discoveries(service.asked)).toBe(1)
      yield* range.pipe(at(access({ org: "other" })))
      expect(discoveries(service.asked)).toBe(2)
      yield* range.pipe(at(access({ token: "t-2" })))
      expect(discoveries(service.asked)).toBe(3)
      yield* range.pipe(at(access({ endpoint: "http://elsewhere.test" })))
      expect(discoveries(service.asked)).toBe(4)
      expect(service.asked.at(-2)!.origin).toBe("http://elsewhere.test")
    }).pipe(Effect.provide(layer))
  })

  it.effect("have a limit of their own: one that is slowed down holds back no other", () => {
    const { layer } = world({ ratePerSecond: 1 }, ({ path }) =>
      path === "/org/acme" ? answer(429) : answer(200)
    )
    return Effect.gen(function* () {
      const slow = yield* readOrg.pipe(at(access()), Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust(0)
      const other = yield* readOrg.pipe(at(access({ org: "other" })), Effect.forkChild)
      yield* TestClock.adjust(0)
      yield* Fiber.join(other)
      yield* Fiber.interrupt(slow)
    }).pipe(Effect.provide(layer))
  })

  it.effect("share one limit among their services", () => {
    const { service, layer } = world({ ratePerSecond: 1 }, () => answer(404))
    const workload = new WorkloadRef({ org: "acme", gvc: "dev", name: "w" })
    return Effect.gen(function* () {
      const all = yield* Effect.all(
        [
          Effect.ignore(readOrg),
          Effect.ignore(Workloads.use((workloads) => workloads.read(workload))),
          Effect.ignore(Commands.use((commands) => commands.get(workload, "c-1")))
        ],
        { concurrency: "unbounded" }
      ).pipe(at(access()), Effect.forkChild)
      yield* TestClock.adjust(0)
      expect(service.asked.length).toBe(2)
      yield* TestClock.adjust("1 second")
      expect(service.asked.length).toBe(3)
      yield* Fiber.join(all)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that nobody used for ten minutes are closed, and made anew when they are needed", () => {
    const { service, layer } = world()
    return Effect.gen(function* () {
      yield* range.pipe(at(access()))
      yield* TestClock.adjust("9 minutes")
      yield* range.pipe(at(access()))
      yield* TestClock.adjust("9 minutes")
      yield* range.pipe(at(access()))
      expect(discoveries(service.asked)).toBe(1)
      yield* TestClock.adjust("11 minutes")
      yield* range.pipe(at(access()))
      expect(discoveries(service.asked)).toBe(2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("in use are not closed", () => {
    const { service, layer } = world({}, ({ path }) =>
      path === "/discovery"
        ? answer(200, {})
        : path === "/org/acme"
          ? silence
          : answer(200, { data: { result: [] } })
    )
    return Effect.gen(function* () {
      const held = yield* Effect.all([readOrg, range, Effect.sleep("25 minutes"), range]).pipe(
        at(access()),
        Effect.ignore,
        Effect.forkChild
      )
      const used = yield* Effect.gen(function* () {
        yield* range
        yield* Effect.sleep("25 minutes")
        yield* range
      }).pipe(at(access()), Effect.forkChild)
      yield* TestClock.adjust("26 minutes")
      yield* Fiber.join(used)
      expect(discoveries(service.asked)).toBe(1)
      yield* Fiber.interrupt(held)
    }).pipe(Effect.provide(layer))
  })
})
