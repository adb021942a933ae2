import { describe, expect, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path, PlatformError } from "effect"
import { type Environment, plainSettings, readPrefectSettings } from "../../src/prefect/profile.ts"

/** A machine with these files and no others. */
const machine = (files: Readonly<Record<string, string>>) =>
  Layer.mergeAll(
    Path.layer,
    FileSystem.layerNoop({
      readFileString: (path) =>
        files[path] === undefined
          ? Effect.fail(
              PlatformError.systemError({
                _tag: path.startsWith("/locked") ? "PermissionDenied" : "NotFound",
                module: "FileSystem",
                method: "readFileString",
                pathOrDescriptor: path
              })
            )
          : Effect.succeed(files[path])
    })
  )

const settingsOf = (environment: Environment, files: Readonly<Record<string, string>> = {}) =>
  readPrefectSettings(environment).pipe(Effect.provide(machine(files)))

const profiles = `
active = "dev"

[profiles.dev]
PREFECT_API_URL = "http://dev/api"
PREFECT_API_REQUEST_TIMEOUT = 30
PREFECT_API_TLS_INSECURE_SKIP_VERIFY = true
PREFECT_CLIENT_CUSTOM_HEADERS = { X-Team = "blue" }
EDITOR = "vi"

[profiles.prod]
PREFECT_API_URL = "https://prod/api"
`
const home = { HOME: "/home/me" }
const atHome = { "/home/me/.prefect/profiles.toml": profiles }

describe("Prefect settings", () => {
  it.effect("come from the active profile, with the name of where they came from", () =>
    Effect.gen(function* () {
      const settings = yield* settingsOf(home, atHome)
      expect(settings.get("PREFECT_API_URL")).toEqual({
        value: "http://dev/api",
        from: "profile 'dev' (/home/me/.prefect/profiles.toml)"
      })
    })
  )

  it.effect("are text whatever TOML type they were written in, and PREFECT_* only", () =>
    Effect.gen(function* () {
      expect(plainSettings(yield* settingsOf(home, atHome))).toEqual({
        PREFECT_API_URL: "http://dev/api",
        PREFECT_API_REQUEST_TIMEOUT: "30",
        PREFECT_API_TLS_INSECURE_SKIP_VERIFY: "true",
        PREFECT_CLIENT_CUSTOM_HEADERS: '{"X-Team":"blue"}'
      })
    })
  )

  it.effect("take the environment before the profile, and an empty variable for none", () =>
    Effect.gen(function* () {
      const settings = yield* settingsOf(
        { ...home, PREFECT_API_URL: "http://here/api", PREFECT_API_REQUEST_TIMEOUT: " ", PATH: "/bin" },
        atHome
      )
      expect(settings.get("PREFECT_API_URL")).toEqual({ value: "http://here/api", from: "the environment" })
      expect(settings.get("PREFECT_API_REQUEST_TIMEOUT")?.value).toBe("30")
      expect(settings.has("PATH")).toBe(false)
    })
  )

  it.effect("take PREFECT_PROFILE before the file's active one", () =>
    Effect.gen(function* () {
      const settings = yield* settingsOf({ ...home, PREFECT_PROFILE: "prod" }, atHome)
      expect(settings.get("PREFECT_API_URL")?.value).toBe("https://prod/api")
    })
  )

  it.effect("look in PREFECT_PROFILES_PATH, else PREFECT_HOME, else the home folder", () =>
    Effect.gen(function* () {
      const files = {
        ...atHome,
        "/etc/p.toml": profiles.replace("http://dev", "http://path"),
        "/home/me/p/profiles.toml": profiles.replace("http://dev", "http://home")
      }
      const url = (environment: Environment) =>
        Effect.map(settingsOf({ ...home, ...environment }, files), (all) => all.get("PREFECT_API_URL")?.value)
      expect(yield* url({ PREFECT_HOME: "~/p", PREFECT_PROFILES_PATH: "/etc/p.toml" })).toBe(
        "http://path/api"
      )
      expect(yield* url({ PREFECT_HOME: "~/p" })).toBe("http://home/api")
      expect(yield* url({})).toBe("http://dev/api")
    })
  )

  it.effect("are none where there is no file, no home, or only a profile that Prefect brings itself", () =>
    Effect.gen(function* () {
      expect((yield* settingsOf(home)).size).toBe(0)
      expect((yield* settingsOf({})).size).toBe(0)
      const fresh = { "/home/me/.prefect/profiles.toml": 'active = "ephemeral"' }
      expect((yield* settingsOf(home, fresh)).size).toBe(0)
    })
  )
})

describe("a profiles file that cannot be used", () => {
  const complaint = (environment: Environment, files: Readonly<Record<string, string>> = {}) =>
    settingsOf(environment, files).pipe(
      Effect.flip,
      Effect.map((error) => error.message)
    )

  it.effect("is named with the line that is broken, without the text of that line", () =>
    Effect.gen(function* () {
      const message = yield* complaint(home, {
        "/home/me/.prefect/profiles.toml": '[profiles.dev]\nPREFECT_API_KEY = "pnu_s3cret\n'
      })
      expect(message).toContain("/home/me/.prefect/profiles.toml")
      expect(message).toContain("line 2")
      expect(message).not.toContain("s3cret")
    })
  )

  it.effect("is said when it has another form, or may not be read", () =>
    Effect.gen(function* () {
      const other = { "/home/me/.prefect/profiles.toml": 'profiles = "dev"' }
      expect(yield* complaint(home, other)).toContain("[profiles.NAME]")
      expect(yield* complaint({ PREFECT_PROFILES_PATH: "/locked/p.toml" })).toContain("PermissionDenied")
    })
  )

  it.effect("lists the profiles that there are when the wanted one is missing", () =>
    Effect.gen(function* () {
      expect(yield* complaint({ ...home, PREFECT_PROFILE: "prd" }, atHome)).toContain(
        "PREFECT_PROFILE in the environment names 'prd', and there is only dev, prod."
      )
    })
  )
})
