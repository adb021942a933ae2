/**
 * Puts the commands on the platform, and turns what went wrong into one message for a person and exit code 1.
 *
 * Invariant: a user never sees a stack trace unless the log level is debug.
 */
import { Cause, Console, Effect, Layer, References } from "effect"
import { CliConfig, CliError, Command, GlobalFlag } from "effect/cli"
import { host, platform, runMain, signalIsSuccess } from "../platform.ts"
import * as Help from "./help.ts"

declare const __VERSION__: string | undefined
const version = typeof __VERSION__ === "string" ? __VERSION__ : "development"

/** Runs the command line of this process. */
export const run = <N extends string, I, C, E, R>(command: Command.Command<N, I, C, E, R>): void => {
  const program = Command.run(command, { version }).pipe(
    Effect.provide(
      Layer.mergeAll(Help.layer, CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] }))
    ),
    Effect.provide(platform),
    // Nobody collects spans; stack traces come without them.
    Effect.provideService(References.TracerEnabled, false),
    // `agent pool` alone asks for help; a usage error has been told by then, and the exit code stays 1.
    Effect.catchIf(
      (error) => isHelp(error) && error.errors.length === 0,
      () => Effect.void
    ),
    Effect.tapCause((cause) =>
      Cause.hasInterruptsOnly(cause) || isHelp(Cause.squash(cause)) ? Effect.void : report(cause)
    )
  )
  runMain(program as Effect.Effect<void, E>, {
    disableErrorReporting: true,
    teardown: signalIsSuccess.teardown
  })
}

const isHelp = (error: unknown): error is CliError.ShowHelp =>
  CliError.isCliError(error) && error._tag === "ShowHelp"

const isDebugging = (): boolean =>
  /--log-level[ =]debug\b/u.test(host.arguments().join(" ")) ||
  host.environment()["PREFECT_LOGGING_LEVEL"]?.toLowerCase() === "debug"

const report = (cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  const words = error instanceof Error ? error.message : String(error)
  if (isDebugging()) return Console.error(`agent: ${words}\n${Cause.pretty(cause)}`)
  return cause.reasons.some(Cause.isFailReason)
    ? Console.error(`agent: ${words}`)
    : Console.error(`agent: unexpected error: ${words}\n  Run it again with --log-level debug to see where.`)
}
