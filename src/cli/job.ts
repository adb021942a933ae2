/** `agent job run BLOCK`: runs the job of a CplnJob block, shows its output, and ends as the job ends. */
import {
  Clock,
  Console,
  Effect,
  Layer,
  Logger,
  Option,
  References,
  Result,
  Schema,
  Stdio,
  Stream
} from "effect"
import { Argument, Command, Flag, Prompt } from "effect/cli"
import { CannotStart } from "../agent/start-up.ts"
import { readJobBlock } from "../cpln-job/block.ts"
import { define, refused } from "../cpln-job/define.ts"
import { type Report, type Result as JobResult, runJob } from "../cpln-job/run.ts"
import { takeWishes } from "../cpln-job/wishes.ts"
import { endingOf, isGood, stateOf, wordsOf } from "../cpln-job/words.ts"
import type { Settings } from "../settings.ts"
import { clients, injectedFrom, readSettings } from "./environment.ts"
import { accessOf, platformTrouble, readBlock } from "./lone-job.ts"

/** The job did not end well, or was stopped: exit code 1. */
class JobEndedBadly extends Schema.TaggedError<JobEndedBadly>()("JobEndedBadly", { words: Schema.String }) {
  override get message() {
    return this.words
  }
}

const described = <A>(flag: Flag.Flag<A>, text: string) => Flag.withDescription(flag, text)
const toggle = (name: string, text: string) =>
  described(Flag.Boolean(name).pipe(Flag.withDefault(false)), text)

export const outputFlag = <const L extends ReadonlyArray<string>>(words: L, fallback: L[number]) =>
  described(
    Flag.Literals("output", words).pipe(Flag.withAlias("o"), Flag.withDefault(fallback)),
    `${words.join(" or ")} (${fallback})`
  )

const flags = {
  block: Argument.String("block").pipe(Argument.withDescription("name or id of a cpln-job block")),
  detach: toggle("detach", "print the job's id and return once it is started"),
  timeout: described(Flag.Int("timeout").pipe(Flag.optional), "stop it after that long, s (the block's)"),
  remove: toggle("delete", "delete the workload afterwards, whatever the block says"),
  keep: toggle("keep", "keep the workload, whatever the block says"),
  withStdin: toggle("stop-with-stdin", "stop the job when standard input ends"),
  output: outputFlag(["text", "json"], "text")
}

type Input = Command.Command.Config.Infer<typeof flags>

/** Lines of the job on stdout, the rest on stderr; as JSON everything is an event on stdout. */
const reporter = (output: Input["output"], detach: boolean, stdio: Stdio.Stdio) => {
  const event = (name: string, fields: Readonly<Record<string, unknown>>) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Console.log(JSON.stringify({ event: name, at: new Date(now).toISOString(), ...fields }))
    )
  const isJson = output === "json"
  // Bun paints what the console says as an error red, which progress is not.
  const onStderr = (text: string) =>
    Stream.make(`${text}\n`).pipe(Stream.run(stdio.stderr({ endOnDone: false })), Effect.ignore)
  const tell = (text: string) => (isJson ? event("progress", { message: text }) : onStderr(text))
  const report: Report = {
    tell,
    started: ({ place: { workload }, what }, id) => {
      const { gvc, name, org } = workload
      if (isJson) {
        const pid = `${org}:${gvc}:${name}:${id}`
        return event("started", { id, org, gvc, workload: name, location: what.location, pid })
      }
      return detach ? Console.log(id) : tell(`Job ${id} started in ${workload.path}.`)
    },
    line: (line) => (isJson ? event("output", { line }) : Console.log(line))
  }
  return {
    ...report,
    warn: (text: string) => (isJson ? event("warning", { message: text }) : tell(`Warning: ${text}`)),
    /** Programs wait for this one. */
    end: (result: JobResult) => {
      if (!isJson) return isGood(result) && !detach ? tell(wordsOf(result)) : Effect.void
      const { advice, category, exitCode, reason } = endingOf(result) ?? {}
      const fields = { id: result.commandId, exitCode, reason, category, advice }
      return event("ended", { state: stateOf(result), ...fields, message: wordsOf(result) })
    },
    broken: (message: string) => (isJson ? event("ended", { state: "error", message }) : Effect.void)
  }
}

/** On a terminal, once. Ctrl-C at the question means no. */
const leave = Effect.gen(function* () {
  const stdio = yield* Stdio.Stdio
  if (!(yield* stdio.stdinIsTerminal) || !(yield* stdio.stdoutIsTerminal)) return false
  return yield* Prompt.run(
    Prompt.Confirm({ message: "Leave the job running? No stops it.", initial: false })
  ).pipe(Effect.catchTag("QuitError", () => Effect.succeed(false)))
})

const contradictions = (input: Input): ReadonlyArray<string> => [
  ...(input.remove && input.keep ? ["--delete and --keep contradict each other"] : []),
  ...(input.remove && input.detach ? ["--delete needs the end of the job, and --detach does not wait"] : []),
  ...(input.withStdin && input.detach ? ["--stop-with-stdin waits for the job, and --detach does not"] : []),
  ...(Option.exists(input.timeout, (seconds) => seconds < 1) ? ["--timeout takes seconds, 1 or more"] : [])
]

const runBlock = Effect.fn("cli.runJob")(function* (
  input: Input,
  report: ReturnType<typeof reporter>,
  environment: Readonly<Record<string, string>>,
  settings: Pick<Settings, "doubtHorizon" | "identities" | "launchDeadline">
) {
  const injected = injectedFrom(environment)
  const { data } = yield* readBlock(input.block)
  const read = readJobBlock(data, { ...injected, hasToken: injected.token !== undefined })
  if (Result.isFailure(read)) {
    return yield* new CannotStart({
      reason: `Block ${input.block} cannot be run. ${refused(read.failure).message}`,
      remedy: "Nothing was started."
    })
  }
  const block = read.success
  const wishes = yield* takeWishes({ withStdin: input.withStdin })
  const job = yield* define(block, accessOf(block, injected))
  yield* Effect.forEach(job.warnings, report.warn, { discard: true })
  const stdio = yield* Effect.context<Effect.Services<typeof leave>>()
  return yield* runJob(
    job,
    {
      interval: block.interval,
      timeout: Option.match(input.timeout, { onNone: () => block.timeout, onSome: (s) => s * 1000 }),
      detach: input.detach,
      deleteAfterwards: !input.detach && !input.keep && (input.remove || block.deleteAfterCompletion),
      identities: settings.identities,
      doubtHorizon: settings.doubtHorizon * 1000,
      launchDeadline: settings.launchDeadline * 1000
    },
    report,
    wishes,
    Effect.provideContext(leave, stdio)
  )
})

const handler = Effect.fn("cli.job.run")(function* (input: Input) {
  const report = reporter(input.output, input.detach, yield* Stdio.Stdio)
  const [wrong] = contradictions(input)
  if (wrong !== undefined)
    return yield* new CannotStart({ reason: `${wrong}.`, remedy: "See: agent job run --help" })
  const { environment, prefectSettings, settings } = yield* readSettings({})
  const result = yield* runBlock(input, report, environment, settings).pipe(
    Effect.provide(yield* clients(prefectSettings, environment, settings)),
    Effect.scoped,
    Effect.mapError((error) => ("service" in error ? platformTrouble(error) : error)),
    Effect.tapError((error) => report.broken(error.message))
  )
  yield* report.end(result)
  if (!isGood(result)) return yield* new JobEndedBadly({ words: wordsOf(result) })
})

/** What the parts below say on their own goes to stderr, and only when it matters. */
const quietly = Layer.merge(
  Logger.layer([
    Logger.withConsoleError(Logger.make<unknown, string>(({ message }) => [message].flat().join(" ")))
  ]),
  Layer.succeed(References.MinimumLogLevel, "Warn")
)

const run = Command.make("run", flags, (input) => Effect.provide(handler(input), quietly)).pipe(
  Command.withDescription(
    "Run the job of a cpln-job block on Control Plane, show its output, and end as the job ends: exit code 0 when it completed, else 1. Ctrl-C asks whether to leave it running, and otherwise stops it."
  ),
  Command.withShortDescription("Run the job of a cpln-job block"),
  Command.withExamples([
    { command: "agent job run my-cpln-job" },
    { command: "agent job run my-cpln-job --timeout 600 -o json" },
    { command: "agent job run my-cpln-job --detach" }
  ])
)

export const job = Command.make("job").pipe(
  Command.withDescription("Jobs on Control Plane that are no flow runs."),
  Command.withSubcommands([run])
)
