import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { makeCommands, type StartCommand } from "../../src/cpln/commands.ts"
import { WorkloadRef } from "../../src/cpln/schemas.ts"
import type { ApiOptions } from "../../src/http/api.ts"
import {
  answer,
  type Answering,
  apiOf,
  cutOff,
  inTurn,
  refusedConnection,
  reset,
  serving,
  silence,
  stalled
} from "../http/service.ts"

const workload = new WorkloadRef({ org: "acme", gvc: "dev", name: "runner" })
const path = "/org/acme/gvc/dev/workload/runner/-command"
const what: StartCommand = {
  location: "aws-us-west-2",
  containerOverrides: [{ name: "main", image: "alpine:3", args: ["a b"], env: [{ name: "A", value: "1" }] }],
  activeDeadlineSeconds: 60,
  tags: { "prefect.io/attempt": "a1" }
}

const commandsOf = (service: ReturnType<typeof serving>, how: Partial<ApiOptions> = {}) =>
  Effect.map(apiOf(service, how), makeCommands)

/** Lets the test's time go on until the effect is over. */
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(fiber)
  })

const starting = (answering: Answering) =>
  Effect.gen(function* () {
    const service = inTurn(answering)
    const commands = yield* commandsOf(service)
    const result = yield* inTime(Effect.result(commands.start(workload, what)))
    return { service, result }
  })

describe("a start", () => {
  it.effect("sends location, overrides and deadline as the spec, and the tags beside it", () =>
    Effect.gen(function* () {
      const { service } = yield* starting(answer(201, "Created", { location: `${path}/c-1` }))
      expect(service.asked.map(({ method, path, body }) => ({ method, path, body }))).toEqual([
        {
          method: "POST",
          path,
          body: {
            type: "runCronWorkload",
            tags: { "prefect.io/attempt": "a1" },
            spec: {
              location: "aws-us-west-2",
              containerOverrides: [
                { name: "main", image: "alpine:3", args: ["a b"], env: [{ name: "A", value: "1" }] }
              ],
              activeDeadlineSeconds: 60
            }
          }
        }
      ])
    })
  )

  for (const location of [
    `${path}/c-1`,
    `${path}/c-1/`,
    `${path}/c-1?x=/y`,
    `https://api.cpln.io${path}/c-1`,
    `http://127.0.0.1:8080${path}/c-1#z`,
    "c-1"
  ]) {
    it.effect(`takes the command's id from Location: ${location}`, () =>
      Effect.gen(function* () {
        const { result } = yield* starting(answer(201, "Created", { location }))
        expect(result).toMatchObject({ _tag: "Success", success: "c-1" })
      })
    )
  }

  const doubts: ReadonlyArray<readonly [string, Answering]> = [
    ["no answer", silence],
    ["a reset", reset],
    ["408", answer(408)],
    ["500", answer(500)],
    ["502", answer(502, "<html></html>")],
    ["503 with Retry-After", answer(503, "", { "retry-after": "1" })],
    ["504", answer(504)],
    ["201 without Location", answer(201, "Created")],
    ["201 with a Location that holds no id", answer(201, "Created", { location: path })],
    ["201 with a broken Location", answer(201, "Created", { location: `${path}/%zz` })],
    ["201 whose body breaks off", cutOff(201)],
    ["201 whose body never comes", stalled(201)]
  ]
  for (const [after, answering] of doubts) {
    it.effect(`is in doubt after ${after}, and is not posted again`, () =>
      Effect.gen(function* () {
        const { service, result } = yield* starting(answering)
        expect(result).toMatchObject({ _tag: "Failure", failure: { _tag: "StartInDoubt" } })
        if (result._tag === "Failure") expect(result.failure.message).toContain("The job may run")
        expect(service.asked.length).toBe(1)
      })
    )
  }

  it.effect("is in doubt fifteen seconds after it was sent, not earlier", () =>
    Effect.gen(function* () {
      const commands = yield* commandsOf(
        inTurn(Effect.delay(answer(201, "", { location: `${path}/c-1` }), "14900 millis"))
      )
      expect(yield* inTime(commands.start(workload, what))).toBe("c-1")
      const slow = yield* commandsOf(
        inTurn(Effect.delay(answer(201, "", { location: `${path}/c-1` }), "15100 millis"))
      )
      const error = yield* inTime(Effect.flip(slow.start(workload, what)))
      expect(error._tag).toBe("StartInDoubt")
      expect(error.message).toContain("no answer within 15s")
    })
  )

  const refusals: ReadonlyArray<readonly [string, Answering]> = [
    ["Refused", answer(400, { message: "no such container" })],
    ["Unauthorised", answer(401)],
    ["Forbidden", answer(403)],
    ["NotFound", answer(404)],
    ["Conflict", answer(409)],
    ["RateLimited", answer(429)],
    ["QuotaReached", answer(429, { message: "Quota exceeded" })],
    ["Unavailable", refusedConnection]
  ]
  for (const [tag, answering] of refusals) {
    it.effect(`that is ${tag} surely made no job, and is not posted again`, () =>
      Effect.gen(function* () {
        const { service, result } = yield* starting(answering)
        expect(result).toMatchObject({ _tag: "Failure", failure: { _tag: tag } })
        expect(service.asked.length).toBe(1)
      })
    )
  }

  it.effect("that waits behind others for its turn is not in doubt: after five seconds it is not sent", () =>
    Effect.gen(function* () {
      const service = inTurn(silence)
      const commands = yield* commandsOf(service, { concurrency: 1 })
      yield* Effect.forkChild(Effect.ignore(commands.get(workload, "c-0")), { startImmediately: true })
      const fiber = yield* Effect.forkChild(Effect.flip(commands.start(workload, what)))
      yield* TestClock.adjust("5 seconds")
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "Unavailable", mayHaveHappened: false })
      yield* TestClock.adjust("1 hour")
      expect(service.asked.filter(({ method }) => method === "POST")).toEqual([])
    })
  )

  it.effect("waits for its turn no longer than its caller's proof holds", () =>
    Effect.gen(function* () {
      const service = inTurn(silence)
      const commands = yield* commandsOf(service, { concurrency: 1 })
      yield* Effect.forkChild(Effect.ignore(commands.get(workload, "c-0")), { startImmediately: true })
      const fiber = yield* Effect.forkChild(Effect.flip(commands.start(workload, what, Duration.seconds(2))))
      yield* TestClock.adjust("2 seconds")
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "Unavailable", mayHaveHappened: false })
    })
  )

  it.effect("waits for its turn without using up the time for its answer", () =>
    Effect.gen(function* () {
      const service = serving(({ method }) =>
        method === "GET"
          ? Effect.delay(answer(404), "4 seconds")
          : Effect.delay(answer(201, "", { location: `${path}/c-1` }), "14 seconds")
      )
      const commands = yield* commandsOf(service, { concurrency: 1 })
      yield* Effect.forkChild(Effect.ignore(commands.get(workload, "c-0")), { startImmediately: true })
      expect(yield* inTime(commands.start(workload, what))).toBe("c-1")
    })
  )
})

describe("finding commands", () => {
  const command = (id: string, created: string) => ({
    id,
    type: "runCronWorkload",
    created,
    lifecycleStage: "running"
  })

  it.effect("asks for all terms, follows every page, and puts the oldest first, equals by id", () =>
    Effect.gen(function* () {
      const service = inTurn(
        answer(200, {
          items: [command("d", "2026-01-01T00:00:02.000Z"), command("c", "2026-01-01T00:00:01.000Z")],
          links: [{ rel: "next", href: `${path}/-query?next=2` }]
        }),
        answer(200, {
          items: [command("b", "2026-01-01T00:00:01.000Z"), command("a", "2026-01-01T00:00:03.000Z")],
          links: []
        })
      )
      const commands = yield* commandsOf(service)
      const terms = [
        { op: "=", tag: "prefect.io/attempt", value: "a1" },
        { op: "!=", property: "lifecycleStage", value: "completed" }
      ] as const
      const found = yield* commands.find(workload, terms)
      expect(found.value.map(({ id }) => id)).toEqual(["b", "c", "d", "a"])
      expect(service.asked[0]).toMatchObject({
        method: "POST",
        path: `${path}/-query`,
        body: { kind: "command", fetch: "items", spec: { match: "all", terms } }
      })
    })
  )

  it.effect("is repeated after trouble, because it changes nothing", () =>
    Effect.gen(function* () {
      const commands = yield* commandsOf(inTurn(answer(500), reset, answer(200, { items: [] })))
      expect((yield* inTime(commands.find(workload, []))).value).toEqual([])
    })
  )

  it.effect("gives a command as it was decoded before, until it has another version or none", () =>
    Effect.gen(function* () {
      const [one, two] = [1, 2].map((version) => ({
        ...command("a", "2026-01-01T00:00:00Z"),
        version,
        lifecycleStage: version === 1 ? "pending" : "running"
      }))
      const unversioned = command("b", "2026-01-01T00:00:00Z")
      const pages = [one, one, two, unversioned, unversioned].map((each) => answer(200, { items: [each] }))
      const commands = yield* commandsOf(inTurn(...pages))
      const seen: Array<unknown> = []
      for (const _ of pages) seen.push((yield* commands.find(workload, [])).value[0])
      expect(seen[1]).toBe(seen[0])
      expect(seen[2]).toMatchObject({ lifecycleStage: "running" })
      expect(seen[4]).not.toBe(seen[3])
    })
  )

  it.effect("keeps a stage that nobody knows as it is", () =>
    Effect.gen(function* () {
      const strange = { ...command("a", "2026-01-01T00:00:00Z"), lifecycleStage: "defrosting", status: null }
      const commands = yield* commandsOf(inTurn(answer(200, { items: [strange] })))
      expect((yield* commands.find(workload, [])).value[0]?.lifecycleStage).toBe("defrosting")
    })
  )

  it.effect("in a workload that is gone is NotFound, never an empty list", () =>
    Effect.gen(function* () {
      const commands = yield* commandsOf(inTurn(answer(404)))
      expect((yield* Effect.flip(commands.find(workload, [])))._tag).toBe("NotFound")
    })
  )
})

describe("the newest commands", () => {
  it.effect("are one page of all types, newest first, and say whether there are older ones", () =>
    Effect.gen(function* () {
      const made = (id: string, created: string) => ({
        id,
        type: "runCronWorkload",
        created,
        lifecycleStage: "completed"
      })
      const [newest, other] = [made("b", "2026-01-02T00:00:00Z"), made("a", "2026-01-01T00:00:00Z")]
      const service = inTurn(
        answer(200, { items: [newest, other], links: [{ rel: "next", href: "?next=2" }] }),
        answer(200, { items: null })
      )
      const commands = yield* commandsOf(service)
      const { value } = yield* commands.latest(workload)
      expect([value.items.map(({ id }) => id), value.more]).toEqual([["b", "a"], true])
      expect((yield* commands.latest(workload)).value).toEqual({ items: [], more: false })
      expect(service.asked[0]?.body).toMatchObject({
        spec: { match: "all", terms: [], sort: { by: "created", order: "desc" } }
      })
    })
  )
})

describe("reading one command", () => {
  it.effect("tells a missing command from a service in trouble", () =>
    Effect.gen(function* () {
      const gone = yield* commandsOf(inTurn(answer(404, { message: "no such command" })))
      const error = yield* Effect.flip(gone.get(workload, "c-1"))
      expect(error._tag).toBe("NotFound")
      expect(error.message).toContain("Got 404")
      const troubled = yield* commandsOf(inTurn(answer(503)))
      expect((yield* inTime(Effect.flip(troubled.get(workload, "c-1"))))._tag).toBe("Unavailable")
    })
  )

  it.effect("puts every name into the path as it is, whatever is in it", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(404))
      const commands = yield* commandsOf(service)
      yield* Effect.flip(commands.get(new WorkloadRef({ org: "a/b", gvc: "?", name: "x#y" }), "../1"))
      expect(service.asked[0]!.path).toBe("/org/a%2Fb/gvc/%3F/workload/x%23y/-command/..%2F1")
    })
  )
})

describe("a stop", () => {
  const replica = { replica: "command-c-1-abcde", location: "aws-us-west-2" }

  it.effect("names the replica and its location", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(201, "Created", { location: `${path}/s-1` }))
      const commands = yield* commandsOf(service)
      expect(yield* commands.stopReplica(workload, replica)).toBe("asked")
      expect(service.asked[0]).toMatchObject({
        method: "POST",
        path,
        body: { type: "stopReplica", spec: replica }
      })
    })
  )

  const already: ReadonlyArray<readonly [string, Answering]> = [
    ["400 that says that one already exists", answer(400, { message: "A command Already Exists for it" })],
    ["409", answer(409, { message: "conflicting command" })],
    ["404", answer(404)]
  ]
  for (const [after, answering] of already) {
    it.effect(`counts as asked for already after ${after}`, () =>
      Effect.gen(function* () {
        const commands = yield* commandsOf(inTurn(answering))
        expect(yield* commands.stopReplica(workload, replica)).toBe("already")
      })
    )
  }

  it.effect("that is refused for any other reason is an error", () =>
    Effect.gen(function* () {
      const commands = yield* commandsOf(inTurn(answer(400, { message: "no such location" })))
      expect((yield* Effect.flip(commands.stopReplica(workload, replica)))._tag).toBe("Refused")
      const forbidden = yield* commandsOf(inTurn(answer(403)))
      expect((yield* Effect.flip(forbidden.stopReplica(workload, replica)))._tag).toBe("Forbidden")
    })
  )

  it.effect("whose answer was lost is asked for again, by the same replica's name and no other", () =>
    Effect.gen(function* () {
      const service = inTurn(reset, answer(502), answer(400, { message: "already exists" }))
      const commands = yield* commandsOf(service)
      expect(yield* inTime(commands.stopReplica(workload, replica))).toBe("already")
      expect(service.asked.map(({ body }) => body)).toEqual(
        Array.from({ length: 3 }, () => ({ type: "stopReplica", spec: replica }))
      )
    })
  )
})
