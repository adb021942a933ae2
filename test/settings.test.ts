import { describe, expect, it } from "@effect/vitest"
import {
  resolve,
  secretEnvironment,
  type Setting,
  type SettingKey,
  type Settings,
  settings,
  type Sourced,
  theEnvironment
} from "../src/settings.ts"

const profile = "profile 'prod' (/home/me/.prefect/profiles.toml)"

/** Finds variables in the environment over those of a profile, as the commands do. */
const finding =
  (environment: Readonly<Record<string, string>>, inProfile: Readonly<Record<string, string>> = {}) =>
  (variable: string): Sourced | undefined => {
    const own = environment[variable]
    if (own !== undefined && own !== "") return { value: own, from: theEnvironment }
    const value = inProfile[variable]
    return value === undefined ? undefined : { value, from: profile }
  }

const resolved = (
  flags: Parameters<typeof resolve>[0],
  environment: Readonly<Record<string, string>> = {},
  inProfile: Readonly<Record<string, string>> = {}
): Settings => {
  const result = resolve(flags, finding(environment, inProfile))
  if ("wrong" in result) throw result.wrong
  return result.settings
}

const wrong = (
  flags: Parameters<typeof resolve>[0],
  environment: Readonly<Record<string, string>> = {},
  inProfile: Readonly<Record<string, string>> = {}
): string => {
  const result = resolve(flags, finding(environment, inProfile))
  return "wrong" in result ? result.wrong.message : "nothing is wrong"
}

describe("a value", () => {
  const variable = "PREFECT_AGENT_CPLN_MONITOR_INTERVAL"

  it("comes from the flag, then the environment, then the profile, then the default", () => {
    const [flags, environment, inProfile] = [{ interval: "1" }, { [variable]: "2" }, { [variable]: "3" }]
    expect(resolved(flags, environment, inProfile).interval).toBe(1)
    expect(resolved({}, environment, inProfile).interval).toBe(2)
    expect(resolved({}, {}, inProfile).interval).toBe(3)
    expect(resolved({}).interval).toBe(60)
  })

  it("that names an agent is its workload's link or its name", () => {
    const link = "/org/acme/gvc/dev/workload/python-agent"
    expect(resolved({ adopt: `${link},cpln-host` }).adopt).toEqual([link, "cpln-host"])
    expect(resolved({ adopt: "" }).adopt).toEqual([])
    for (const text of ["some words", "/org/acme/workload/x", "dev/x", `${link}/`, `${link},`, "a,,b"]) {
      expect(wrong({}, { PREFECT_AGENT_ADOPT: text })).toMatch(
        /^PREFECT_AGENT_ADOPT in the environment is ".*\/org\/ORG\/gvc\/GVC\/workload\/NAME/u
      )
    }
  })

  it("that is empty in the environment counts as not set", () => {
    expect(resolved({}, { [variable]: "" }).interval).toBe(60)
    expect(resolved({}, { [variable]: "" }, { [variable]: "3" }).interval).toBe(3)
    expect(resolved({}, {}, { [variable]: "" }).interval).toBe(60)
  })

  it("may be given by either of two variables; the agent's own name wins, but never a profile over the environment", () => {
    const [own, worker] = ["PREFECT_AGENT_QUERY_INTERVAL", "PREFECT_WORKER_QUERY_SECONDS"]
    expect(resolved({}, { [worker]: "7" }).queryInterval).toBe(7)
    expect(resolved({}, { [own]: "5", [worker]: "7" }).queryInterval).toBe(5)
    expect(resolved({}, { [worker]: "7" }, { [own]: "5" }).queryInterval).toBe(7)
    expect(resolved({}, {}, { [own]: "5", [worker]: "7" }).queryInterval).toBe(5)
  })

  it("that is wrong is an error that says where it stands and what is expected, never a fall through", () => {
    expect(wrong({ interval: "soon" })).toBe(
      `--interval is "soon", but seconds, more than 0 and at most a week is expected.`
    )
    expect(wrong({}, { [variable]: "-1" }, { [variable]: "3" })).toBe(
      `${variable} in the environment is "-1", but seconds, more than 0 and at most a week is expected.`
    )
    expect(wrong({}, {}, { [variable]: "" + Number.NaN })).toBe(
      `${variable} in ${profile} is "NaN", but seconds, more than 0 and at most a week is expected.`
    )
    // A right flag does not hide a wrong variable of another setting.
    expect(wrong({ interval: "5" }, { PREFECT_AGENT_SETTLE: "x" })).toContain(
      "PREFECT_AGENT_SETTLE in the environment"
    )
    // A right flag is not asked what the environment says instead.
    expect(resolved({ interval: "5" }, { [variable]: "x" }).interval).toBe(5)
  })
})

describe("what is taken", () => {
  const cases: ReadonlyArray<readonly [SettingKey, string, unknown]> = [
    ["interval", " 0.5 ", 0.5],
    ["interval", "604800", 604_800],
    ["prefetch", "0", 0],
    ["cplnRate", "0", 0],
    ["limit", "10", 10],
    ["unreportedExit", "CRASHED", "crashed"],
    ["identities", "Given", "given"],
    ["jobApiKeySecret", "prefect", "prefect"],
    ["jobApiKeySecret", " prefect.api-key ", "prefect.api-key"],
    ["jobApiKeySecret", "cpln://secret/prefect.KEY", "prefect.KEY"],
    ["jobLogs", "off", "off"],
    ["logLevel", "WARNING", "warning"],
    ["logLevel", "warn", "warning"],
    ["logLevel", "Critical", "error"],
    ["logFormat", "json", "json"],
    ["logsEndpoint", " https://logs.cpln.io ", "https://logs.cpln.io"],
    ["logsEndpoint", "ws://127.0.0.1:80", "ws://127.0.0.1:80"],
    ["name", " mine ", "mine"],
    ["cleanupTtl", "0.5", 0.5],
    ["observe", "on", true],
    ["runOnce", "true", true],
    ["createPool", "off", false]
  ]
  for (const [key, given, value] of cases) {
    it(`as ${key}: ${JSON.stringify(given)}`, () => expect(resolved({ [key]: given })[key]).toBe(value))
  }

  const refused: ReadonlyArray<readonly [SettingKey, string]> = [
    ["interval", "0"],
    ["interval", "-5"],
    ["interval", "604801"],
    ["interval", "Infinity"],
    ["interval", "60s"],
    ["interval", " "],
    ["prefetch", "-1"],
    ["cplnRate", "-0.1"],
    ["cplnRate", "fast"],
    ["limit", "0"],
    ["limit", "1.5"],
    ["unreportedExit", "maybe"],
    ["identities", "none"],
    ["jobLogs", "everywhere"],
    ["logLevel", "loud"],
    ["logFormat", "xml"],
    ["logsEndpoint", "logs.cpln.io"],
    ["logsEndpoint", "ftp://logs"],
    ["listen", "host"],
    ["listen", "127.0.0.1:70000"],
    ["name", ""],
    ["cleanupTtl", "0"],
    ["cleanupTtl", "9000"],
    ["cleanupTtl", "1d"],
    ["observe", "maybe"],
    ["runOnce", "perhaps"]
  ]
  for (const [key, given] of refused) {
    it(`not as ${key}: ${JSON.stringify(given)}`, () => {
      expect(wrong({ [key]: given })).toContain(`--${settings[key].flag} is ${JSON.stringify(given)}, but `)
    })
  }
})

it("a key in place of its secret's name is refused without being repeated", () => {
  const text = wrong({ jobApiKeySecret: "pnu_the-key-itself" })
  expect(text).toBe(
    "--job-api-key-secret is something else, but the name of a secret, as NAME or NAME.key is expected."
  )
})

describe("the names and defaults that users rely on", () => {
  const table: ReadonlyArray<readonly [SettingKey, string, ReadonlyArray<string>, unknown]> = [
    ["interval", "interval", ["PREFECT_AGENT_CPLN_MONITOR_INTERVAL"], 60],
    ["queryInterval", "query-interval", ["PREFECT_AGENT_QUERY_INTERVAL", "PREFECT_WORKER_QUERY_SECONDS"], 2],
    [
      "prefetch",
      "prefetch-seconds",
      ["PREFECT_AGENT_PREFETCH_SECONDS", "PREFECT_WORKER_PREFETCH_SECONDS"],
      15
    ],
    ["cancelInterval", "cancel-interval", ["PREFECT_AGENT_CANCEL_INTERVAL"], 2],
    ["watchInterval", "watch-interval", ["PREFECT_AGENT_CPLN_WATCH_INTERVAL"], 5],
    ["cplnRate", "cpln-rate", ["PREFECT_AGENT_CPLN_RATE"], 50],
    ["prefectRate", "prefect-rate", ["PREFECT_AGENT_PREFECT_RATE"], 50],
    ["cancelGrace", "cancel-grace", ["PREFECT_AGENT_CANCEL_GRACE"], 20],
    ["linger", "linger", ["PREFECT_AGENT_LINGER"], 30],
    ["mainLinger", "main-linger", ["PREFECT_AGENT_MAIN_LINGER"], 120],
    ["settle", "settle", ["PREFECT_AGENT_SETTLE"], 60],
    ["launchDeadline", "launch-deadline", ["PREFECT_AGENT_LAUNCH_DEADLINE"], 120],
    ["doubtHorizon", "doubt-horizon", ["PREFECT_AGENT_DOUBT_HORIZON"], 30],
    ["startTimeout", "start-timeout", ["PREFECT_AGENT_START_TIMEOUT"], 900],
    ["identities", "identities", ["PREFECT_AGENT_IDENTITIES"], "manage"],
    ["jobApiKeySecret", "job-api-key-secret", ["PREFECT_AGENT_JOB_API_KEY_SECRET"], undefined],
    ["unreportedExit", "unreported-exit", ["PREFECT_AGENT_UNREPORTED_EXIT"], "completed"],
    ["cleanupTtl", "cleanup-ttl", ["PREFECT_AGENT_CLEANUP_TTL"], 24],
    ["observe", "observe", ["PREFECT_AGENT_OBSERVE"], false],
    ["jobLogs", "job-logs", ["PREFECT_AGENT_JOB_LOGS"], undefined],
    ["logsEndpoint", "logs-endpoint", ["PREFECT_AGENT_CPLN_LOGS_ENDPOINT"], undefined],
    ["listen", "listen", ["PREFECT_AGENT_LISTEN"], "127.0.0.1:4280"],
    ["listenToken", "listen-token", ["PREFECT_AGENT_LISTEN_TOKEN"], undefined],
    ["logLevel", "log-level", ["PREFECT_LOGGING_LEVEL"], "info"],
    ["logFormat", "log-format", ["PREFECT_AGENT_LOG_FORMAT"], undefined],
    ["limit", "limit", [], undefined],
    ["name", "name", [], undefined],
    ["runOnce", "run-once", [], false],
    ["createPool", "create-pool-if-not-found", [], false]
  ]

  it("are these", () => {
    const defaults = resolved({})
    for (const [key, flag, env, value] of table) {
      expect([settings[key].flag, settings[key].env, defaults[key]]).toEqual([flag, env, value])
    }
    expect(secretEnvironment.logsToken).toBe("PREFECT_AGENT_CPLN_LOGS_TOKEN")
  })

  it("are each used once", () => {
    const all = Object.values(settings) as ReadonlyArray<Setting<unknown>>
    const names = all.flatMap(({ alias, env, flag }) => [
      flag,
      ...env,
      ...(alias === undefined ? [] : [alias])
    ])
    expect(new Set(names).size).toBe(names.length)
  })

  it("have defaults that would be taken if they were given, and help that shows them", () => {
    for (const setting of Object.values(settings) as ReadonlyArray<Setting<unknown>>) {
      expect(setting.help).not.toBe("")
      if (setting.fallback === undefined || setting.isSwitch) continue
      expect(setting.parse(String(setting.fallback))).toEqual({ value: setting.fallback })
      expect(setting.shown).toBe(String(setting.fallback))
    }
  })
})
