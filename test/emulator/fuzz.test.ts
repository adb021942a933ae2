/**
 * Arbitrary requests from one printed seed: whatever comes, the answer is never a 500, and what is stored stays consistent.
 *
 * `FUZZ_SEED` and `FUZZ_REQUESTS` repeat or lengthen it; `scripts/test fuzz` sends a hundred thousand. Some are under way at
 * once, so that a seed repeats what is sent, but not in which order it is carried out.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { describe } from "vitest"
import { type Client, cron, gvc, location, org, runner, withRunner } from "./harness.ts"

const seed = process.env["FUZZ_SEED"] ?? String(Date.now())
const atOnce = 20
const requests = Number(process.env["FUZZ_REQUESTS"] ?? 10_000)

const one = <A>(all: ReadonlyArray<A>) =>
  Effect.map(Random.nextIntBetween(0, all.length - 1), (index) => all[index]!)
const chance = (share: number) => Effect.map(Random.next, (drawn) => drawn < share)

const names = [
  "runner",
  "w-1",
  "w-2",
  "robot",
  "dev",
  "x",
  "A B",
  "-dash",
  "constructor",
  "__proto__",
  "",
  "ü",
  "%",
  location
]
const segments = [
  ...names,
  "org",
  "acme",
  "empty",
  "gvc",
  "dev",
  "workload",
  "runner",
  "deployment",
  "-command",
  "-query",
  "-reveal",
  "-addKey",
  "identity",
  "secret",
  "policy",
  "location",
  "serviceaccount",
  "replicas",
  "logs",
  "loki",
  "api",
  "v1",
  "query_range",
  "emulator",
  "jobs",
  "end",
  "discovery",
  "about",
  "..",
  "toString"
]
const keys = [
  "name",
  "kind",
  "spec",
  "type",
  "tags",
  "version",
  "description",
  "containers",
  "job",
  "schedule",
  "image",
  "env",
  "value",
  "command",
  "args",
  "cpu",
  "memory",
  "location",
  "containerOverrides",
  "replica",
  "data",
  "payload",
  "match",
  "terms",
  "op",
  "property",
  "tag",
  "rel",
  "sort",
  "by",
  "order",
  "fetch",
  "staticPlacement",
  "locationLinks",
  "$append/containers",
  "$patch/containers",
  "$drop/tags",
  "$replace/spec",
  "identityLink",
  "targetLinks",
  "bindings",
  "volumes",
  "uri",
  "path",
  "firewallConfig",
  "defaultOptions",
  "autoscaling",
  "suspend",
  "exitCode",
  "constructor",
  "toString",
  "hasOwnProperty",
  "activeDeadlineSeconds",
  "historyLimit",
  "rolloutOptions",
  "links",
  "status",
  "id"
]
const texts = [
  ...names,
  "runCronWorkload",
  "stopReplica",
  "cron",
  "standard",
  "* * * * *",
  "all",
  "any",
  "=",
  "!exists",
  "~",
  "created",
  "asc",
  "100m",
  "1Gi",
  "cpln://secret/x.y",
  "//identity/robot",
  `//location/${location}`,
  "\u0000",
  "x".repeat(5000),
  "items"
]
const numbers = [0, 1, -1, 1.5, 1e21, 255, 2 ** 31, 5]

const scalar = Effect.gen(function* () {
  const kind = yield* Random.nextIntBetween(0, 5)
  if (kind === 0) return yield* one(numbers)
  if (kind === 1) return yield* Random.nextBoolean
  if (kind === 2) return null
  return yield* one(texts)
})

const value = (depth: number): Effect.Effect<unknown> =>
  Effect.gen(function* () {
    const kind = yield* Random.nextIntBetween(0, 5)
    if (depth === 0 || kind < 2) return yield* scalar
    const size = yield* Random.nextIntBetween(0, 4)
    if (kind === 2) return yield* Effect.replicateEffect(value(depth - 1), size)
    return Object.fromEntries(
      yield* Effect.replicateEffect(Effect.all([one(keys), value(depth - 1)]), size)
    ) as Record<string, unknown>
  })

/** Bodies that are right, so that fuzz gets past the first check. */
const templates: ReadonlyArray<Record<string, unknown>> = [
  cron("w-1"),
  cron("w-2", { containers: [{ name: "main", image: "x", env: [{ name: "A", value: "b" }] }] }),
  {
    type: "runCronWorkload",
    tags: { a: "b" },
    spec: { location, containerOverrides: [{ name: "main", args: ["x"] }] }
  },
  { type: "stopReplica", spec: { location, replica: "command-x" } },
  {
    spec: {
      match: "any",
      terms: [{ property: "lifecycleStage", value: "running" }],
      sort: { by: "created", order: "desc" }
    }
  },
  { name: "robot", type: "dictionary", data: { a: "b" }, tags: {} },
  { name: "dev", spec: { staticPlacement: { locationLinks: [`//location/${location}`] } } },
  {
    name: "w-3",
    spec: {
      type: "stateful",
      containers: [{ name: "main", image: "x", ports: [{ number: 8080 }] }],
      defaultOptions: { autoscaling: { minScale: 2, maxScale: 2 }, suspend: false }
    }
  },
  {
    name: "dev",
    spec: {
      staticPlacement: { locationQuery: { spec: { terms: [{ property: "provider", value: "aws" }] } } }
    }
  },
  {
    name: "p",
    targetKind: "secret",
    bindings: [{ permissions: ["reveal"], principalLinks: ["//identity/robot"] }]
  }
]

/** One place of a document changed to anything. */
const mutated = (document: unknown): Effect.Effect<unknown> =>
  Effect.gen(function* () {
    if (typeof document !== "object" || document === null || (yield* chance(0.2))) return yield* value(2)
    if (Array.isArray(document)) {
      const items = document as ReadonlyArray<unknown>
      if (items.length === 0) return [yield* value(1)]
      const index = yield* Random.nextIntBetween(0, items.length - 1)
      return items.with(index, yield* mutated(items[index]))
    }
    const entries = document as Record<string, unknown>
    const key = (yield* chance(0.2)) ? yield* one(keys) : yield* one([...Object.keys(entries), "name"])
    return (yield* chance(0.2))
      ? Object.fromEntries(Object.entries(entries).filter(([each]) => each !== key))
      : { ...entries, [key]: yield* mutated(entries[key]) }
  })

const places = [
  org,
  `${org}/gvc`,
  gvc,
  `${gvc}/workload`,
  runner,
  `${gvc}/workload/w-1`,
  `${runner}/-command`,
  `${runner}/-command/-query`,
  `${runner}/deployment`,
  `${gvc}/workload/w-3`,
  `${gvc}/workload/w-3/deployment`,
  `/replicas${gvc}/workload/w-3`,
  `${org}/workload/-query`,
  `${gvc}/identity`,
  `${gvc}/identity/robot`,
  `${org}/secret`,
  `${org}/secret/robot`,
  `${org}/secret/robot/-reveal`,
  `${org}/policy`,
  `${org}/serviceaccount/robot/-addKey`,
  `${org}/location/${location}`,
  `/replicas${runner}`,
  "/logs/org/acme/loki/api/v1/query_range",
  "/emulator/jobs"
]

const path = Effect.gen(function* () {
  if (yield* chance(0.7)) return yield* one(places)
  const size = yield* Random.nextIntBetween(0, 9)
  const parts = yield* Effect.replicateEffect(one(segments), size)
  return `/${parts.map((part) => (part === "%" ? part : encodeURIComponent(part))).join("/")}`
})

const params = Effect.gen(function* () {
  if (yield* chance(0.7)) return ""
  const name = yield* one([
    "next",
    "dryRun",
    "query",
    "limit",
    "start",
    "end",
    "direction",
    "tag",
    "running",
    "x"
  ])
  const drawn = yield* one([
    ...texts,
    "true",
    "e30",
    "9".repeat(40),
    `{gvc="dev"}`,
    `{gvc=~"("}`,
    Buffer.from(`{"query":{},"key":"","order":-1}`).toString("base64url")
  ])
  return `?${name}=${encodeURIComponent(drawn)}`
})

const bodyText = Effect.gen(function* () {
  if (yield* chance(0.05)) return yield* one(["", "{", "[]", "null", "5", '"x"', "\u0000", "[".repeat(100)])
  const body = (yield* chance(0.7)) ? yield* Effect.flatMap(one(templates), mutated) : yield* value(4)
  return JSON.stringify(body)
})

/** Where each of the templates belongs. */
const aimed: ReadonlyArray<readonly [method: string, path: string, template: number]> = [
  ["POST", `${gvc}/workload`, 0],
  ["PUT", `${gvc}/workload`, 0],
  ["PUT", runner, 1],
  ["PATCH", runner, 1],
  ["POST", `${gvc}/workload`, 1],
  ["POST", `${runner}/-command`, 2],
  ["POST", `${runner}/-command`, 2],
  ["POST", `${gvc}/workload/w-1/-command`, 3],
  ["POST", `${runner}/-command/-query`, 4],
  ["POST", `${org}/workload/-query`, 4],
  ["PUT", `${org}/secret`, 5],
  ["POST", `${org}/serviceaccount`, 5],
  ["POST", `${gvc}/identity`, 5],
  ["PUT", `${org}/gvc`, 6],
  ["PATCH", gvc, 6],
  ["PUT", `${gvc}/workload`, 7],
  ["PUT", `${org}/gvc`, 8],
  ["PUT", `${org}/policy`, 9],
  ["POST", `${gvc}/volumeset`, 5]
]

const drawn = Effect.gen(function* () {
  if (yield* chance(0.5)) {
    const [method, where, template] = yield* one(aimed)
    const document = templates[template]
    return { method, where, body: JSON.stringify((yield* chance(0.4)) ? document : yield* mutated(document)) }
  }
  const method = yield* one(["GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
  const where = `${yield* path}${yield* params}`
  return { method, where, body: method === "GET" || method === "HEAD" ? undefined : yield* bodyText }
})

/** Sends them together; each answer has to be one of the service's. */
const volley = Effect.fnUntraced(function* (cpln: Client, seen: Set<number>) {
  const asked = yield* Effect.replicateEffect(drawn, atOnce)
  yield* Effect.forEach(
    asked,
    ({ method, where, body }) =>
      Effect.map(cpln.call(method, where, body), ({ headers, json, status, text }) => {
        seen.add(status)
        if (status < 400) return
        // The page is for people, its refusal too.
        const isPage = headers.get("content-type")?.startsWith("text/html") === true
        const isRight = status < 500 && (method === "HEAD" || isPage || json?.status === status)
        if (!isRight) {
          expect.fail(`${method} ${where} ${String(body).slice(0, 500)} → ${status} ${text.slice(0, 300)}`)
        }
      }),
    { concurrency: "unbounded", discard: true }
  )
})

describe(`${requests} arbitrary requests, seed ${seed}`, () => {
  it.live(
    "are never a 500, errors have the error body, and the state stays consistent",
    () =>
      Effect.gen(function* () {
        const cpln = yield* withRunner({ runFor: 20, startDelay: 5, pageSize: 5 })
        const seen = new Set<number>()
        yield* Effect.gen(function* () {
          for (let round = 0; round < requests / atOnce; round++) {
            yield* volley(cpln, seen)
            if (round % 5 === 0) yield* rebuilt(cpln)
          }
        }).pipe(Random.withSeed(seed))
        expect([...seen].toSorted()).toEqual(expect.arrayContaining([200, 201, 202, 400, 404, 405, 409]))
        yield* consistent(cpln)
      }),
    600_000
  )
})

/** What fuzz deleted is made again, so that there is something to hit. */
const rebuilt = Effect.fnUntraced(function* (cpln: Client) {
  yield* cpln.put(`${org}/gvc`, {
    name: "dev",
    spec: { staticPlacement: { locationLinks: [`//location/${location}`] } }
  })
  yield* cpln.put(`${gvc}/workload`, cron("runner"))
})

/** Every object that a list names can be read under its own link, once, and reads the same. */
const consistent = Effect.fnUntraced(function* (cpln: Client) {
  const collections = [
    `${org}/gvc`,
    `${org}/workload`,
    `${org}/secret`,
    `${org}/policy`,
    `${org}/serviceaccount`
  ]
  for (const collection of collections) {
    const items = (yield* cpln.pages(yield* cpln.get(collection))).flatMap(({ json }) => json.items)
    const links = items.map(({ links }) => links.find(({ rel }: { rel: string }) => rel === "self").href)
    expect(new Set(links).size).toBe(links.length)
    for (const [index, link] of links.entries()) expect((yield* cpln.get(link)).json).toEqual(items[index])
  }
  yield* Effect.sleep("300 millis")
  expect((yield* cpln.get("/emulator/jobs?running")).json.items).toEqual([])
})
