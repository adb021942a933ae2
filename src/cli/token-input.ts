/**
 * Where a command takes a Control Plane token from: standard input, the environment, or a person at the terminal.
 *
 * Invariant: never from an argument, which other users of the machine and the shell's history can read.
 */
import { Effect, Option, Redacted, Stdio, Stream } from "effect"
import { Argument, Flag, Prompt } from "effect/cli"
import { CannotStart } from "../agent/start-up.ts"
import { host } from "../platform.ts"
import { filled } from "./environment.ts"

/** Taken so that they can be refused without being repeated, as usage errors repeat what they do not know. */
const misplaced = {
  token: Flag.String("token").pipe(Flag.withHidden, Flag.optional),
  names: Argument.String("name").pipe(
    Argument.withDescription("lower-case letters, digits and dashes"),
    Argument.atLeast(1)
  )
}

/** The block's name among them. */
export const tokenFlags = {
  ...misplaced,
  tokenStdin: Flag.Boolean("token-stdin").pipe(
    Flag.withDefault(false),
    Flag.withDescription("read the token from standard input")
  ),
  withoutToken: Flag.Boolean("without-token").pipe(
    Flag.withDefault(false),
    Flag.withDescription("leave it out: the agent's own CPLN_TOKEN is used")
  )
}

const howToGive =
  'Set CPLN_TOKEN, or: printf %s "$TOKEN" | agent blocks create ... --token-stdin\n  To leave the token out of the block: --without-token'

export interface TokenInput {
  /** Undefined when it is left out on purpose. */
  readonly token: Redacted.Redacted | undefined
  /** For telling the user. */
  readonly from: string
}

interface Given {
  readonly names: ReadonlyArray<string>
  readonly token: Option.Option<string>
  readonly tokenStdin: boolean
  readonly withoutToken: boolean
}

/** `CPLN_TOKEN` unless standard input is asked for; without either, whatever comes on standard input. */
export const readToken = Effect.fn("cli.readToken")(function* (flags: Given) {
  if (Option.isSome(flags.token) || flags.names.length > 1) {
    return yield* new CannotStart({
      reason:
        "More than a name was given. A token is not taken from the command line, where other users of the machine and the shell's history see it; nothing was changed.",
      remedy: howToGive
    })
  }
  if (flags.tokenStdin && flags.withoutToken) {
    return yield* new CannotStart({
      reason: "--token-stdin and --without-token contradict each other.",
      remedy: "Give one of them."
    })
  }
  if (flags.withoutToken) return { token: undefined, from: "no token" } satisfies TokenInput
  const inEnvironment = filled(host.environment()["CPLN_TOKEN"])
  if (!flags.tokenStdin && inEnvironment !== undefined) {
    return { token: yield* checked(inEnvironment, "CPLN_TOKEN"), from: "token from CPLN_TOKEN" }
  }
  const stdio = yield* Stdio.Stdio
  if (yield* stdio.stdinIsTerminal) {
    const typed = yield* Prompt.run(Prompt.Hidden({ message: "Control Plane token" }))
    return {
      token: yield* checked(Redacted.value(typed), "what was typed", "nothing was typed"),
      from: "token as typed"
    }
  }
  const text = yield* stdio.stdin.pipe(
    Stream.decodeText(),
    Stream.mkString,
    Effect.orElseSucceed(() => "")
  )
  const empty = flags.tokenStdin
    ? "standard input is empty"
    : "CPLN_TOKEN is not set, and standard input is empty"
  return { token: yield* checked(text, "standard input", empty), from: "token from standard input" }
})

/** A token is one word; files and shells add a line break at its end. */
const checked = (text: string, where: string, empty = "it is empty") => {
  const token = text.trim()
  if (/^[!-~]+$/u.test(token)) return Effect.succeed(Redacted.make(token))
  return Effect.fail(
    new CannotStart({
      reason:
        token === ""
          ? `There is no Control Plane token: ${empty}.`
          : `There is no Control Plane token in ${where}: it holds more than one word, or a character that no token has.`,
      remedy: howToGive
    })
  )
}
