/**
 * Every setting once: flag, environment variables, default, meaning. The flags, the help and the documentation's table
 * are all made from this list.
 *
 * Invariant: flag, then environment, then the active Prefect profile (for `PREFECT_*`), then default; a wrong value is an
 * error that names where it came from, never a silent fall through.
 */
import { Schema } from "effect"
import { parseAddress } from "./observe/address.ts"

/** Reads one text; gives the value, or what was expected instead. */
type Parse<A> = (text: string) => { readonly value: A } | { readonly expected: string }

export interface Setting<A> {
  readonly flag: string
  readonly alias?: string
  /** A switch takes no value on the command line. */
  readonly isSwitch?: boolean
  /** May be given several times on the command line; one text may hold several, with commas between. */
  readonly isList?: boolean
  /** A wrong value is not repeated: it may be the secret instead of its name. */
  readonly isDiscreet?: boolean
  readonly env: ReadonlyArray<string>
  readonly fallback: A
  /** How the default reads in the help; empty when there is none to show. */
  readonly shown: string
  readonly help: string
  readonly parse: Parse<A>
}

const define = <A>(
  flag: string,
  env: ReadonlyArray<string>,
  fallback: A,
  help: string,
  parse: Parse<A>,
  more: Pick<Partial<Setting<A>>, "shown" | "alias" | "isSwitch" | "isList" | "isDiscreet"> = {}
): Setting<A> => ({
  flag,
  env,
  fallback,
  help,
  parse,
  shown: more.shown ?? (fallback === undefined ? "" : String(fallback)),
  ...(more.alias === undefined ? {} : { alias: more.alias }),
  ...(more.isSwitch === undefined ? {} : { isSwitch: more.isSwitch }),
  ...(more.isList === undefined ? {} : { isList: more.isList }),
  ...(more.isDiscreet === undefined ? {} : { isDiscreet: more.isDiscreet })
})

const number =
  (expected: string, holds: (value: number) => boolean): Parse<number> =>
  (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text)
    return Number.isFinite(value) && holds(value) ? { value } : { expected }
  }

const longest = 7 * 24 * 3600
const seconds = number("seconds, more than 0 and at most a week", (value) => value > 0 && value <= longest)
const secondsOrNone = number("seconds, 0 to a week", (value) => value >= 0 && value <= longest)
const listen: Parse<string> = (value) =>
  value.trim().toLowerCase() === "off"
    ? { value: "off" }
    : parseAddress(value) === undefined
      ? { expected: "HOST:PORT, or off" }
      : { value: value.trim() }
const hours = number("hours, more than 0 and at most a year", (value) => value > 0 && value <= 365 * 24)
const rate = number("requests per second, 0 (off) or more", (value) => value >= 0)
const text: Parse<string | undefined> = (value) =>
  value.trim() === "" ? { expected: "some text" } : { value: value.trim() }
const count: Parse<number | undefined> = number(
  "a whole number, 1 or more",
  (value) => Number.isInteger(value) && value >= 1
)
const countOrNone: Parse<number | undefined> = number(
  "a whole number, 0 or more",
  (value) => Number.isInteger(value) && value >= 0
)
/** What the tag `cpln/prefectAgent` of an agent's jobs says: the link of its workload, or its name. */
const agents: Parse<ReadonlyArray<string>> = (value) => {
  const all = value.trim() === "" ? [] : value.split(",").map((each) => each.trim())
  return all.every((each) => /^(?:\/org\/[^/\s]+\/gvc\/[^/\s]+\/workload\/[^/\s]+|[^/\s]+)$/u.test(each))
    ? { value: all }
    : { expected: "the link of an agent's workload, /org/ORG/gvc/GVC/workload/NAME, or an agent's name" }
}
/** `NAME` or `NAME.key`; the platform's own form of it will do as well. */
const secretName: Parse<string | undefined> = (value) => {
  const name = value.trim().replace(/^cpln:\/\/secret\//u, "")
  return /^[a-z](?:[-a-z0-9]*[a-z0-9])?(?:\.[^\s]+)?$/u.test(name)
    ? { value: name }
    : { expected: "the name of a secret, as NAME or NAME.key" }
}
const oneOf =
  <const C extends ReadonlyArray<string>>(...choices: C): Parse<C[number]> =>
  (value) => {
    const found = choices.find((each) => each === value.trim().toLowerCase())
    return found === undefined ? { expected: `one of ${choices.join(", ")}` } : { value: found }
  }
const switched: Parse<boolean> = (value) => {
  const lower = value.trim().toLowerCase()
  if (["1", "true", "yes", "on"].includes(lower)) return { value: true }
  return ["0", "false", "no", "off"].includes(lower) ? { value: false } : { expected: "true or false" }
}
const url: Parse<string | undefined> = (value) =>
  /^(https?|wss?):\/\/[^/\s]+/u.test(value.trim()) ? { value: value.trim() } : { expected: "an http(s) URL" }

/** All durations are in seconds, as users write them, but the one that says hours. */
export const settings = {
  interval: define(
    "interval",
    ["PREFECT_AGENT_CPLN_MONITOR_INTERVAL"],
    60,
    "between the two syncs, s",
    seconds
  ),
  queryInterval: define(
    "query-interval",
    ["PREFECT_AGENT_QUERY_INTERVAL", "PREFECT_WORKER_QUERY_SECONDS"],
    2,
    "poll for due runs, s",
    seconds
  ),
  prefetch: define(
    "prefetch-seconds",
    ["PREFECT_AGENT_PREFETCH_SECONDS", "PREFECT_WORKER_PREFETCH_SECONDS"],
    15,
    "look-ahead for scheduled runs, s",
    secondsOrNone
  ),
  cancelInterval: define(
    "cancel-interval",
    ["PREFECT_AGENT_CANCEL_INTERVAL"],
    2,
    "watch for cancellation, s",
    seconds
  ),
  watchInterval: define(
    "watch-interval",
    ["PREFECT_AGENT_CPLN_WATCH_INTERVAL"],
    5,
    "job status between syncs, s",
    seconds
  ),
  cplnRate: define("cpln-rate", ["PREFECT_AGENT_CPLN_RATE"], 50, "Control Plane requests/s, 0 = off", rate),
  prefectRate: define(
    "prefect-rate",
    ["PREFECT_AGENT_PREFECT_RATE"],
    50,
    "Prefect requests/s, 0 = off",
    rate
  ),
  cancelGrace: define(
    "cancel-grace",
    ["PREFECT_AGENT_CANCEL_GRACE"],
    20,
    "for the runner to cancel itself, s",
    secondsOrNone
  ),
  linger: define(
    "linger",
    ["PREFECT_AGENT_LINGER"],
    30,
    "after the run is over: side containers, s",
    secondsOrNone
  ),
  mainLinger: define(
    "main-linger",
    ["PREFECT_AGENT_MAIN_LINGER"],
    120,
    "after the run is over: main container, s",
    secondsOrNone
  ),
  settle: define("settle", ["PREFECT_AGENT_SETTLE"], 60, "job ended without a report, s", secondsOrNone),
  launchDeadline: define(
    "launch-deadline",
    ["PREFECT_AGENT_LAUNCH_DEADLINE"],
    120,
    "from the claim to the command, s",
    seconds
  ),
  doubtHorizon: define(
    "doubt-horizon",
    ["PREFECT_AGENT_DOUBT_HORIZON"],
    30,
    "to look for an unanswered start, s",
    seconds
  ),
  startTimeout: define(
    "start-timeout",
    ["PREFECT_AGENT_START_TIMEOUT"],
    900,
    "image pull and capacity, s",
    seconds
  ),
  identities: define<"manage" | "given">(
    "identities",
    ["PREFECT_AGENT_IDENTITIES"],
    "manage",
    "of jobs: manage|given",
    oneOf("manage", "given")
  ),
  jobApiKeySecret: define(
    "job-api-key-secret",
    ["PREFECT_AGENT_JOB_API_KEY_SECRET"],
    undefined as string | undefined,
    "NAME[.key] for jobs",
    secretName,
    { shown: "plain", isDiscreet: true }
  ),
  unreportedExit: define<"completed" | "crashed">(
    "unreported-exit",
    ["PREFECT_AGENT_UNREPORTED_EXIT"],
    "completed",
    "exit 0 counts as completed|crashed",
    oneOf("completed", "crashed")
  ),
  maxDisruption: define(
    "max-disruption",
    ["PREFECT_AGENT_MAX_DISRUPTION"],
    undefined as number | undefined,
    "jobs ended by absence in 15 min",
    countOrNone,
    { shown: "max(5, 10 %)" }
  ),
  adopt: define<ReadonlyArray<string>>(
    "adopt-agent",
    ["PREFECT_AGENT_ADOPT"],
    [],
    "LINK of an agent to take over; repeatable",
    agents,
    { shown: "", isList: true }
  ),
  cleanupTtl: define(
    "cleanup-ttl",
    ["PREFECT_AGENT_CLEANUP_TTL"],
    24,
    "unused workloads are deleted after, h",
    hours
  ),
  jobLogs: define<"stdout" | "off" | undefined>(
    "job-logs",
    ["PREFECT_AGENT_JOB_LOGS"],
    undefined,
    "job output: stdout|off",
    oneOf("stdout", "off"),
    { shown: "by the pool" }
  ),
  logsEndpoint: define(
    "logs-endpoint",
    ["PREFECT_AGENT_CPLN_LOGS_ENDPOINT"],
    undefined as string | undefined,
    "URL of the logs host",
    url,
    { shown: "discovered" }
  ),
  listen: define("listen", ["PREFECT_AGENT_LISTEN"], "127.0.0.1:4280", "status server; off", listen),
  listenToken: define(
    "listen-token",
    ["PREFECT_AGENT_LISTEN_TOKEN"],
    undefined as string | undefined,
    "for callers of the status server",
    text,
    { isDiscreet: true }
  ),
  logLevel: define<"debug" | "info" | "warning" | "error">(
    "log-level",
    ["PREFECT_LOGGING_LEVEL"],
    "info",
    "debug|info|warning|error",
    (value) => {
      const lower = value.trim().toLowerCase()
      return oneOf(
        "debug",
        "info",
        "warning",
        "error"
      )(lower === "warn" ? "warning" : lower === "critical" ? "error" : lower)
    }
  ),
  logFormat: define<"pretty" | "text" | "json" | undefined>(
    "log-format",
    ["PREFECT_AGENT_LOG_FORMAT"],
    undefined,
    "pretty|text|json",
    oneOf("pretty", "text", "json"),
    { shown: "pretty on a terminal" }
  ),
  limit: define("limit", [], undefined as number | undefined, "live jobs of this agent at most", count, {
    alias: "l"
  }),
  name: define("name", [], undefined as string | undefined, "of this worker", text, {
    alias: "n",
    shown: "cpln-<hostname>-<random>"
  }),
  observe: define(
    "observe",
    ["PREFECT_AGENT_OBSERVE"],
    false,
    "write nothing, say what would be done",
    switched,
    {
      shown: "",
      isSwitch: true
    }
  ),
  runOnce: define("run-once", [], false, "launch what is due, then exit", switched, {
    shown: "",
    isSwitch: true
  }),
  createPool: define(
    "create-pool-if-not-found",
    [],
    false,
    "create the work pool when it is missing",
    switched,
    { shown: "", isSwitch: true }
  )
} as const

/** Only in the environment: a secret has no place in a command line. */
export const secretEnvironment = { logsToken: "PREFECT_AGENT_CPLN_LOGS_TOKEN" } as const

type Table = typeof settings
export type SettingKey = keyof Table
export type Settings = { readonly [K in SettingKey]: Table[K] extends Setting<infer A> ? A : never }

/** A value that cannot be used; ends the program with exit code 1. */
export class WrongSetting extends Schema.TaggedError<WrongSetting>()("WrongSetting", {
  from: Schema.String,
  /** Undefined where it is not repeated. */
  given: Schema.UndefinedOr(Schema.String),
  expected: Schema.String
}) {
  override get message() {
    const given = this.given === undefined ? "something else" : JSON.stringify(this.given)
    return `${this.from} is ${given}, but ${this.expected} is expected.`
  }
}

/** A value and where it was found; `from` reads inside a sentence: `theEnvironment`, "profile 'prod' (…)". */
export interface Sourced {
  readonly value: string
  readonly from: string
}

/** Where a value of the process's own environment was found. */
export const theEnvironment = "the environment"

/**
 * All settings from what was given on the command line and what environment and profile hold. An empty environment
 * variable counts as unset, as it does for Prefect. The first wrong value is the result's `wrong`.
 */
export const resolve = (
  flags: Readonly<Partial<Record<SettingKey, string>>>,
  found: (variable: string) => Sourced | undefined
): { readonly settings: Settings } | { readonly wrong: WrongSetting } => {
  const values: Record<string, unknown> = {}
  for (const [key, setting] of Object.entries(settings) as ReadonlyArray<[SettingKey, Setting<unknown>]>) {
    const given = givenFor(flags[key], setting, found)
    if (given === undefined) {
      values[key] = setting.fallback
      continue
    }
    const parsed = setting.parse(given.value)
    if ("expected" in parsed) {
      return {
        wrong: new WrongSetting({
          from: given.from,
          given: setting.isDiscreet === true ? undefined : given.value,
          expected: parsed.expected
        })
      }
    }
    values[key] = parsed.value
  }
  return { settings: values as Settings }
}

const givenFor = (
  flag: string | undefined,
  setting: Setting<unknown>,
  found: (variable: string) => Sourced | undefined
): Sourced | undefined => {
  if (flag !== undefined) return { value: flag, from: `--${setting.flag}` }
  const all = setting.env.flatMap((variable): ReadonlyArray<Sourced & { readonly variable: string }> => {
    const value = found(variable)
    return value === undefined || value.value === "" ? [] : [{ ...value, variable }]
  })
  // The environment comes before the profile also where it uses the later of two names.
  const first = all.find(({ from }) => from === theEnvironment) ?? all[0]
  return first && { value: first.value, from: `${first.variable} in ${first.from}` }
}
