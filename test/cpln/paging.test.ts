import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClientRequest } from "effect/http"
import { allPages, pathOf, rowsOf } from "../../src/cpln/paging.ts"
import { Workload } from "../../src/cpln/schemas.ts"
import { answer, apiOf, serving } from "../http/service.ts"

const base = "/org/acme/gvc/dev/workload"

/** A service whose pages stand under their paths; anything else is 404. */
const pages = (byPath: Readonly<Record<string, unknown>>) =>
  serving(({ path }) => (byPath[path] === undefined ? answer(404) : answer(200, byPath[path])))

const page = (names: ReadonlyArray<string>, next?: string) => ({
  kind: "list",
  items: names.map((name) => ({ name })),
  links: [{ rel: "self", href: "/ignored" }, ...(next === undefined ? [] : [{ rel: "next", href: next }])]
})

const walk = (service: ReturnType<typeof serving>, first = HttpClientRequest.get(base)) =>
  Effect.gen(function* () {
    const api = yield* apiOf(service)
    return yield* allPages(api, first, rowsOf(Workload), (each) => each.name)
  })

const namesOf = (found: { readonly value: ReadonlyArray<Workload> }) => found.value.map(({ name }) => name)

describe("all pages", () => {
  const nexts: ReadonlyArray<readonly [string, string]> = [
    ["a path", `${base}?next=2`],
    ["a full address of the same host", `http://service.test${base}?next=2`],
    ["a full address of another host, as inside and outside differ", `https://api.cpln.io${base}?next=2`],
    ["only a query", "?next=2"],
    ["a path without a slash in front", `${base.slice(1)}?next=2`]
  ]
  for (const [what, next] of nexts) {
    it.effect(`are followed where the next link is ${what}`, () =>
      Effect.gen(function* () {
        const service = pages({ [base]: page(["a", "b"], next), [`${base}?next=2`]: page(["c"]) })
        expect(namesOf(yield* walk(service))).toEqual(["a", "b", "c"])
        // The credential goes to no other host.
        expect(new Set(service.asked.map(({ origin }) => origin))).toEqual(new Set(["http://service.test"]))
      })
    )
  }

  it.effect("of a query are read on with GET, without the query's body", () =>
    Effect.gen(function* () {
      const query = `${base}/-query`
      const service = pages({ [query]: page(["a"], `${query}?next=2`), [`${query}?next=2`]: page(["b"]) })
      const first = HttpClientRequest.post(query).pipe(HttpClientRequest.bodyJsonUnsafe({ spec: {} }))
      expect(namesOf(yield* walk(service, first))).toEqual(["a", "b"])
      expect(service.asked.map(({ method, body }) => ({ method, body }))).toEqual([
        { method: "POST", body: { spec: {} } },
        { method: "GET", body: undefined }
      ])
    })
  )

  it.effect("end where a link was followed before, and no object is given twice", () =>
    Effect.gen(function* () {
      const service = pages({
        [base]: page(["a"], "?next=2"),
        [`${base}?next=2`]: page(["b", "a"], "?next=3"),
        [`${base}?next=3`]: page(["c"], "?next=2")
      })
      expect(namesOf(yield* walk(service))).toEqual(["a", "b", "c"])
      expect(service.asked.length).toBe(3)
    })
  )

  it.effect("end where the next link is missing, empty, or the page has no links at all", () =>
    Effect.gen(function* () {
      for (const last of [
        page(["b"]),
        page(["b"], ""),
        { items: [{ name: "b" }] },
        { items: [{ name: "b" }], links: null }
      ]) {
        const service = pages({ [base]: page(["a"], "?next=2"), [`${base}?next=2`]: last })
        expect(namesOf(yield* walk(service))).toEqual(["a", "b"])
      }
    })
  )

  it.effect("may be empty in the middle", () =>
    Effect.gen(function* () {
      const service = pages({
        [base]: page(["a"], "?next=2"),
        [`${base}?next=2`]: { items: null, links: [{ rel: "next", href: "?next=3" }] },
        [`${base}?next=3`]: page(["b"])
      })
      expect(namesOf(yield* walk(service))).toEqual(["a", "b"])
    })
  )

  it.effect("are all or nothing: a page that is gone is an error, not a shorter list", () =>
    Effect.gen(function* () {
      const service = pages({ [base]: page(["a"], "?next=2") })
      expect((yield* Effect.flip(walk(service)))._tag).toBe("NotFound")
    })
  )

  it.effect("are as old as the first of them", () =>
    Effect.gen(function* () {
      const service = serving((_, nth) =>
        answer(200, nth === 0 ? page(["a"], "?next=2") : page(["b"]), {
          date: `Tue, 24 Nov 2026 12:00:0${nth} GMT`
        })
      )
      expect((yield* walk(service)).at).toBe(Date.parse("2026-11-24T12:00:00Z"))
    })
  )

  it("a link that is only a query replaces the query of where it was found", () => {
    expect(pathOf("?next=3", `${base}?next=2`)).toBe(`${base}?next=3`)
  })
})
