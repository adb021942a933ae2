/** `agent` and `agent start`: reads the settings, puts the layers together, runs the agent. */
import { Effect, Option, Random, Redacted } from "effect"
import { Command, Flag } from "effect/cli"
import { type AgentOptions, runAgent } from "../agent/agent.ts"
import { CannotStart } from "../agent/start-up.ts"
import { startStatus } from "../agent/status.ts"
import * as Log from "../observe/log.ts"
import { say } from "../observe/say.ts"
import { host } from "../platform.ts"
import { Flight, makeFlight, observedOnly } from "../runs/flight/flight.ts"
import { clients, filled, injectedFrom, readSettings, readTemplate } from "./environment.ts"
import { given, settingFlags } from "./flags.ts"
import { whileRead } from "./output.ts"

const flags = {
  pool: Flag.String("pool").pipe(
    Flag.withAlias("p"),
    Flag.withDescription("work pool to serve (required)"),
    Flag.optional
  ),
  queues: Flag.String("work-queue").pipe(
    Flag.withAlias("q"),
    Flag.withDescription("only this queue (repeatable, made if missing)"),
    Flag.atLeast(0)
  ),
  baseJobTemplate: Flag.String("base-job-template").pipe(
    Flag.withDescription("JSON file, for a pool that is created"),
    Flag.optional
  ),
  ...settingFlags
}

/** Six characters of chance, so that two agents on one host have two worker rows. */
const randomSuffix = Effect.map(
  Effect.all(Array.from({ length: 6 }, () => Random.nextIntBetween(0, 35))),
  (numbers) => numbers.map((each) => each.toString(36)).join("")
)

const secret = (text: string | undefined) => (text === undefined ? undefined : Redacted.make(text))

const handler = Effect.fn("cli.start")(function* (input: Command.Command.Config.Infer<typeof flags>) {
  if (Option.isNone(input.pool)) {
    return yield* new CannotStart({
      reason: "No work pool was named.",
      remedy: "Start with: agent --pool NAME   (see agent --help)"
    })
  }
  const pool = input.pool.value
  const { environment, prefectSettings, settings } = yield* readSettings(given(input))
  yield* Effect.gen(function* () {
    // First of all, so that a probe finds it; what is launched once and left needs none.
    if (!settings.runOnce) yield* startStatus(settings.listen, secret(settings.listenToken))
    const injected = injectedFrom(environment)
    const workerName = settings.name ?? `cpln-${host.name()}-${yield* randomSuffix}`
    const options: AgentOptions = {
      pool,
      queues: input.queues,
      // A pool is written nowhere in observe mode: one that is missing is said to be missing.
      createPool: settings.createPool && !settings.observe,
      baseJobTemplate: Option.isSome(input.baseJobTemplate)
        ? yield* readTemplate(input.baseJobTemplate.value)
        : undefined,
      injected,
      settings,
      workerName,
      agentLink: filled(environment["CPLN_WORKLOAD"]) ?? settings.name ?? `cpln-${host.name()}`,
      prefectSettings: Object.fromEntries([...prefectSettings].map(([name, { value }]) => [name, value])),
      environment
    }
    yield* runAgent(options).pipe(Effect.provide(yield* clients(prefectSettings, environment, settings)))
  }).pipe(
    // In a log people look for it by its area; at a terminal it is told once.
    Effect.tapErrorTag("CannotStart", ({ reason, remedy }) =>
      host.stdoutIsTerminal() ? Effect.void : say("error", "Init", {}, `${reason} ${remedy}`)
    ),
    Effect.provideService(Flight, settings.observe ? observedOnly(makeFlight()) : makeFlight()),
    Effect.provide(Log.layer(settings, host.stdoutIsTerminal())),
    Effect.scoped,
    whileRead("stopped as by SIGTERM; jobs run on.")
  )
})

/** The root command's own handler, so that `agent --pool cpln` starts the agent. */
export const root = Command.make("agent", flags, handler).pipe(
  Command.withDescription("Runs the flow runs of a Prefect work pool as jobs on Control Plane."),
  Command.withExamples([{ command: "agent --pool cpln --interval 60" }])
)

export const start = Command.make("start", flags, handler).pipe(
  Command.withDescription(
    "Start the agent; the same as `agent` with these flags. The Prefect server comes from PREFECT_API_URL, PREFECT_API_KEY and PREFECT_API_AUTH_STRING, or the active Prefect profile; Control Plane from CPLN_TOKEN, CPLN_ENDPOINT, CPLN_ORG, CPLN_GVC and CPLN_LOCATION."
  ),
  Command.withShortDescription("The same as `agent`; its help names the environment variables too")
)
