/** `agent emulator`: the local Control Plane, and how to point the agent and the vendor's CLI at it. */
import {
  Console,
  Effect,
  FileSystem,
  Layer,
  Logger,
  Option,
  Random,
  Redacted,
  References,
  Result,
  Schema
} from "effect"
import { Command, Flag } from "effect/cli"
import { SecureRandom } from "effect/crypto"
import { layer } from "../emulator/emulator.ts"
import { ruleOfText } from "../emulator/faults/rule.ts"
import { finalStages } from "../emulator/jobs/run-state.ts"
import { Listener } from "../emulator/listener.ts"
import type { BadState } from "../emulator/state/state-folder.ts"
import { keptToken } from "../emulator/state/token.ts"
import { defaults, type EmulatorSettings, realTimes } from "../emulator/settings.ts"
import { faultFlags, scenarioOf } from "./emulator-faults.ts"
import { whileRead } from "./output.ts"

class BadFlag extends Schema.TaggedError<BadFlag>()("BadFlag", {
  flag: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `emulator: --${this.flag} ${this.reason}`
  }
}

const levels = { debug: "Debug", info: "Info", warning: "Warn", error: "Error" } as const

/** One of a few words. Not `Flag.Literals`, whose help would not fit a line. */
const oneOf = <const L extends ReadonlyArray<string>>(name: string, words: L, fallback: L[number]) =>
  Flag.String(name).pipe(Flag.withSchema(Schema.Literals(words)), Flag.withDefault(fallback))

const described = <A>(flag: Flag.Flag<A>, text: string) => Flag.withDescription(flag, text)
const seconds = (name: string, text: string) => described(Flag.Finite(name).pipe(Flag.optional), text)
const inSeconds = (milliseconds: number) => milliseconds / 1000

const flags = {
  port: described(Flag.Int("port").pipe(Flag.withDefault(4281)), "where it listens; 0 for a free one (4281)"),
  host: described(
    Flag.String("host").pipe(Flag.withDefault(defaults.host)),
    `address it listens on (${defaults.host})`
  ),
  token: described(Flag.Redacted("token").pipe(Flag.optional), "what clients must present (random)"),
  open: described(Flag.Boolean("open").pipe(Flag.withDefault(false)), "take any token"),
  orgs: described(
    Flag.String("org").pipe(Flag.atLeast(0)),
    `org that exists; repeatable (${defaults.orgs.join(", ")})`
  ),
  mode: described(
    oneOf("mode", ["exec", "virtual"], defaults.mode),
    "exec: jobs are processes; virtual: they only live (exec)"
  ),
  readyFile: described(
    Flag.String("ready-file").pipe(Flag.optional),
    "gets {url, token} as JSON once it answers"
  ),
  images: described(
    Flag.String("image").pipe(Flag.atLeast(0)),
    "NAME=COMMAND: what stands here for an image's entrypoint; repeatable"
  ),
  startDelay: seconds("start-delay", `from a command to its job, s (${inSeconds(defaults.startDelay)})`),
  runSeconds: seconds("run-seconds", "life of a virtual job, s; 0 until it is ended (0)"),
  stopStage: described(
    oneOf("stop-stage", finalStages, defaults.stopStage),
    `a stopped job ends ${finalStages.join(", ")} (${defaults.stopStage})`
  ),
  preStop: seconds("pre-stop", `from a stop to SIGTERM, s (${inSeconds(defaults.preStop ?? 0)})`),
  grace: seconds("grace", `from a stop to SIGKILL, s (${inSeconds(defaults.grace)})`),
  realTimes: described(
    Flag.Boolean("real-times").pipe(Flag.withDefault(false)),
    "as the service: start 14 s, SIGTERM 45 s, SIGKILL 90 s, deadlines 91 to 123 s late"
  ),
  pageSize: described(
    Flag.Int("page-size").pipe(Flag.withDefault(defaults.pageSize)),
    `items in a page (${defaults.pageSize})`
  ),
  state: described(Flag.String("state").pipe(Flag.optional), "folder that keeps everything over a restart"),
  ...faultFlags,
  seed: described(Flag.String("seed").pipe(Flag.optional), "makes ids, names and chances repeat"),
  logLevel: described(
    oneOf("log-level", ["debug", "info", "warning", "error"], "info"),
    "debug, info, warning or error (info)"
  )
}

type Input = Command.Command.Config.Infer<typeof flags>

const longest = 86_400

/** Milliseconds of a flag in seconds, or what holds without it. */
const time = <A>(
  flag: string,
  given: Option.Option<number>,
  otherwise: A
): Effect.Effect<number | A, BadFlag> =>
  Option.isNone(given)
    ? Effect.succeed(otherwise)
    : given.value >= 0 && given.value <= longest
      ? Effect.succeed(Math.round(given.value * 1000))
      : Effect.fail(new BadFlag({ flag, reason: `takes seconds from 0 to ${longest}` }))

const between = (flag: string, value: number, least: number, most: number) =>
  value >= least && value <= most
    ? Effect.succeed(value)
    : Effect.fail(new BadFlag({ flag, reason: `takes a whole number from ${least} to ${most}` }))

const lateKill = Result.match(ruleOfText("late-kill"), { onFailure: () => [], onSuccess: (rule) => [rule] })

/** `NAME=COMMAND`; a name may hold no `=`, a command may. */
const imagesOf = Effect.fnUntraced(function* (given: ReadonlyArray<string>) {
  const found: Record<string, string> = {}
  for (const each of given) {
    const at = each.indexOf("=")
    if (at < 1 || at === each.length - 1) {
      return yield* new BadFlag({ flag: "image", reason: `takes NAME=COMMAND, and "${each}" is not that` })
    }
    found[each.slice(0, at)] = each.slice(at + 1)
  }
  return found
})

const orgName = /^[a-z]([-a-z0-9]*[a-z0-9])?$/u

const settingsOf = Effect.fn("cli.emulator.settings")(function* (
  input: Input,
  faults: EmulatorSettings["faults"]
): Effect.fn.Return<EmulatorSettings, BadFlag | BadState, SecureRandom.SecureRandom> {
  const wrong = input.orgs.find((org) => !orgName.test(org))
  if (wrong !== undefined)
    return yield* new BadFlag({ flag: "org", reason: `takes a name, and "${wrong}" is none` })
  const random = yield* SecureRandom.SecureRandom
  const drawn = Buffer.from(yield* random.randomBytes(24)).toString("hex")
  const state = Option.getOrUndefined(input.state)
  const usual = input.realTimes ? { ...defaults, ...realTimes } : defaults
  return {
    ...usual,
    // With the service a deadline is noticed at once, and carried out long after.
    faults: input.realTimes ? [...faults, ...lateKill] : faults,
    host: input.host,
    port: yield* between("port", input.port, 0, 65_535),
    state,
    token: input.open
      ? undefined
      : Option.isSome(input.token)
        ? input.token.value
        : Redacted.make(state === undefined ? drawn : yield* keptToken(state, drawn)),
    orgs: input.orgs.length === 0 ? defaults.orgs : [...new Set(input.orgs)],
    mode: input.mode,
    images: yield* imagesOf(input.images),
    startDelay: yield* time("start-delay", input.startDelay, usual.startDelay),
    runFor: yield* time("run-seconds", input.runSeconds, usual.runFor),
    stopStage: input.stopStage,
    grace: yield* time("grace", input.grace, usual.grace),
    preStop: yield* time("pre-stop", input.preStop, usual.preStop),
    pageSize: yield* between("page-size", input.pageSize, 1, 1000)
  }
})

/** For copying into a shell. */
const directions = (url: string, token: string, { mode, orgs, token: given }: EmulatorSettings): string => {
  const isOpen = given === undefined
  return [
    `Control Plane emulator at ${url}, mode ${mode}. Ctrl-C ends it.`,
    "",
    `Workloads, commands and logs: ${url}/${isOpen ? "" : `?token=${encodeURIComponent(token)}`}`,
    "",
    "Point the cpln CLI and the agent at it:",
    "",
    `  export CPLN_ENDPOINT=${url}`,
    `  export CPLN_TOKEN=${token}`,
    `  export CPLN_ORG=${orgs[0]}`,
    "  export CPLN_GVC=flows",
    "  export CPLN_SKIP_UPDATE_CHECK=1",
    "",
    "  cpln gvc create --name flows --location aws-us-west-2",
    "  agent --pool cpln",
    ""
  ].join("\n")
}

const handler = Effect.fn("cli.emulator")(function* (input: Input) {
  const scenario = yield* scenarioOf(input)
  const settings = yield* settingsOf(input, scenario.faults)
  const token = settings.token === undefined ? "any" : Redacted.value(settings.token)
  const ready = Effect.gen(function* () {
    const { url } = yield* Listener
    yield* Console.log(directions(url, token, settings))
    if (Option.isSome(input.readyFile)) {
      const files = yield* FileSystem.FileSystem
      const path = input.readyFile.value
      // Written beside and moved, so that nobody reads half of it. The token in it is a secret.
      yield* files.writeFileString(`${path}.new`, JSON.stringify({ url, token }), { mode: 0o600 })
      yield* files.rename(`${path}.new`, path)
    }
    return yield* Effect.never
  })
  const running = ready.pipe(
    Effect.provide(layer(settings)),
    Effect.provide(
      Layer.merge(
        Logger.layer([Logger.consolePretty()]),
        Layer.succeed(References.MinimumLogLevel, levels[input.logLevel])
      )
    )
  )
  const seed = Option.getOrElse(input.seed, () => scenario.seed)
  yield* (seed === undefined ? running : Random.withSeed(running, seed)).pipe(
    whileRead("the emulator ended.")
  )
})

export const emulator = Command.make("emulator", flags, handler).pipe(
  Command.withDescription(
    "A local Control Plane: runs jobs as processes of this machine, with no account. For development and tests."
  ),
  Command.withShortDescription("A local Control Plane, for development and tests"),
  Command.withExamples([{ command: "agent emulator --org acme --port 4281" }])
)
