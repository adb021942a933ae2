import { describe, expect, it } from "@effect/vitest"
import { Effect, FileSystem, Option, Redacted } from "effect"
import { injectedFrom, readSettings, readTemplate } from "../../src/cli/environment.ts"
import { given, settingFlags } from "../../src/cli/flags.ts"
import { platform } from "../../src/platform.ts"
import { settings } from "../../src/settings.ts"

describe("what Control Plane injects", () => {
  it("is cut to names where it comes as links", () => {
    const injected = injectedFrom({
      CPLN_ORG: "acme",
      CPLN_GVC: "dev",
      CPLN_LOCATION: "/org/acme/location/aws-us-west-2",
      CPLN_ENDPOINT: "http://api.cpln.io",
      CPLN_TOKEN: " t-1\n"
    })
    expect(injected).toMatchObject({
      endpoint: "http://api.cpln.io",
      org: "acme",
      gvc: "dev",
      location: "aws-us-west-2"
    })
    expect(Redacted.value(injected.token!)).toBe("t-1")
    expect(JSON.stringify(injected)).not.toContain("t-1")
  })

  it("may be missing or empty: the public endpoint, and nothing else", () => {
    for (const environment of [
      {},
      { CPLN_ORG: "", CPLN_TOKEN: " ", CPLN_ENDPOINT: "", CPLN_LOCATION: "/" }
    ]) {
      expect(injectedFrom(environment)).toEqual({
        endpoint: "https://api.cpln.io",
        org: undefined,
        gvc: undefined,
        location: undefined,
        token: undefined
      })
    }
  })
})

describe("flags", () => {
  it("are one per setting, and only those that were given count", () => {
    expect(Object.keys(settingFlags)).toEqual(Object.keys(settings))
    expect(given({ interval: Option.some("5"), settle: Option.none() })).toEqual({ interval: "5" })
  })

  it.effect("with a wrong value are an error that names the flag", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(readSettings({ interval: "soon" }))
      expect(error.message).toContain(`--interval is "soon"`)
    }).pipe(Effect.provide(platform))
  )
})

describe("a file with a base job template", () => {
  const read = Effect.fnUntraced(
    function* (text: string | undefined) {
      const files = yield* FileSystem.FileSystem
      const path = `${yield* files.makeTempDirectoryScoped()}/template.json`
      if (text !== undefined) yield* files.writeFileString(path, text)
      return yield* readTemplate(path).pipe(
        Effect.match({ onFailure: ({ message }) => message.replace(path, "FILE"), onSuccess: () => "taken" })
      )
    },
    Effect.scoped,
    Effect.provide(platform)
  )

  it.effect("that cannot be used is named, with the reason", () =>
    Effect.gen(function* () {
      const said = yield* Effect.forEach(
        [
          undefined,
          '{\n  "variables": {',
          "[1]",
          '{"variables": {}}',
          '{"variables": 1, "job_configuration": {}}'
        ],
        read
      )
      expect(said.map((each) => each.split("\n")[0])).toEqual([
        "--base-job-template FILE: it cannot be read (NotFound).",
        expect.stringMatching(/^--base-job-template FILE: line 2, column \d+: it is not YAML/u),
        "--base-job-template FILE: it holds no object.",
        "--base-job-template FILE: it has no object `job_configuration`.",
        "--base-job-template FILE: it has no object `variables`."
      ])
      expect(yield* read('{"variables": {}, "job_configuration": {}}')).toBe("taken")
    })
  )
})
