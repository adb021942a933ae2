/** Asking for faults: where, how often, how many times, when; and what is said of a rule that makes no sense. */
import { expect, it } from "@effect/vitest"
import { Effect, Random, Result } from "effect"
import { describe } from "vitest"
import { catalogue } from "../../../src/emulator/faults/catalogue.ts"
import { readRule, ruleOfText } from "../../../src/emulator/faults/rule.ts"
import { client, cron, emulator, gvc, location, org, runner, withRunner } from "../harness.ts"
import { commands, fault } from "./asked.ts"

const busy = { what: "server-error" }

describe("a fault", () => {
  it.live("happens where its method, path, workload and tag say, and nowhere else", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.post(`${gvc}/workload`, cron("other"))
      const statuses = Effect.all([
        cpln.get(org),
        cpln.get(runner),
        cpln.get(`${gvc}/workload/other`),
        cpln.post(`${commands}/-query`, {}),
        cpln.post(commands, { type: "runCronWorkload", tags: { team: "a" }, spec: { location } })
      ]).pipe(Effect.map((answers) => answers.map(({ status }) => status)))
      const cases: ReadonlyArray<readonly [Record<string, unknown>, ReadonlyArray<number>]> = [
        [{}, [503, 503, 503, 503, 503]],
        [{ method: "GET" }, [503, 503, 503, 200, 201]],
        [{ path: "/org/*" }, [503, 200, 200, 200, 201]],
        [{ path: "/org/**" }, [503, 503, 503, 503, 503]],
        [{ workload: "runner" }, [200, 503, 200, 503, 503]],
        [{ workload: "o*" }, [200, 200, 503, 200, 201]],
        [{ tag: "team" }, [200, 200, 200, 200, 503]],
        [{ tag: "team=b" }, [200, 200, 200, 200, 201]],
        [{ tag: { team: "a*" }, method: "POST,PUT" }, [200, 200, 200, 200, 503]]
      ]
      for (const [where, expected] of cases) {
        yield* cpln.remove("/emulator/faults")
        yield* fault(cpln, { ...busy, where })
        expect([where, yield* statuses]).toEqual([where, expected])
      }
    })
  )

  it.live("happens so many times, after so many others, and within its time", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      const seen = (requests: number) =>
        Effect.map(
          Effect.replicateEffect(cpln.get(org), requests),
          (answers) => answers.filter(({ status }) => status === 503).length
        )
      const some = yield* fault(cpln, { ...busy, skip: 2, times: 3 })
      expect([yield* seen(2), yield* seen(8), yield* some]).toEqual([0, 3, 3])
      yield* cpln.remove("/emulator/faults")
      yield* fault(cpln, { ...busy, from: 0.3, until: 0.6 })
      expect(yield* seen(1)).toBe(0)
      yield* Effect.sleep(400)
      expect(yield* seen(1)).toBe(1)
      yield* Effect.sleep(300)
      expect(yield* seen(1)).toBe(0)
    })
  )

  it.live("happens by chance, and the same seed has the same chances", () =>
    Effect.gen(function* () {
      const pattern = Effect.gen(function* () {
        const cpln = yield* emulator()
        const fired = yield* fault(cpln, { ...busy, probability: 0.5 })
        const answers = yield* Effect.replicateEffect(cpln.get(org), 40)
        const hits = answers.map(({ status }) => (status === 503 ? "x" : ".")).join("")
        expect(yield* fired).toBe(hits.replaceAll(".", "").length)
        return hits
      })
      const first = yield* Random.withSeed(pattern, "one seed")
      expect(first).toMatch(/x/u)
      expect(first).toMatch(/\./u)
      expect(yield* Random.withSeed(pattern, "one seed")).toBe(first)
      expect(yield* Random.withSeed(pattern, "another")).not.toBe(first)
    })
  )

  it.live("can be there from the start, and is listed, read and taken back", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator({ faults: [Result.getOrThrow(ruleOfText("server-error status=500"))] })
      expect((yield* cpln.get(org)).status).toBe(500)
      const { json } = yield* cpln.get("/emulator/faults")
      expect(json.items).toEqual([
        expect.objectContaining({ what: "server-error", status: 500, when: "before", matched: 1, fired: 1 })
      ])
      const path = `/emulator/faults/${json.items[0].id}`
      expect((yield* cpln.get(path)).status).toBe(200)
      expect((yield* cpln.remove(path)).status).toBe(200)
      expect((yield* cpln.remove(path)).status).toBe(404)
      expect((yield* cpln.get(org)).status).toBe(200)
    })
  )

  it.live("is for whoever has the emulator's own token", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      yield* cpln.post(`${org}/serviceaccount`, { name: "robot" })
      const { json } = yield* cpln.post(`${org}/serviceaccount/robot/-addKey`, {})
      for (const [authorization, status] of [
        [json.key, 403],
        ["wrong", 401],
        [null, 401]
      ] as const) {
        const other = client(cpln.url, authorization)
        for (const answer of yield* Effect.all([
          other.post("/emulator/faults", busy),
          other.get("/emulator/faults"),
          other.remove("/emulator/faults")
        ])) {
          expect(answer.status).toBe(status)
        }
      }
      expect((yield* cpln.get("/emulator/faults")).json.items).toEqual([])
    })
  )

  it.live("of several in one request is taken only when all make sense, and there is a bound", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      const wrong = yield* cpln.post("/emulator/faults", [busy, { what: "oom", secnds: 1 }])
      expect([wrong.status, wrong.json.message]).toEqual([
        400,
        expect.stringMatching(/\[1\] "secnds" is not known: oom takes seconds, jitter/u)
      ])
      expect((yield* cpln.get("/emulator/faults")).json.items).toHaveLength(0)
      expect((yield* cpln.post("/emulator/faults", [busy, { what: "oom" }])).json.items).toHaveLength(2)
      const many = Array.from({ length: 199 }, () => busy)
      expect((yield* cpln.post("/emulator/faults", many)).status).toBe(400)
    })
  )
})

describe("a rule", () => {
  it.each<readonly [unknown, RegExp]>([
    [undefined, /must be an object/u],
    [{}, /"what" is required: use one of latency, server-error/u],
    [{ what: "constructor" }, /"constructor" is no fault/u],
    [{ what: "oom", where: "runner" }, /"where" must be an object/u],
    [
      { what: "oom", where: { path: "/x" } },
      /"where.path" is not known: oom can be narrowed by workload, tag/u
    ],
    [{ what: "latency", where: { method: "FETCH" } }, /"where.method" must be of GET, POST/u],
    [{ what: "latency", where: { path: "" } }, /"where.path" must be a path/u],
    [{ what: "latency", where: { tag: {} } }, /"where.tag" must be NAME, NAME=VALUE/u],
    [{ what: "latency", seconds: -1 }, /"seconds" must be a number from 0 to 86400/u],
    [{ what: "latency", seconds: "soon" }, /"seconds" must be a number/u],
    [{ what: "latency", probability: 2 }, /"probability" must be a number from 0 to 1/u],
    [{ what: "latency", times: 1.5 }, /"times" must be a whole number/u],
    [{ what: "latency", from: 2, until: 1 }, /"until" must be after "from"/u],
    [{ what: "dropped", when: "never" }, /"when" must be one of before, after/u],
    [{ what: "server-error", status: 404 }, /"status" must be a number from 500 to 599/u]
  ])("%j is refused with what is wrong with it", (rule, problem) => {
    const read = readRule(rule as never)
    expect(Result.isFailure(read) ? read.failure.join("; ") : "").toMatch(problem)
  })

  it("has a value for every parameter, whatever the fault", () => {
    for (const [what, { parameters }] of Object.entries(catalogue)) {
      const rule = Result.getOrThrow(readRule({ what }))
      expect(Object.keys(rule.parameters)).toEqual(Object.keys(parameters))
      for (const value of Object.values(rule.parameters)) expect(value).not.toBeNaN()
    }
  })

  it("of whatever shape is read or refused, and never breaks anything", () => {
    const values = [null, 0, -1, 1e308, "", "x", "*", "[", "__proto__", [], [[]], {}, { a: {} }, true]
    const keys = [
      "what",
      "where",
      "probability",
      "times",
      "skip",
      "from",
      "until",
      "seconds",
      "status",
      "stage"
    ]
    for (const what of [...Object.keys(catalogue), "x"]) {
      for (const key of keys) {
        for (const value of values) {
          const read = readRule({ what, [key]: value })
          if (Result.isFailure(read)) expect(read.failure.length).toBeGreaterThan(0)
        }
      }
      for (const key of ["method", "path", "workload", "container", "tag", "constructor"]) {
        for (const value of values) readRule({ what, where: { [key]: value } })
      }
    }
  })

  it("can be written in one line", () => {
    const rule = Result.getOrThrow(
      ruleOfText(`latency method=post path=/org/*/gvc workload="run*" tag=a=b seconds=0.5 times=3`)
    )
    expect(rule).toMatchObject({ what: "latency", times: 3, parameters: { seconds: 0.5, jitter: 0 } })
    expect(rule.where.methods).toEqual(["POST"])
    expect(rule.where.tags).toEqual([{ name: "a", value: /^b$/u }])
    for (const text of ["", "oom 3", "oom =3", "oom seconds"]) {
      expect(Result.isFailure(ruleOfText(text))).toBe(true)
    }
  })
})
