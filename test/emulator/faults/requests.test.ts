/** Faults of requests, as a client meets them: slow, refused, broken, before and after the request was carried out. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { location, org, runner, withRunner } from "../harness.ts"
import { breaks, commands, fault, timed } from "./asked.ts"

const run = { type: "runCronWorkload", spec: { location } }
const count = ({ json }: { readonly json: { readonly items: ReadonlyArray<unknown> } }) => json.items.length

describe("time", () => {
  it.live("latency delays the answer, and jitter varies it", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const fired = yield* fault(cpln, { what: "latency", seconds: 0.1, jitter: 0.1, where: { path: org } })
      for (let round = 0; round < 3; round++) {
        const [took] = yield* timed(cpln.get(org))
        expect(took).toBeGreaterThanOrEqual(95)
        expect(took).toBeLessThan(400)
      }
      expect(yield* fired).toBe(3)
    })
  )
})

describe("refusals", () => {
  it.live("a 429 comes without Retry-After or with it, and then the service answers again", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const plain = yield* fault(cpln, { what: "rate-limited", times: 1, where: { path: runner } })
      const first = yield* cpln.get(runner)
      expect([first.status, first.headers.get("retry-after")]).toEqual([429, null])
      expect(first.json).toMatchObject({ status: 429, message: expect.not.stringMatching(/quota/iu) })
      const told = yield* fault(cpln, {
        what: "rate-limited",
        times: 1,
        retryAfter: 7,
        where: { path: runner }
      })
      const second = yield* cpln.get(runner)
      expect([second.status, second.headers.get("retry-after")]).toEqual([429, "7"])
      expect((yield* cpln.get(runner)).status).toBe(200)
      expect([yield* plain, yield* told]).toEqual([1, 1])
    })
  )

  it.live("a quota is a 429 that says so, and nothing was started", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const fired = yield* fault(cpln, { what: "quota", where: { method: "POST", path: commands } })
      const answer = yield* cpln.post(commands, run)
      expect([answer.status, answer.json.message]).toEqual([429, expect.stringMatching(/quota/iu)])
      expect(count(yield* cpln.get(commands))).toBe(0)
      expect(yield* fired).toBe(1)
    })
  )

  it.live("a 5xx before the commit leaves nothing, one after it leaves the command", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const where = { method: "POST", path: commands }
      const before = yield* fault(cpln, { what: "server-error", status: 502, times: 1, where })
      expect((yield* cpln.post(commands, run)).status).toBe(502)
      expect(count(yield* cpln.get(commands))).toBe(0)
      const after = yield* fault(cpln, { what: "server-error", when: "after", times: 1, where })
      const answer = yield* cpln.post(commands, run)
      expect([answer.status, answer.json.status]).toEqual([503, 503])
      expect(count(yield* cpln.get(commands))).toBe(1)
      expect([yield* before, yield* after]).toEqual([1, 1])
    })
  )
})

describe("connections", () => {
  it.live("one that drops before the commit leaves nothing, one after it leaves the command", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const where = { method: "POST", path: commands }
      const before = yield* fault(cpln, { what: "dropped", times: 1, where })
      expect(yield* breaks(cpln, "POST", commands, run)).toBe(true)
      expect(count(yield* cpln.get(commands))).toBe(0)
      const after = yield* fault(cpln, { what: "dropped", when: "after", times: 1, where })
      expect(yield* breaks(cpln, "POST", commands, run)).toBe(true)
      expect(count(yield* cpln.get(commands))).toBe(1)
      expect([yield* before, yield* after]).toEqual([1, 1])
    })
  )

  it.live("an answer can break off in its middle", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const fired = yield* fault(cpln, { what: "truncated", times: 1, where: { path: runner } })
      expect(yield* breaks(cpln, "GET", runner)).toBe(true)
      expect(yield* breaks(cpln, "GET", runner)).toBe(false)
      expect(yield* fired).toBe(1)
    })
  )

  it.live("an answer can be a page of HTML, although the command was stored", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const fired = yield* fault(cpln, { what: "garbled", where: { method: "POST", path: commands } })
      const answer = yield* cpln.post(commands, run)
      expect([answer.status, answer.json, answer.headers.get("location")]).toEqual([200, undefined, null])
      expect(count(yield* cpln.get(commands))).toBe(1)
      expect(yield* fired).toBe(1)
    })
  )
})
