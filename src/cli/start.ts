/** `agent` and `agent start`: reads the settings, puts the layers together, runs the agent. */
import { Effect, FileSystem, Layer, Option, Random, Redacted, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { parse } from "yaml"
import { type AgentOptions, runAgent } from "../agent/agent.ts"
import { CannotStart } from "../agent/start-up.ts"
import { ControlPlane } from "../cpln/control-plane.ts"
import * as Log from "../observe/log.ts"
import { host } from "../platform.ts"
import { readAccess } from "../prefect/access.ts"
import { Prefect } from "../prefect/prefect.ts"
import { type PrefectSettings, readPrefectSettings } from "../prefect/profile.ts"
import type { Injected } from "../runs/config.ts"
import { resolve, secretEnvironment, type Settings } from "../settings.ts"
import { given, settingFlags } from "./flags.ts"

const flags = {
  pool: Flag.String("pool").pipe(Flag.withAlias("p"), Flag.withDescription("work pool to serve (required)"), Flag.optional),
  queues: Flag.String("work-queue").pipe(
    Flag.withAlias("q"),
    Flag.withDescription("only this queue; repeatable; created when missing"),
    Flag.atLeast(0)
  ),
  baseJobTemplate: Flag.String("base-job-template").pipe(
    Flag.withDescription("JSON file, for a pool that is created"),
    Flag.optional
  ),
  ...settingFlags
}

const publicEndpoint = "https://api.cpln.io"

/** Control Plane injects full links for some of these: the last segment is the name. */
const nameOf = (value: string | undefined): string | undefined => {
  const name = value?.trim().split("/").at(-1)
  return name === undefined || name === "" ? undefined : name
}

const filled = (value: string | undefined): string | undefined => (value?.trim() ? value.trim() : undefined)

export const injectedFrom = (environment: Readonly<Record<string, string>>): Injected => ({
  endpoint: filled(environment["CPLN_ENDPOINT"]) ?? publicEndpoint,
  org: nameOf(environment["CPLN_ORG"]),
  gvc: nameOf(environment["CPLN_GVC"]),
  location: nameOf(environment["CPLN_LOCATION"]),
  token: Option.getOrUndefined(Option.map(Option.fromNullishOr(filled(environment["CPLN_TOKEN"])), Redacted.make))
})

/** Six characters of chance, so that two agents on one host have two worker rows. */
const randomSuffix = Effect.map(
  Effect.all(Array.from({ length: 6 }, () => Random.nextIntBetween(0, 35))),
  (numbers) => numbers.map((each) => each.toString(36)).join("")
)

const jsonFile = Effect.fnUntraced(function* (path: string) {
  const files = yield* FileSystem.FileSystem
  const Template = Schema.Record(Schema.String, Schema.Unknown)
  return yield* files.readFileString(path).pipe(
    Effect.flatMap((text) => Effect.try(() => parse(text) as unknown)),
    Effect.flatMap(Schema.decodeUnknownEffect(Template)),
    Effect.mapError(
      () =>
        new CannotStart({
          reason: `The base job template ${path} cannot be read as a JSON object.`,
          remedy: "Give a file like the one that `agent pool create --help` speaks of."
        })
    )
  )
})

/** Everything that commands of this program read from environment and profile, or a clear error. */
export const readSettings = Effect.fn("cli.readSettings")(function* (
  flags: Parameters<typeof resolve>[0]
) {
  const environment = host.environment()
  const prefectSettings = yield* readPrefectSettings(environment)
  const found = (variable: string) => {
    const value = environment[variable]
    return value === undefined || value === ""
      ? prefectSettings.get(variable)
      : { value, from: "the environment" }
  }
  const resolved = resolve(flags, found)
  if ("wrong" in resolved) return yield* resolved.wrong
  return { environment, prefectSettings, settings: resolved.settings }
})

export const clients = Effect.fn("cli.clients")(function* (
  prefectSettings: PrefectSettings,
  environment: Readonly<Record<string, string>>,
  settings: Settings
) {
  const access = yield* readAccess(prefectSettings)
  const logsToken = filled(environment[secretEnvironment.logsToken])
  return Layer.merge(
    Prefect.layer(access, { ratePerSecond: settings.prefectRate }),
    ControlPlane.layerWith({
      ratePerSecond: settings.cplnRate,
      logsEndpoint: settings.logsEndpoint,
      logsToken: logsToken === undefined ? undefined : Redacted.make(logsToken)
    })
  )
})

const handler = Effect.fn("cli.start")(function* (
  input: Command.Command.Config.Infer<typeof flags>
) {
  const { environment, prefectSettings, settings } = yield* readSettings(given(input))
  yield* Effect.gen(function* () {
    if (Option.isNone(input.pool)) {
      return yield* new CannotStart({
        reason: "No work pool was named.",
        remedy: "Start with: agent --pool NAME   (see agent --help)"
      })
    }
    const injected = injectedFrom(environment)
    const workerName = settings.name ?? `cpln-${host.name()}-${yield* randomSuffix}`
    const options: AgentOptions = {
      pool: input.pool.value,
      queues: input.queues,
      createPool: settings.createPool,
      baseJobTemplate: Option.isSome(input.baseJobTemplate)
        ? yield* jsonFile(input.baseJobTemplate.value)
        : undefined,
      injected,
      settings,
      workerName,
      agentLink: filled(environment["CPLN_WORKLOAD"]) ?? settings.name ?? `cpln-${host.name()}`,
      prefectSettings: Object.fromEntries([...prefectSettings].map(([name, { value }]) => [name, value])),
      environment
    }
    yield* runAgent(options).pipe(Effect.provide(yield* clients(prefectSettings, environment, settings)))
  }).pipe(Effect.provide(Log.layer(settings, host.stdoutIsTerminal())))
})

/** The root command's own handler, so that `agent --pool cpln` starts the agent. */
export const root = Command.make("agent", flags, handler).pipe(
  Command.withDescription("Runs the flow runs of a Prefect work pool as jobs on Control Plane."),
  Command.withExamples([{ command: "agent --pool cpln --interval 60" }])
)

export const start = Command.make("start", flags, handler).pipe(
  Command.withDescription("Start the agent; the same as `agent` with these flags.")
)
