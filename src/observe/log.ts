/**
 * How the agent's own lines look: for a person at a terminal, as plain text, or as JSON, always on stdout.
 *
 * Invariant: one event is one line, whatever its text holds, so that filters by line work. A stack trace shows at debug only.
 */
import { Cause, Layer, Logger, References } from "effect"
import type { Settings } from "../settings.ts"

const levels = { debug: "Debug", info: "Info", warning: "Warn", error: "Error" } as const
const colours: Readonly<Record<string, string>> = {
  Debug: "\u001b[2m",
  Warn: "\u001b[33m",
  Error: "\u001b[31m",
  Fatal: "\u001b[31m"
}
const reset = "\u001b[0m"

/** Line breaks inside a message become visible, never a second line. */
const oneLine = (text: string): string => text.replaceAll("\r", "").replaceAll("\n", " ⏎ ")

const textOf = (message: unknown): string =>
  (Array.isArray(message) ? message : [message])
    .map((part) =>
      typeof part === "string" ? part : Cause.isCause(part) ? Cause.pretty(part) : String(part)
    )
    .join(" ")

const asText = Logger.make<unknown, string>(({ cause, date, logLevel, message }) => {
  const words = [textOf(message), cause.reasons.length > 0 ? Cause.pretty(cause) : ""].filter(
    (each) => each !== ""
  )
  return `${date.toISOString()} ${logLevel.toUpperCase().padEnd(5)} ${oneLine(words.join(" "))}`
})

const asPretty = Logger.make<unknown, string>(({ cause, date, logLevel, message }) => {
  const words = [textOf(message), cause.reasons.length > 0 ? Cause.pretty(cause) : ""].filter(
    (each) => each !== ""
  )
  const time = date.toTimeString().slice(0, 8)
  const colour = colours[logLevel]
  const line = `${time} ${oneLine(words.join(" "))}`
  return colour === undefined ? line : `${colour}${line}${reset}`
})

/** `isTerminal`: whether stdout is one, for the default format. */
export const layer = (settings: Pick<Settings, "logLevel" | "logFormat">, isTerminal: boolean) => {
  const format = settings.logFormat ?? (isTerminal ? "pretty" : "text")
  const logger =
    format === "json" ? Logger.consoleJson : Logger.withConsoleLog(format === "pretty" ? asPretty : asText)
  return Layer.merge(
    Logger.layer([logger]),
    Layer.succeed(References.MinimumLogLevel, levels[settings.logLevel])
  )
}
