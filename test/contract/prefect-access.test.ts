/** Credentials and CSRF against what stock servers of both lines really said. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { Prefect } from "../../src/prefect/prefect.ts"
import { exchange, lines, replaying, whatMatters } from "../prefect/replay.ts"
import { secret } from "../prefect/server.ts"

const createPool = (name: string) =>
  Prefect.use((prefect) => prefect.createWorkPool({ name, type: "cpln", baseJobTemplate: {} }))

for (const line of lines) {
  describe(`CSRF on Prefect ${line}`, () => {
    const token = exchange(line, "csrf-token")
    const accepted = exchange(line, "csrf-accepted")
    const missing = exchange(line, "csrf-missing-403")
    const invalid = exchange(line, "csrf-invalid-403")
    const disabled = exchange(line, "csrf-disabled")
    const name = (accepted.request.body as { name: string }).name
    const issued = (token.response.body as { token: string }).token

    it.effect("a token is fetched and sent with the first write", () => {
      const server = replaying([token, accepted], { csrf: true })
      return Effect.gen(function* () {
        yield* createPool(name)
        const [first, second] = server.asked
        expect(first?.path).toMatch(/^\/api\/csrf-token\?client=[\w-]{16,}$/u)
        expect(whatMatters(second!)).toMatchObject(whatMatters(accepted.request))
        expect(second?.headers["prefect-csrf-token"]).toBe(issued)
        expect(second?.headers["prefect-csrf-client"]).toBe(first?.path.split("=")[1])
      }).pipe(Effect.provide(server.layer))
    })

    it.effect("a refused token is replaced, and the write sent again", () => {
      const server = replaying([token, invalid, token, accepted], { csrf: true })
      return Effect.gen(function* () {
        expect((yield* createPool(name)).name).toBe(name)
        expect(server.asked.map((each) => each.method)).toEqual(["GET", "POST", "GET", "POST"])
      }).pipe(Effect.provide(server.layer))
    })

    it.effect("protection that was off and is switched on is noticed", () => {
      const server = replaying([disabled, missing, token, accepted], { csrf: true })
      return Effect.gen(function* () {
        expect((yield* createPool(name)).name).toBe(name)
        expect(server.asked[1]?.headers).not.toHaveProperty("prefect-csrf-token")
        expect(server.asked[3]?.headers["prefect-csrf-token"]).toBe(issued)
      }).pipe(Effect.provide(server.layer))
    })

    it.effect("without support for it a protected server's refusal is passed on", () => {
      const server = replaying([missing])
      return Effect.gen(function* () {
        expect((yield* Effect.flip(createPool(name)))._tag).toBe("Forbidden")
        expect(server.asked).toHaveLength(1)
      }).pipe(Effect.provide(server.layer))
    })
  })
}

describe("a credential on Prefect 3.8.8", () => {
  const version = Prefect.use((prefect) => prefect.version)

  it.effect("is sent as the server wants it", () => {
    const recorded = exchange("3.8.8", "auth-ok")
    const server = replaying([recorded], { authString: secret("admin:s3cret") })
    return Effect.gen(function* () {
      expect((yield* version).text).toBe("3.8.8")
      expect(server.asked[0]?.headers["authorization"]).toBe(recorded.request.headers?.["Authorization"])
    }).pipe(Effect.provide(server.layer))
  })

  for (const name of ["auth-missing-401", "auth-wrong-401"]) {
    it.effect(`that is not right is told apart from everything else (${name})`, () => {
      const server = replaying([exchange("3.8.8", name)], { apiKey: secret("xyz") })
      return Effect.gen(function* () {
        const outcome = yield* Effect.result(version)
        const error = Result.isFailure(outcome) ? outcome.failure : undefined
        expect(error?._tag).toBe("Unauthorised")
        expect(error?.message).not.toContain("xyz")
      }).pipe(Effect.provide(server.layer))
    })
  }
})
