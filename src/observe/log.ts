/**
 * How the agent's own lines look: for a person at a terminal, as plain text, or as JSON, always on stdout.
 *
 * Invariant: one event is one line, whatever its text holds, so that filters by line work. A stack trace shows at debug only.
 */
import { Cause, Formatter, Layer, Logger, References } from "effect"
import type { Settings } from "../settings.ts"

const levels = { debug: "Debug", info: "Info", warning: "Warn", error: "Error" } as const
const colours: Readonly<Record<string, string>> = {
  Debug: "\u001b[2m",
  Warn: "\u001b[33m",
  Error: "\u001b[31m",
  Fatal: "\u001b[31m"
}
const reset = "\u001b[0m"

/** Line breaks of any kind inside a message become visible, never a second line. */
const oneLine = (text: string): string => text.trimEnd().replace(/\r\n|[\n\r\v\f\u0085\u2028\u2029]/gu, " ⏎ ")

type TextOf = (cause: Cause.Cause<unknown>) => string

const withStacks: TextOf = Cause.pretty
/** What happened, without where. */
const withoutStacks: TextOf = (cause) =>
  Cause.prettyErrors(cause)
    .map((error) => `${error.name}: ${error.message}`)
    .join("; ")

const partOf = (part: unknown, textOf: TextOf): string => {
  if (typeof part === "string") return part
  if (Cause.isCause(part)) return textOf(part)
  return part instanceof Error ? `${part.name}: ${part.message}` : Formatter.format(part)
}

/** All of one event: its message, and its cause when it has one. */
const wordsOf = (message: unknown, cause: Cause.Cause<unknown>, textOf: TextOf): string =>
  [
    ...(Array.isArray(message) ? message : [message]).map((part) => partOf(part, textOf)),
    cause.reasons.length > 0 ? textOf(cause) : ""
  ]
    .filter((each) => each !== "")
    .join(" ")

const asText = (textOf: TextOf) =>
  Logger.make<unknown, string>(
    ({ cause, date, logLevel, message }) =>
      `${date.toISOString()} ${logLevel.toUpperCase().padEnd(5)} ${oneLine(wordsOf(message, cause, textOf))}`
  )

const asPretty = (textOf: TextOf) =>
  Logger.make<unknown, string>(({ cause, date, logLevel, message }) => {
    const colour = colours[logLevel]
    const line = `${date.toTimeString().slice(0, 8)} ${oneLine(wordsOf(message, cause, textOf))}`
    return colour === undefined ? line : `${colour}${line}${reset}`
  })

/** The text of an event is one string, so that it can be read without knowing how it was put together. */
const asJson = (textOf: TextOf) =>
  Logger.make<unknown, string>((event) => {
    const { annotations, level, spans, timestamp } = Logger.formatStructured.log(event)
    const text = Formatter.formatJson({
      timestamp,
      level,
      message: wordsOf(event.message, event.cause, textOf),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      ...(Object.keys(spans).length === 0 ? {} : { spans })
    })
    // Allowed in JSON as they are, but line breaks to some readers.
    return text.replace(
      /[\u0085\u2028\u2029]/gu,
      (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`
    )
  })

const formats = { pretty: asPretty, text: asText, json: asJson } as const

/** `isTerminal`: whether stdout is one, for the default format. */
export const layer = (settings: Pick<Settings, "logLevel" | "logFormat">, isTerminal: boolean) => {
  const format = formats[settings.logFormat ?? (isTerminal ? "pretty" : "text")]
  const logger = Logger.withConsoleLog(format(settings.logLevel === "debug" ? withStacks : withoutStacks))
  return Layer.merge(
    Logger.layer([logger]),
    Layer.succeed(References.MinimumLogLevel, levels[settings.logLevel])
  )
}
