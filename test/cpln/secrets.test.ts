import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeSecrets } from "../../src/cpln/secrets.ts"
import { answer, apiOf, inTurn, type serving } from "../http/service.ts"

const secretsOf = (service: ReturnType<typeof serving>) =>
  Effect.map(apiOf(service), (api) => makeSecrets(api, "acme"))

describe("a secret", () => {
  it.effect("gives its type and the names of its keys, and no value of one", () =>
    Effect.gen(function* () {
      const service = inTurn(
        answer(200, { name: "db", type: "dictionary", data: { user: "value-1", password: "value-2" } })
      )
      const shape = yield* (yield* secretsOf(service)).shape("db")
      expect(shape).toEqual({ type: "dictionary", keys: ["user", "password"] })
      expect(service.asked).toMatchObject([{ method: "GET", path: "/org/acme/secret/db/-reveal" }])
    })
  )

  it.effect("that is one text, or a list, or nothing has no key names", () =>
    Effect.gen(function* () {
      for (const data of ["value-1", ["value-1"], null, undefined]) {
        const secrets = yield* secretsOf(inTurn(answer(200, { type: "docker", data })))
        expect(yield* secrets.shape("registry")).toEqual({ type: "docker", keys: [] })
      }
    })
  )

  it.effect("that is not as known is an error that tells nothing of its content", () =>
    Effect.gen(function* () {
      const secrets = yield* secretsOf(inTurn(answer(200, { type: 7, data: { password: "value-1" } })))
      const error = yield* Effect.flip(secrets.shape("db"))
      expect(error._tag).toBe("Undecodable")
      expect(`${error.message} ${JSON.stringify(error)}`).not.toContain("value-1")
    })
  )

  it.effect("is looked for without being revealed", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(200, { name: "db", type: "opaque" }))
      yield* (yield* secretsOf(service)).look("db")
      expect(service.asked[0]?.path).toBe("/org/acme/secret/db")
      const missing = yield* secretsOf(inTurn(answer(404)))
      expect((yield* Effect.flip(missing.look("db")))._tag).toBe("NotFound")
    })
  )
})

describe("what a workload leaves behind", () => {
  it.effect("is listed in every page, and removed in one try; what is gone counts as removed", () =>
    Effect.gen(function* () {
      const created = "2026-03-01T12:00:00.000Z"
      const listing = inTurn(
        answer(200, {
          items: [{ name: "a-identity", created }],
          links: [{ rel: "next", href: "/org/acme/gvc/dev/identity?next=2" }]
        }),
        answer(200, { items: [{ name: "b-identity", tags: { x: "y" } }] })
      )
      const { value } = yield* (yield* secretsOf(listing)).identities("dev")
      expect(value).toEqual([
        { name: "a-identity", created },
        { name: "b-identity", tags: { x: "y" } }
      ])
      const removing = inTurn(answer(202), answer(404), answer(503), answer(202))
      const secrets = yield* secretsOf(removing)
      yield* secrets.removeIdentity("dev", "a-identity")
      yield* secrets.removePolicy("a-reveal-policy")
      expect((yield* Effect.flip(secrets.removePolicy("b-reveal-policy")))._tag).toBe("Unavailable")
      expect(removing.asked).toMatchObject([
        { method: "DELETE", path: "/org/acme/gvc/dev/identity/a-identity" },
        { method: "DELETE", path: "/org/acme/policy/a-reveal-policy" },
        { method: "DELETE", path: "/org/acme/policy/b-reveal-policy" }
      ])
    })
  )
})

describe("an identity", () => {
  it.effect("is made in its GVC, and a name that is taken is a conflict", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(201, "Created"), answer(409, { message: "exists" }))
      const secrets = yield* secretsOf(service)
      const body = { kind: "identity", name: "w-identity", tags: {} }
      yield* secrets.createIdentity("dev", body)
      expect(service.asked).toMatchObject([
        { method: "POST", path: "/org/acme/gvc/dev/identity", body: { ...body, gvc: "dev" } }
      ])
      expect((yield* Effect.flip(secrets.createIdentity("dev", body)))._tag).toBe("Conflict")
    })
  )
})

describe("a policy", () => {
  const body = { kind: "policy", name: "w-reveal-policy", targetKind: "secret", targetLinks: [] }

  it.effect("is replaced only in the version that was read", () =>
    Effect.gen(function* () {
      const service = inTurn(answer(200, { ...body, version: 4, bindings: null }), answer(200, {}))
      const secrets = yield* secretsOf(service)
      yield* secrets.replacePolicy(yield* secrets.readPolicy("w-reveal-policy"), body)
      expect(service.asked[1]).toMatchObject({
        method: "PUT",
        path: "/org/acme/policy",
        body: { ...body, version: 4 }
      })
    })
  )

  it.effect("is found on whichever page it stands", () =>
    Effect.gen(function* () {
      const next = { links: [{ rel: "next", href: "/org/acme/policy?page=2" }] }
      const service = inTurn(
        answer(200, { items: [{ name: "a" }], ...next }),
        answer(200, { items: [{ name: "b", target: "all" }] })
      )
      const all = yield* (yield* secretsOf(service)).policies
      expect(all.map(({ name }) => name)).toEqual(["a", "b"])
    })
  )
})
