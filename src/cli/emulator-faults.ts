/**
 * What is to go wrong in the emulator, from the command line: flags for common faults, one for any, and a scenario file.
 *
 * Invariant: whatever is wrong with it is told before the emulator starts, with the flag or the file's line.
 */
import { Effect, FileSystem, Option, Result, Schema } from "effect"
import { Flag } from "effect/cli"
import { type Rule, ruleOfText } from "../emulator/faults/rule.ts"
import { readScenario, type Scenario } from "../emulator/faults/scenario.ts"

export class BadFault extends Schema.TaggedError<BadFault>()("BadFault", {
  place: Schema.String,
  problems: Schema.Array(Schema.String)
}) {
  override get message() {
    return this.problems.map((problem) => `emulator: ${this.place}${problem}`).join("\n")
  }
}

const number = (name: string, text: string) =>
  Flag.withDescription(Flag.Finite(name).pipe(Flag.optional), text)

export const faultFlags = {
  latency: number("latency", "every answer comes so much later, s"),
  jitter: number("jitter", "and up to so much more, s"),
  errorRate: number("error-rate", "share of requests answered 503, half of them after the commit"),
  logLag: number("log-lag", "job output arrives so much later, s"),
  tailSession: number("tail-session", "live tails of logs end after so long, s"),
  faults: Flag.withDescription(
    Flag.String("fault").pipe(Flag.atLeast(0)),
    `such as "oom workload=x seconds=3 times=1"; repeatable`
  ),
  scenario: Flag.withDescription(
    Flag.String("scenario").pipe(Flag.optional),
    "YAML file of faults, see docs/emulator.md"
  )
}

interface Given {
  readonly latency: Option.Option<number>
  readonly jitter: Option.Option<number>
  readonly errorRate: Option.Option<number>
  readonly logLag: Option.Option<number>
  readonly tailSession: Option.Option<number>
  readonly faults: ReadonlyArray<string>
  readonly scenario: Option.Option<string>
}

/** What a flag stands for, one fault a line. */
const linesOf = ({ latency, jitter, errorRate, logLag, tailSession }: Given) => {
  const half = (share: number) => `server-error probability=${share / 2}`
  return [
    ...(Option.isNone(latency) && Option.isNone(jitter)
      ? []
      : [
          [
            "--latency, --jitter: ",
            `latency seconds=${Option.getOrElse(latency, () => 0)} jitter=${Option.getOrElse(jitter, () => 0)}`
          ] as const
        ]),
    ...Option.match(errorRate, {
      onNone: () => [],
      onSome: (share) =>
        ["before", "after"].map((when) => ["--error-rate: ", `${half(share)} when=${when}`] as const)
    }),
    ...Option.match(logLag, {
      onNone: () => [],
      onSome: (time) => [["--log-lag: ", `log-lag seconds=${time}`] as const]
    }),
    ...Option.match(tailSession, {
      onNone: () => [],
      onSome: (time) => [["--tail-session: ", `tail-cut seconds=${time}`] as const]
    })
  ]
}

const readFile = Effect.fn("cli.emulator.scenario")(function* (
  path: string
): Effect.fn.Return<Scenario, BadFault, FileSystem.FileSystem> {
  const files = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(
    files.readFileString(path),
    () => new BadFault({ place: `--scenario: ${path} `, problems: ["cannot be read"] })
  )
  const scenario = readScenario(text)
  return Result.isSuccess(scenario)
    ? scenario.success
    : yield* new BadFault({ place: `${path}:`, problems: scenario.failure })
})

/** Everything that was asked for, by flags and by a file, in this order. */
export const scenarioOf = Effect.fn("cli.emulator.faults")(function* (
  given: Given
): Effect.fn.Return<Scenario, BadFault, FileSystem.FileSystem> {
  const rules: Array<Rule> = []
  const lines = [...linesOf(given), ...given.faults.map((line) => [`--fault "${line}": `, line] as const)]
  for (const [place, line] of lines) {
    const rule = ruleOfText(line)
    if (Result.isFailure(rule)) return yield* new BadFault({ place, problems: rule.failure })
    rules.push(rule.success)
  }
  const file = Option.isNone(given.scenario) ? undefined : yield* readFile(given.scenario.value)
  return { seed: file?.seed, faults: [...rules, ...(file?.faults ?? [])] }
})
