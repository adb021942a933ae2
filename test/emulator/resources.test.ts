/** What all kinds of objects share: create, replace, change, delete, list, query. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { cron, emulator, gvc, location, org, runner, withRunner } from "./harness.ts"

describe("making objects", () => {
  it.live("POST answers 201 with the text Created and the new object's path in Location", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const answer = yield* cpln.post(`${gvc}/identity`, {
        name: "robot",
        description: "of the tests",
        tags: { a: 1 }
      })
      expect([answer.status, answer.text, answer.headers.get("location")]).toEqual([
        201,
        "Created",
        `${gvc}/identity/robot`
      ])
      const { json } = yield* cpln.get(`${gvc}/identity/robot`)
      expect(json).toMatchObject({
        kind: "identity",
        name: "robot",
        description: "of the tests",
        tags: { a: 1 },
        version: 1,
        gvc: "dev",
        links: expect.arrayContaining([
          { rel: "self", href: `${gvc}/identity/robot` },
          { rel: "org", href: org },
          { rel: "gvc", href: gvc }
        ])
      })
      expect(json.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u)
      expect(Date.parse(json.created)).toBeGreaterThan(Date.now() - 60_000)
    })
  )

  it.live("POST of a name that exists is a 409 and changes nothing", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const before = yield* cpln.get(runner)
      const again = yield* cpln.post(`${gvc}/workload`, { ...cron("runner"), description: "another" })
      expect(again.status).toBe(409)
      expect(again.json.message).toContain("already exists")
      expect((yield* cpln.get(runner)).json).toEqual(before.json)
    })
  )

  it.live("of many who create one name at once, one succeeds", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const answers = yield* Effect.forEach(
        Array.from({ length: 20 }),
        () => cpln.post(`${gvc}/workload`, cron("contested")),
        { concurrency: "unbounded" }
      )
      expect(answers.map(({ status }) => status).sort()).toEqual([
        201,
        ...Array.from({ length: 19 }, () => 409)
      ])
    })
  )

  it.live("PUT on the collection creates with 201, then replaces with 200 and raises the version", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const body = { kind: "identity", name: "robot", gvc: "dev", tags: { one: "1" } }
      expect((yield* cpln.put(`${gvc}/identity`, body)).status).toBe(201)
      expect((yield* cpln.put(`${gvc}/identity`, { ...body, tags: { two: "2" } })).status).toBe(200)
      const { json } = yield* cpln.get(`${gvc}/identity/robot`)
      expect([json.version, json.tags]).toEqual([2, { two: "2" }])
    })
  )

  it.live("PUT on the object replaces it, and is a 404 where there is none", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.post(`${gvc}/identity`, { name: "robot", tags: { one: "1" } })
      expect((yield* cpln.put(`${gvc}/identity/robot`, { tags: {} })).status).toBe(200)
      expect((yield* cpln.get(`${gvc}/identity/robot`)).json.tags).toEqual({})
      expect((yield* cpln.put(`${gvc}/identity/none`, { tags: {} })).status).toBe(404)
      expect((yield* cpln.put(`${gvc}/identity/robot`, { name: "other" })).status).toBe(400)
    })
  )

  it.live("PUT with dryRun says what would be stored, and stores nothing", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const fresh = yield* cpln.put(`${gvc}/workload?dryRun=true`, cron("dry"))
      expect([fresh.status, fresh.json.name, fresh.json.version]).toEqual([200, "dry", 1])
      expect(fresh.json.spec.containers[0].cpu).toBe("50m")
      expect((yield* cpln.get(`${gvc}/workload/dry`)).status).toBe(404)
      const before = yield* cpln.get(runner)
      const change = yield* cpln.put(`${gvc}/workload?dryRun=true`, { ...cron("runner"), tags: { new: "1" } })
      expect([change.json.version, change.json.tags, change.json.id]).toEqual([
        2,
        { new: "1" },
        before.json.id
      ])
      expect((yield* cpln.get(runner)).json).toEqual(before.json)
      expect((yield* cpln.put(`${gvc}/workload?dryRun=true`, cron("Bad"))).status).toBe(400)
    })
  )

  it.live("a stale version is a 409, the current one and none at all are taken", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.patch(runner, { tags: { a: "1" } })
      for (const write of [
        cpln.patch(runner, { version: 1 }),
        cpln.put(runner, { ...cron("runner"), version: 1 })
      ]) {
        const { status, json } = yield* write
        expect([status, json.status]).toEqual([409, 409])
      }
      expect((yield* cpln.patch(runner, { version: 2, tags: { b: "1" } })).status).toBe(200)
      expect((yield* cpln.patch(runner, { tags: { c: "1" } })).status).toBe(200)
      expect((yield* cpln.get(runner)).json.tags).toEqual({ a: "1", b: "1", c: "1" })
    })
  )

  it.live("names, descriptions and tags are held to the service's rules", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const many = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`k${index}`, "v"]))
      const wrong: ReadonlyArray<readonly [Record<string, unknown>, RegExp]> = [
        [{}, /"name" is required/u],
        [{ name: 5 }, /"name" is required/u],
        [{ name: "Upper" }, /lower-case/u],
        [{ name: "1st" }, /lower-case/u],
        [{ name: "ends-" }, /dash/u],
        [{ name: "-starts" }, /lower-case/u],
        [{ name: "x".repeat(64) }, /63/u],
        [{ name: "ok", description: "x".repeat(251) }, /250/u],
        [{ name: "ok", tags: [] }, /"tags" must be an object/u],
        [{ name: "ok", tags: { a: {} } }, /tags\.a/u],
        [{ name: "ok", tags: many }, /at most 50/u],
        [{ name: "ok", kind: "secret" }, /"kind" must be \[identity\]/u],
        [{ name: "ok", gvc: "other" }, /"gvc" must be \[dev\]/u]
      ]
      for (const [body, message] of wrong) {
        const answer = yield* cpln.post(`${gvc}/identity`, body)
        expect([body, answer.status]).toEqual([body, 400])
        expect(answer.json.message).toMatch(message)
      }
      expect(
        (yield* cpln.post(`${gvc}/identity`, { name: "x".repeat(63), tags: { a: null, b: true } })).status
      ).toBe(201)
    })
  )

  it.live("short links become full ones", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.post(`${gvc}/identity`, { name: "robot" })
      yield* cpln.post(`${org}/policy`, {
        name: "reveal",
        targetKind: "secret",
        targetLinks: ["//secret/a"],
        bindings: [{ permissions: ["reveal"], principalLinks: ["//gvc/dev/identity/robot"] }]
      })
      const { json } = yield* cpln.get(`${org}/policy/reveal`)
      expect(json.targetLinks).toEqual([`${org}/secret/a`])
      expect(json.bindings[0].principalLinks).toEqual([`${gvc}/identity/robot`])
      expect((yield* cpln.get(gvc)).json.spec.staticPlacement.locationLinks).toEqual([
        `${org}/location/${location}`
      ])
      yield* cpln.patch(runner, { spec: { identityLink: "//identity/robot" } })
      expect((yield* cpln.get(runner)).json.spec.identityLink).toBe(`${gvc}/identity/robot`)
    })
  )
})

describe("changing objects", () => {
  it.live("PATCH merges deeply, and its operators patch, append, drop and replace", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner(
        {},
        {
          containers: [
            { name: "main", image: "a:1", args: ["one"], env: [{ name: "A", value: "1" }] },
            { name: "side", image: "b:1" }
          ]
        }
      )
      const containers = () => Effect.map(cpln.get(runner), ({ json }) => json.spec.containers)
      yield* cpln.patch(runner, { spec: { job: { historyLimit: 3 } } })
      expect((yield* cpln.get(runner)).json.spec.job).toMatchObject({
        schedule: "* * * * *",
        historyLimit: 3
      })
      yield* cpln.patch(runner, { spec: { "$patch/containers": [{ name: "main", image: "a:2" }] } })
      expect(yield* containers()).toMatchObject([{ image: "a:2", args: ["one"] }, { image: "b:1" }])
      yield* cpln.patch(runner, {
        spec: { "$patch/containers": [{ name: "main", "$append/args": ["two"], "$drop/env": ["A"] }] }
      })
      expect(yield* containers()).toMatchObject([{ args: ["one", "two"], env: [] }, {}])
      yield* cpln.patch(runner, { spec: { "$drop/containers": ["side"] } })
      expect((yield* containers()).map(({ name }: { name: string }) => name)).toEqual(["main"])
      yield* cpln.patch(runner, { spec: { "$replace/containers": [{ name: "only", image: "c:1" }] } })
      expect((yield* containers()).map(({ name }: { name: string }) => name)).toEqual(["only"])
      const { text } = yield* cpln.get(runner)
      expect(text).not.toContain("$")
    })
  )

  it.live("a tag set to null goes, the others stay; $replace/tags takes all", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const tags = () => Effect.map(cpln.get(runner), ({ json }) => json.tags)
      yield* cpln.patch(runner, { tags: { a: "1", b: "2" } })
      yield* cpln.patch(runner, { tags: { a: null } })
      expect(yield* tags()).toEqual({ b: "2" })
      yield* cpln.patch(runner, { "$replace/tags": { c: "3" } })
      expect(yield* tags()).toEqual({ c: "3" })
    })
  )

  it.live("a PATCH that breaks a rule is a 400 and changes nothing", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const before = (yield* cpln.get(runner)).json
      const wrong = [
        { spec: { type: "standard" } },
        { spec: { job: { historyLimit: 11 } } },
        { spec: { containers: [] } },
        { spec: { nonsense: true } },
        { name: "other" },
        { tags: { a: [] } },
        { description: 5 }
      ]
      for (const change of wrong) {
        expect([change, (yield* cpln.patch(runner, change)).status]).toEqual([change, 400])
      }
      expect((yield* cpln.patch(runner, { spec: { type: "standard" } })).json.message).toBe(
        "Workload type may not be changed"
      )
      expect((yield* cpln.get(runner)).json).toEqual(before)
    })
  )

  it.live("numbers and booleans are taken as text, which is how the vendor's CLI sends them", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.patch(runner, {
        spec: { job: { historyLimit: "3" }, defaultOptions: { suspend: "false" } }
      })
      const { spec } = (yield* cpln.get(runner)).json
      expect([spec.job.historyLimit, spec.defaultOptions.suspend]).toEqual([3, false])
      expect((yield* cpln.patch(runner, { spec: { job: { historyLimit: "many" } } })).status).toBe(400)
    })
  )
})

describe("deleting objects", () => {
  it.live("DELETE answers 202, then the object is a 404", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      expect((yield* cpln.remove(runner)).status).toBe(202)
      expect((yield* cpln.get(runner)).status).toBe(404)
      expect((yield* cpln.remove(runner)).status).toBe(404)
    })
  )

  it.live("a GVC takes all that is in it along", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.post(`${gvc}/identity`, { name: "robot" })
      yield* cpln.remove(gvc)
      yield* cpln.post(`${org}/gvc`, { name: "dev" })
      for (const path of [runner, `${gvc}/identity/robot`]) expect((yield* cpln.get(path)).status).toBe(404)
    })
  )

  it.live("the tag cpln/protected keeps an object", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      yield* cpln.patch(runner, { tags: { "cpln/protected": "true" } })
      expect((yield* cpln.remove(runner)).status).toBe(400)
      yield* cpln.patch(runner, { tags: { "cpln/protected": null } })
      expect((yield* cpln.remove(runner)).status).toBe(202)
    })
  )
})

describe("secrets", () => {
  it.live("a GET hides the data, -reveal shows it, and writing the object back keeps it", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      const path = `${org}/secret/login`
      yield* cpln.post(`${org}/secret`, {
        name: "login",
        type: "dictionary",
        data: { user: "me", password: "hidden" }
      })
      const read = yield* cpln.get(path)
      expect(read.text).not.toContain("hidden")
      expect((yield* cpln.get(`${path}/-reveal`)).json.data).toEqual({ user: "me", password: "hidden" })
      expect((yield* cpln.put(path, { ...read.json, tags: { a: "1" } })).status).toBe(200)
      expect((yield* cpln.get(`${path}/-reveal`)).json).toMatchObject({
        tags: { a: "1" },
        data: { user: "me" }
      })
      expect((yield* cpln.get(`${org}/secret`)).text).not.toContain("hidden")
      expect((yield* cpln.get(`${org}/secret/none/-reveal`)).status).toBe(404)
    })
  )

  it.live("types and data are checked", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      const wrong = [
        { name: "a", type: "mystery", data: {} },
        { name: "a", data: {} },
        { name: "a", type: "opaque" },
        { name: "a", type: "opaque", data: { encoding: "plain" } },
        { name: "a", type: "opaque", data: { payload: "x", encoding: "rot13" } },
        { name: "a", type: "dictionary", data: { a: 1 } }
      ]
      for (const body of wrong)
        expect([body, (yield* cpln.post(`${org}/secret`, body)).status]).toEqual([body, 400])
      expect((yield* cpln.post(`${org}/secret`, { name: "a", type: "docker", data: "{}" })).status).toBe(201)
    })
  )
})

describe("GVCs and locations", () => {
  it.live("each org has its locations, which nobody can make or delete", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      const { json } = yield* cpln.get(`${org}/location`)
      expect(json.items.map(({ name }: { name: string }) => name)).toContain(location)
      expect((yield* cpln.get(`${org}/location/${location}`)).json).toMatchObject({
        provider: "aws",
        region: "us-west-2",
        spec: { enabled: true }
      })
      expect((yield* cpln.remove(`${org}/location/${location}`)).status).toBe(405)
      expect((yield* cpln.get("/org")).json.items.map(({ name }: { name: string }) => name)).toEqual([
        "acme",
        "empty"
      ])
    })
  )

  it.live("a GVC is placed only in locations that exist", () =>
    Effect.gen(function* () {
      const cpln = yield* emulator()
      for (const link of ["//location/mars", `/org/empty/location/${location}`, 5, location]) {
        const body = { name: "x", spec: { staticPlacement: { locationLinks: [link] } } }
        expect([link, (yield* cpln.post(`${org}/gvc`, body)).status]).toEqual([link, 400])
      }
    })
  )

  it.live("orgs know nothing of each other", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      expect((yield* cpln.get("/org/empty/gvc")).json.items).toEqual([])
      expect((yield* cpln.get("/org/empty/gvc/dev")).status).toBe(404)
    })
  )
})

describe("lists and queries", () => {
  const many = Effect.fnUntraced(function* (count: number, pageSize: number) {
    const cpln = yield* withRunner({ pageSize })
    yield* cpln.remove(runner)
    for (let index = 0; index < count; index++) {
      yield* cpln.post(`${gvc}/workload`, {
        ...cron(`w-${index}`),
        tags: { parity: index % 2 === 0 ? "even" : "odd", ...(index < 2 ? { rare: true } : {}) }
      })
    }
    return cpln
  })
  const namesOf = (
    pages: ReadonlyArray<{ readonly json: { readonly items: ReadonlyArray<{ readonly name: string }> } }>
  ) => pages.flatMap(({ json }) => json.items.map(({ name }) => name))

  it.live("a list comes in pages by GET of the next link, in order of creation", () =>
    Effect.gen(function* () {
      const cpln = yield* many(7, 3)
      const pages = yield* cpln.pages(yield* cpln.get(`${gvc}/workload`))
      expect(pages.map(({ json }) => [json.kind, json.itemKind, json.items.length])).toEqual([
        ["list", "workload", 3],
        ["list", "workload", 3],
        ["list", "workload", 1]
      ])
      expect(namesOf(pages)).toEqual(Array.from({ length: 7 }, (_, index) => `w-${index}`))
      expect(namesOf(yield* cpln.pages(yield* cpln.get(`${org}/workload`)))).toHaveLength(7)
    })
  )

  it.live("objects that come and go between pages make no other appear twice or be missed", () =>
    Effect.gen(function* () {
      const cpln = yield* many(7, 3)
      const first = yield* cpln.get(`${gvc}/workload`)
      yield* cpln.remove(`${gvc}/workload/w-0`)
      yield* cpln.remove(`${gvc}/workload/w-2`)
      yield* cpln.remove(`${gvc}/workload/w-4`)
      yield* cpln.post(`${gvc}/workload`, cron("w-new"))
      expect(namesOf(yield* cpln.pages(first))).toEqual(["w-0", "w-1", "w-2", "w-3", "w-5", "w-6", "w-new"])
    })
  )

  it.live("a query is answered as one, and its next page is a GET that goes on with it", () =>
    Effect.gen(function* () {
      const cpln = yield* many(7, 2)
      const first = yield* cpln.post(`${org}/workload/-query`, {
        kind: "workload",
        fetch: "items",
        spec: {
          match: "all",
          terms: [
            { op: "=", rel: "gvc", value: "dev" },
            { op: "=", tag: "parity", value: "even" }
          ],
          sort: { by: "name", order: "desc" }
        }
      })
      const pages = yield* cpln.pages(first)
      expect(pages.map(({ json }) => json.kind)).toEqual(["queryresult", "queryresult"])
      expect(namesOf(pages)).toEqual(["w-6", "w-4", "w-2", "w-0"])
    })
  )

  const found: ReadonlyArray<
    readonly [string, ReadonlyArray<Record<string, unknown>>, ReadonlyArray<string>, string?]
  > = [
    ["a tag that equals", [{ tag: "parity", value: "odd" }], ["w-1", "w-3"]],
    ["a boolean tag by its text", [{ op: "=", tag: "rare", value: "true" }], ["w-0", "w-1"]],
    ["a tag that exists", [{ op: "exists", tag: "rare" }], ["w-0", "w-1"]],
    ["a tag that does not exist", [{ op: "!exists", tag: "rare" }], ["w-2", "w-3"]],
    ["a tag that differs", [{ op: "!=", tag: "parity", value: "odd" }], ["w-0", "w-2"]],
    ["a name", [{ op: "=", property: "name", value: "w-3" }], ["w-3"]],
    ["a part of a name", [{ op: "~", property: "name", value: "-3" }], ["w-3"]],
    ["a type", [{ property: "type", value: "cron" }], ["w-0", "w-1", "w-2", "w-3"]],
    ["another type", [{ property: "type", value: "standard" }], []],
    ["another GVC", [{ rel: "gvc", value: "other" }], []],
    ["a bound", [{ op: ">=", property: "name", value: "w-2" }], ["w-2", "w-3"]],
    [
      "any of two",
      [
        { property: "name", value: "w-0" },
        { property: "name", value: "w-3" }
      ],
      ["w-0", "w-3"],
      "any"
    ],
    [
      "none of two",
      [
        { property: "name", value: "w-0" },
        { property: "name", value: "w-3" }
      ],
      ["w-1", "w-2"],
      "none"
    ]
  ]
  it.live("queries find by tag, property and rel", () =>
    Effect.gen(function* () {
      const cpln = yield* many(4, 50)
      for (const [what, terms, names, match = "all"] of found) {
        const answer = yield* cpln.post(`${org}/workload/-query`, { spec: { match, terms } })
        expect([what, namesOf([answer])]).toEqual([what, names])
      }
      const links = yield* cpln.post(`${org}/workload/-query`, {
        fetch: "links",
        spec: { terms: [{ property: "name", value: "w-0" }] }
      })
      expect(links.json.items).toEqual([`${gvc}/workload/w-0`])
    })
  )

  it.live("a query that makes no sense, and a cursor of somebody else, are a 400", () =>
    Effect.gen(function* () {
      const cpln = yield* withRunner()
      const wrong = [
        { spec: { match: "some" } },
        { spec: { terms: [{}] } },
        { spec: { terms: [{ tag: "a", property: "b", value: "c" }] } },
        { spec: { terms: [{ tag: "a" }] } },
        { spec: { terms: [{ op: "like", tag: "a", value: "b" }] } },
        { spec: { terms: {} } },
        { spec: { sort: { by: "name", order: "up" } } },
        { fetch: "all" },
        []
      ]
      for (const body of wrong) {
        expect([body, (yield* cpln.post(`${org}/workload/-query`, body)).status]).toEqual([body, 400])
      }
      for (const cursor of [
        "nonsense",
        "e30",
        Buffer.from('{"query":{"spec":{"match":1}}}').toString("base64url")
      ]) {
        expect((yield* cpln.get(`${gvc}/workload?next=${cursor}`)).status).toBe(400)
      }
    })
  )
})
