/**
 * `agent explain RUN`: what was decided about a flow run, when, why, and what is waited for; with `--export`, the record
 * of it for a report of a bug. Writes nothing but that file.
 */
import { Clock, Console, Effect, FileSystem, Option, Result } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { CannotStart, serverTrouble } from "../agent/start-up.ts"
import { account } from "../explain/account.ts"
import { lookNow } from "../explain/look-now.ts"
import { type Asked, askAgent } from "../explain/running-agent.ts"
import { addressText, parseAddress } from "../observe/address.ts"
import { plural } from "../observe/plural.ts"
import { readAccess } from "../prefect/access.ts"
import { Flight, makeFlight } from "../runs/flight/flight.ts"
import type { FlightRecord } from "../runs/flight/record.ts"
import { agentConfig, type GivenSettings } from "./agent-config.ts"
import { clients, readSettings } from "./environment.ts"

const flags = {
  run: Argument.String("run").pipe(Argument.withDescription("id of a flow run, or its address in the UI")),
  export: Flag.String("export").pipe(
    Flag.withDescription("write the record to a file, - for stdout"),
    Flag.optional
  ),
  agent: Flag.String("agent").pipe(
    Flag.withDescription("URL of the agent's status server (that of --listen)"),
    Flag.optional
  )
}

type Input = Command.Command.Config.Infer<typeof flags>

const runIdOf = (text: string): string | undefined =>
  /(?:^|\/)([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\/?$/iu
    .exec(text)?.[1]
    ?.toLowerCase()

/** Undefined where the settings say that there is none. */
const agentUrl = (given: Option.Option<string>, listen: string): string | undefined => {
  if (Option.isSome(given)) return given.value
  const address = parseAddress(listen)
  if (address === undefined) return undefined
  // Every interface has this machine's own.
  const host = address.host === "0.0.0.0" || address.host === "::" ? "127.0.0.1" : address.host
  return `http://${addressText({ ...address, host })}`
}

const ask = Effect.fnUntraced(function* (input: Input, { settings }: GivenSettings, runId: string) {
  const url = agentUrl(input.agent, settings.listen)
  if (url === undefined) return { _tag: "Nobody", why: "--listen is off" } satisfies Asked
  if (!/^https?:\/\/[^/\s]+/u.test(url) || !URL.canParse(url)) {
    return yield* new CannotStart({
      reason: `--agent is ${JSON.stringify(url)}, but an http(s) URL is expected.`,
      remedy: "Such as http://127.0.0.1:4280, where an agent of this machine listens."
    })
  }
  return yield* askAgent(url, settings.listenToken, runId)
})

/** What both APIs tell, and the record of that one look. */
const look = Effect.fnUntraced(function* (runId: string, given: GivenSettings) {
  const { environment, prefectSettings, settings } = given
  const access = yield* readAccess(prefectSettings)
  const flight = makeFlight()
  const sight = yield* Effect.flatMap(agentConfig(given), (config) => lookNow(runId, config)).pipe(
    Effect.provideService(Flight, flight),
    Effect.provide(yield* clients(prefectSettings, environment, settings)),
    Effect.mapError((error) => ("service" in error ? serverTrouble(access.url)(error) : error))
  )
  return { sight, record: flight.record(runId) }
})

const write = Effect.fnUntraced(function* (record: FlightRecord, path: string) {
  const text = JSON.stringify(record, null, 2)
  if (path === "-") return yield* Console.log(text)
  const files = yield* FileSystem.FileSystem
  yield* files.writeFileString(path, `${text}\n`).pipe(
    Effect.mapError(
      (error) =>
        new CannotStart({
          reason: `${path} cannot be written (${error.reason._tag}).`,
          remedy: "Name a file in a folder that exists, or - for stdout."
        })
    )
  )
  yield* Console.log(
    `Wrote ${path}: ${plural(record.entries.length, "entry", "entries")} of flow run ${record.runId}. It holds ids, times and states; no parameters, environment, tokens or output.`
  )
})

const handler = Effect.fn("cli.explain")(function* (input: Input) {
  const runId = runIdOf(input.run)
  if (runId === undefined) {
    return yield* new CannotStart({
      reason: `${JSON.stringify(input.run)} is no flow run's id.`,
      remedy:
        "It looks like 0f3b6a52-8c1d-4f7e-9a63-2b7d5e1c4a90: at the end of the run's address in the UI, and as RunID in every line of the agent."
    })
  }
  const given = yield* readSettings({})
  const asked = yield* ask(input, given, runId)
  const told = asked._tag === "Record" ? asked.record : undefined
  const why =
    asked._tag === "Nobody"
      ? asked.why
      : asked._tag === "Unknown"
        ? "the agent has no record of that run"
        : ""
  if (Option.isSome(input.export)) {
    if (told !== undefined) return yield* write(told, input.export.value)
    yield* Console.error(`agent: ${why}: this is one look at both services, taken now.`)
    const { record, sight } = yield* look(runId, given)
    if (record !== undefined) return yield* write(record, input.export.value)
    return yield* new CannotStart({
      reason: `No agent of this kind would judge flow run ${sight.run.name}: there is nothing to record.`,
      remedy: `See: agent explain ${runId}`
    })
  }
  const looked = yield* Effect.result(look(runId, given))
  // What the agent knows is worth more than nothing.
  if (Result.isFailure(looked) && told === undefined) return yield* looked.failure
  if (Result.isFailure(looked)) yield* Console.error(`agent: ${looked.failure.message}`)
  if (told === undefined) yield* Console.error(`agent: ${why}: what follows is read from both services.`)
  yield* Console.log(
    account({
      runId,
      sight: Result.isSuccess(looked) ? looked.success.sight : undefined,
      record: told,
      now: yield* Clock.currentTimeMillis
    })
  )
})

export const explain = Command.make("explain", flags, handler).pipe(
  Command.withDescription(
    "Tell what was decided about a flow run, when and why, and what is waited for now. Asks the running agent at its status server; without one it looks at both services itself. Changes nothing."
  ),
  Command.withShortDescription("Tell what was decided about a run, and why"),
  Command.withExamples([
    { command: "agent explain 0f3b6a52-8c1d-4f7e-9a63-2b7d5e1c4a90" },
    { command: "agent explain 0f3b6a52-8c1d-4f7e-9a63-2b7d5e1c4a90 --export flight.json" }
  ])
)
