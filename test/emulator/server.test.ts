/** What every route has in common: tokens, errors, methods, bodies. */
import { request as httpRequest } from "node:http"
import { createServer } from "node:net"
import { expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { describe } from "vitest"
import { client, emulator, gvc, org, runner, token, withRunner } from "./harness.ts"

describe("tokens", () => {
  it.live("a request without a token or with a wrong one is a 401 with the error body", () =>
    Effect.gen(function* () {
      const { url } = yield* emulator()
      for (const authorization of [null, "", "Bearer", "Bearer wrong", "wrong", `Bearer ${token}x`]) {
        const answer = yield* client(url, authorization).get(org)
        expect(answer.status).toBe(401)
        expect(answer.json).toMatchObject({
          status: 401,
          message: expect.any(String),
          id: expect.any(String)
        })
      }
    })
  )

  it.live("a token is taken with and without Bearer", () =>
    Effect.gen(function* () {
      const { url } = yield* emulator()
      for (const authorization of [token, `Bearer ${token}`, `bearer  ${token}`]) {
        expect((yield* client(url, authorization).get(org)).status).toBe(200)
      }
    })
  )

  it.live("an open emulator takes any token, but wants one", () =>
    Effect.gen(function* () {
      const { url } = yield* emulator({ token: undefined })
      expect((yield* client(url, "anything").get(org)).status).toBe(200)
      expect((yield* client(url, null).get(org)).status).toBe(401)
    })
  )

  it.live("a key of a service account opens the API until the account is deleted", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      yield* cpln.post(`${org}/serviceaccount`, { name: "robot" })
      const { json } = yield* cpln.post(`${org}/serviceaccount/robot/-addKey`, { description: "for a test" })
      expect(json).toMatchObject({ key: expect.stringMatching(/^s.+\..+\..+/u), description: "for a test" })
      const robot = client(cpln.url, json.key)
      expect((yield* robot.get(org)).status).toBe(200)
      const account = yield* cpln.get(`${org}/serviceaccount/robot`)
      expect(account.json.keys).toHaveLength(1)
      expect(account.text).not.toContain(json.key)
      yield* cpln.remove(`${org}/serviceaccount/robot`)
      expect((yield* robot.get(org)).status).toBe(401)
    })
  )
})

describe("discovery", () => {
  it.live("needs no token and names this server as the host of the logs", () =>
    Effect.gen(function* () {
      const { url } = yield* emulator()
      const { status, json } = yield* client(url, null).get("/discovery")
      expect(status).toBe(200)
      expect(json.endpoints.logs).toBe(url)
      expect(new URL(json.endpoints.registry.replace("{org}", "acme")).hostname).toBe("acme.localhost")
    })
  )

  it.live("/about answers JSON", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      expect((yield* cpln.get("/about")).json).toBeTypeOf("object")
    })
  )
})

describe("errors", () => {
  it.live("anything unknown is a 404 whose body repeats the status", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const unknown = [
        "/nothing",
        "/org/nobody",
        "/org/nobody/gvc",
        `${org}/spaceship`,
        `${org}/gvc/none`,
        `${org}/gvc/none/workload`,
        `${org}/gvc/none/workload/-query`,
        `${org}/location/mars`,
        `${gvc}/workload/none`,
        `${gvc}/workload/none/deployment`,
        `${gvc}/workload/none/-command`,
        `${gvc}/secret`,
        `${runner}/deployment/mars`,
        `${runner}/-command/none`,
        `${runner}/-unknown`,
        "/replicas/org/acme/gvc/dev/workload/none",
        "/logs/org/nobody/loki/api/v1/query_range?query=%7Bgvc%3D%22dev%22%7D"
      ]
      for (const path of unknown) {
        const answer = yield* path.endsWith("-query") ? cpln.post(path, {}) : cpln.get(path)
        expect([path, answer.status]).toEqual([path, 404])
        expect(answer.json).toMatchObject({ status: 404, message: expect.any(String) })
      }
    })
  )

  it.live("a method that a path does not have is a 405 that names those it has", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const wrong: ReadonlyArray<readonly [string, string]> = [
        ["DELETE", org],
        ["POST", `${org}/location`],
        ["POST", `${org}/workload`],
        ["PATCH", `${gvc}/workload`],
        ["DELETE", `${runner}/deployment`],
        ["PUT", `${runner}/-command`],
        ["GET", `${runner}/-command/-query`],
        ["PROPFIND", runner]
      ]
      for (const [method, path] of wrong) {
        const answer = yield* cpln.call(method, path, method === "POST" ? { name: "x" } : undefined)
        expect([method, path, answer.status]).toEqual([method, path, 405])
        expect(answer.headers.get("allow")).toMatch(/[A-Z]/u)
      }
    })
  )

  it.live("a body that is no JSON, or too deep, is a 400; none at all where one is needed, too", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const deep = `${"[".repeat(200)}${"]".repeat(200)}`
      for (const body of ["{", "nope", '{"a":', deep, '{"__proto__":{}}', "[]", "5", "null", ""]) {
        const answer = yield* cpln.call("POST", `${gvc}/workload`, body)
        expect([body, answer.status]).toEqual([body, 400])
        expect(answer.json.status).toBe(400)
      }
    })
  )

  it.live("a body of more than a mebibyte is a 413, and the server goes on", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const body = JSON.stringify({ name: "x", filler: "x".repeat(2 ** 20) })
      expect((yield* cpln.call("POST", `${gvc}/workload`, body)).status).toBe(413)
      expect((yield* cpln.get(org)).status).toBe(200)
    })
  )

  it.live("a path that is badly encoded is a 400", () =>
    Effect.gen(function* () {
      const { url } = yield* emulator()
      const { port } = new URL(url)
      const status = yield* Effect.callback<number | undefined>((resume) => {
        httpRequest({ port, path: "/org/%E0%A4%A", headers: { authorization: token } }, (answer) => {
          answer.resume()
          resume(Effect.succeed(answer.statusCode))
        }).end()
      })
      expect(status).toBe(400)
    })
  )
})

describe("HTTP", () => {
  it.live("HEAD is a GET without its body, and every answer has a Date", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      const head = yield* cpln.call("HEAD", org)
      expect([head.status, head.text]).toEqual([200, ""])
      expect(Date.parse(head.headers.get("date") ?? "")).toBeGreaterThan(0)
    })
  )

  it.live("a name that is encoded in the path is found", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      expect((yield* cpln.get(`${gvc}/workload/%72unner`)).json.name).toBe("runner")
    })
  )

  it.live("a port in use is an error that names it and what to do", () =>
    Effect.gen(function* () {
      const port = yield* Effect.acquireRelease(
        Effect.callback<number>((resume) => {
          const server = createServer()
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
            closers.push(() => server.close())
          })
        }),
        () => Effect.sync(() => closers.forEach((close) => close()))
      )
      const error = yield* Effect.flip(emulator({ port, token: Redacted.make("x") }))
      expect(error.message).toBe(
        `emulator: port ${port} is in use on 127.0.0.1. Choose another with --port, or --port 0 for any free one.`
      )
    })
  )
})

const closers: Array<() => void> = []
