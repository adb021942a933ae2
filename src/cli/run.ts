/**
 * Puts the commands on the platform, and turns what went wrong into one message for a person and exit code 1.
 *
 * Invariant: a user never sees a stack trace unless the log level is debug.
 */
import { Cause, Console, Effect, Layer } from "effect"
import { CliConfig, Command, GlobalFlag } from "effect/cli"
import { platform, runMain, signalIsSuccess } from "../platform.ts"
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
    Effect.tapCause((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : report(cause)))
  )
  runMain(program as Effect.Effect<void, E>, {
    disableErrorReporting: true,
    teardown: signalIsSuccess.teardown
  })
}

const report = (cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  const expected = cause.reasons.some(Cause.isFailReason) && error instanceof Error
  return Console.error(
    expected ? `agent: ${error.message}` : `agent: unexpected error\n${Cause.pretty(cause)}`
  )
}
