import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, FileSystem, Inspectable, PlatformError, Redacted } from "effect"
import { addressHint, readAccess } from "../../src/prefect/access.ts"

const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
const files: Readonly<Record<string, string>> = { "/ca.pem": pem, "/key.pem": "-----BEGIN PRIVATE KEY-----" }
const disk = FileSystem.layerNoop({
  readFileString: (path) =>
    files[path] === undefined
      ? Effect.fail(
          PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "readFileString" })
        )
      : Effect.succeed(files[path])
})

const read = (settings: Readonly<Record<string, string>>) =>
  readAccess(
    new Map(
      Object.entries({ PREFECT_API_URL: "http://here:4200/api", ...settings }).map(
        ([name, value]) => [name, { value, from: "profile 'prod'" }] as const
      )
    )
  ).pipe(Effect.provide(disk))

const complaint = (settings: Readonly<Record<string, string>>) =>
  read(settings).pipe(
    Effect.flip,
    Effect.map((error) => error.message)
  )

describe("access", () => {
  it.effect("has the defaults of Prefect", () =>
    Effect.gen(function* () {
      expect(yield* read({})).toEqual({
        url: "http://here:4200/api",
        apiKey: undefined,
        authString: undefined,
        headers: {},
        tls: { skipVerify: false, authorities: undefined },
        timeout: Duration.seconds(60),
        csrf: true
      })
    })
  )

  it.effect("reads every setting", () =>
    Effect.gen(function* () {
      const access = yield* read({
        PREFECT_API_URL: "https://cloud.test/api/accounts/a/workspaces/w/",
        PREFECT_API_KEY: "pnu_1\n",
        PREFECT_API_AUTH_STRING: "admin:pass",
        PREFECT_CLIENT_CUSTOM_HEADERS: '{"X-Proxy-Token": "t0ken"}',
        PREFECT_API_TLS_INSECURE_SKIP_VERIFY: "True",
        PREFECT_API_SSL_CERT_FILE: "/ca.pem",
        PREFECT_API_REQUEST_TIMEOUT: "2.5",
        PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: "0"
      })
      expect(access.url).toBe("https://cloud.test/api/accounts/a/workspaces/w")
      expect(Redacted.value(access.apiKey!)).toBe("pnu_1")
      expect(Redacted.value(access.authString!)).toBe("admin:pass")
      expect(Redacted.value(access.headers["x-proxy-token"]!)).toBe("t0ken")
      expect(access.tls).toEqual({ skipVerify: true, authorities: pem })
      expect(access.timeout).toEqual(Duration.seconds(2.5))
      expect(access.csrf).toBe(false)
    })
  )

  it.effect("shows no secret when it is printed", () =>
    Effect.gen(function* () {
      const access = yield* read({
        PREFECT_API_URL: "http://me:hidden1@here/api",
        PREFECT_API_KEY: "hidden2",
        PREFECT_CLIENT_CUSTOM_HEADERS: '{"X-A": "hidden3"}'
      })
      expect(Inspectable.toStringUnknown(access)).not.toContain("hidden")
    })
  )

  it.effect("takes user and password out of the URL, behind an auth string", () =>
    Effect.gen(function* () {
      const url = { PREFECT_API_URL: "http://me:p%40ss@here/api" }
      const access = yield* read(url)
      expect(access.url).toBe("http://here/api")
      expect(Redacted.value(access.authString!)).toBe("me:p@ss")
      const both = yield* read({ ...url, PREFECT_API_AUTH_STRING: "a:b" })
      expect(Redacted.value(both.authString!)).toBe("a:b")
    })
  )
})

describe("a wrong setting", () => {
  it.effect("is named with where it was set and what would be right", () =>
    Effect.gen(function* () {
      expect(yield* complaint({ PREFECT_API_URL: "here:4200/api" })).toBe(
        "PREFECT_API_URL from profile 'prod' is not an http or https URL. It should look like http://127.0.0.1:4200/api."
      )
      expect(yield* complaint({ PREFECT_API_URL: "http://here/api?x=1" })).toContain('without "?"')
      expect(yield* complaint({ PREFECT_API_REQUEST_TIMEOUT: "soon" })).toContain("number of seconds")
      expect(yield* complaint({ PREFECT_API_TLS_INSECURE_SKIP_VERIFY: "maybe" })).toContain("true or false")
      expect(yield* complaint({ PREFECT_API_SSL_CERT_FILE: "/no.pem" })).toContain("/no.pem")
      expect(yield* complaint({ PREFECT_API_SSL_CERT_FILE: "/key.pem" })).toContain("no PEM certificate")
    })
  )

  it.effect("tells where to set a URL that is missing", () =>
    Effect.gen(function* () {
      const error = yield* readAccess(new Map()).pipe(Effect.provide(disk), Effect.flip)
      expect(error.message).toContain("PREFECT_API_URL is set neither in the environment nor in the active")
    })
  )

  it.effect("is never repeated when it may be secret", () =>
    Effect.gen(function* () {
      const messages = [
        yield* complaint({ PREFECT_API_KEY: "hid\nden" }),
        yield* complaint({ PREFECT_CLIENT_CUSTOM_HEADERS: "hidden" }),
        yield* complaint({ PREFECT_CLIENT_CUSTOM_HEADERS: '["hidden"]' }),
        yield* complaint({ PREFECT_CLIENT_CUSTOM_HEADERS: '{"X": {"hidden": 1}}' }),
        yield* complaint({ PREFECT_CLIENT_CUSTOM_HEADERS: '{"X A": "hidden"}' }),
        yield* complaint({ PREFECT_CLIENT_CUSTOM_HEADERS: '{"X": "hid\\nden"}' }),
        yield* complaint({ PREFECT_API_URL: "http://u:hidden%@here/api" })
      ]
      for (const message of messages) expect(message).not.toMatch(/hid|den/u)
    })
  )

  it.effect("is a custom header that belongs to the client, in any spelling", () =>
    Effect.gen(function* () {
      for (const header of ["User-Agent", "PREFECT-CSRF-TOKEN", "Prefect-Csrf-Client"]) {
        const message = yield* complaint({ PREFECT_CLIENT_CUSTOM_HEADERS: JSON.stringify({ [header]: "x" }) })
        expect(message).toContain(`may not set ${header}`)
      }
    })
  )
})

describe("the address hint", () => {
  it("names the path that is missing, and only then", () => {
    expect(addressHint("http://here:4200")).toContain("http://here:4200/api")
    expect(addressHint("http://here:4200/api")).not.toContain("most servers")
  })
})
