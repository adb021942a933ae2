/**
 * The help text: one line per flag, within 80 columns, so that it fits a screen; `agent start --help` also names the
 * environment variables. A wrong command line is answered on stderr alone.
 */
import { Console, Layer, Option } from "effect"
import { type CliError, CliOutput } from "effect/cli"
import type { FlagDoc, HelpDoc } from "effect/cli/HelpDoc"

const width = 80

/** "text (60) [VARIABLE]" apart. */
const parts = (description: string): { readonly words: string; readonly variables: string | undefined } => {
  const found = /^(.*?)(?: \[([A-Z0-9_, ]+)\])?$/su.exec(description)
  return { words: found?.[1] ?? description, variables: found?.[2] }
}

const name = (flag: FlagDoc): string => {
  const alias = flag.aliases.find((each) => /^-[a-z]$/u.test(each))
  return `${alias === undefined ? "    " : `${alias}, `}--${flag.name}`
}

const lines = (flags: ReadonlyArray<FlagDoc>, long: boolean): ReadonlyArray<string> => {
  const column = Math.max(0, ...flags.map((flag) => name(flag).length)) + 4
  return flags.flatMap((flag) => {
    const { variables, words } = parts(Option.getOrElse(flag.description, () => ""))
    const [first = "", ...rest] = wrapped(words, width - column)
    const more = long && variables !== undefined ? [...rest, ...variables.split(", ")] : rest
    return [`  ${name(flag).padEnd(column - 2)}${first}`, ...more.map((line) => " ".repeat(column) + line)]
  })
}

const formatHelpDoc = (doc: HelpDoc): string => {
  const subcommands = (doc.subcommands ?? []).flatMap((group) => group.commands)
  // The root shows the short form, because it is what fits a screen.
  const long = subcommands.length === 0
  const short = !long && doc.flags.length > 0
  // The root's help is as long as a screen: there, what is one line takes one, and no empty one before it.
  const section = (title: string, body: ReadonlyArray<string>) => {
    if (body.length === 0) return []
    return !short || body.length > 1 ? ["", title, ...body] : [`${title}  ${body[0]!.trim()}`]
  }
  const examples = section(
    "EXAMPLES",
    (doc.examples ?? []).map((each) => `  ${each.command}`)
  )
  const always = (doc.globalFlags ?? []).map(name).map((each) => each.trim())
  const left = Math.max(0, ...subcommands.map((each) => each.name.length)) + 4
  return [
    wrap(doc.description),
    // The root does its work without a subcommand.
    ...section("USAGE", [
      // Several values are taken by one command alone, to refuse the second without repeating it.
      `  ${doc.usage.replace("agent <subcommand> [flags]", "agent [<command>] [flags]").replaceAll("...>", ">")}`
    ]),
    ...section(
      "COMMANDS",
      subcommands.flatMap((each) => {
        const [first = "", ...rest] = wrapped(each.shortDescription ?? each.description, width - left)
        return [`  ${each.name.padEnd(left - 2)}${first}`, ...rest.map((line) => " ".repeat(left) + line)]
      })
    ),
    ...section(
      "ARGUMENTS",
      (doc.args ?? []).map((arg) => `  ${arg.name}  ${Option.getOrElse(arg.description, () => "")}`)
    ),
    ...section(
      short ? `FLAGS  (beside ${always.join("; ")})` : "FLAGS",
      lines([...doc.flags, ...(doc.inheritedFlags ?? [])], long)
    ),
    ...(short ? [] : ["", ...lines(doc.globalFlags ?? [], false)]),
    ...examples,
    ""
  ].join("\n")
}

const wrapped = (text: string, columns: number): ReadonlyArray<string> => {
  const out: Array<string> = [""]
  for (const word of text.split(/\s+/u)) {
    const last = out.at(-1)!
    if (last !== "" && last.length + word.length + 1 > columns) out.push(word)
    else out[out.length - 1] = last === "" ? word : `${last} ${word}`
  }
  return out
}

const wrap = (text: string): string => wrapped(text, width).join("\n")

/** What a value has to be, in the words of a person: `"a" | "b"` are choices. */
const expectation = (expected: string): string => {
  const plain = expected.replace(/^Schema validation failed: /u, "").replace(/^Expected:? /u, "")
  if (/number/u.test(plain)) return "a number"
  if (/integer/u.test(plain)) return "a whole number"
  const choices = plain.split(" | ").map((each) => each.replaceAll('"', ""))
  return choices.length === 1 ? plain : `one of ${choices.join(", ")}`
}

const wordsOf = (error: CliError.NonShowHelpErrors): string => {
  if (error._tag !== "InvalidValue") return error.message.replace(/\n+/gu, "\n").trimEnd()
  const what = error.kind === "flag" ? `--${error.option}` : `<${error.option}>`
  const expected = expectation(error.expected)
  return error.value === ""
    ? `${what} needs a value: ${expected}.`
    : `${what} is ${JSON.stringify(error.value)}, but ${expected} is expected.`
}

/** The word behind a flag that does not exist is its value, seldom a command: it is not complained of as one. */
const worthTelling = (errors: ReadonlyArray<CliError.NonShowHelpErrors>) =>
  errors.some((each) => each._tag === "UnrecognizedOption")
    ? errors.filter((each) => each._tag !== "UnknownSubcommand")
    : errors

/**
 * A command line that is wrong gets what is wrong and where the help is, on stderr: the whole help would push the error
 * off the screen, and stdout may lead into another program.
 */
const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(
          [
            ...worthTelling(event.errors).map((error) => `agent: ${wordsOf(error)}`),
            `  See: ${event.commandPath.join(" ")} --help`
          ].join("\n")
        )
      : CliOutput.defaultPresenter.present(event)
})

export const layer = Layer.merge(
  presenter,
  CliOutput.layer({
    ...CliOutput.defaultFormatter({ colors: false }),
    formatHelpDoc,
    formatVersion: (name, version) => `${name} ${version}`
  })
)
