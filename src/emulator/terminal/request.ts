/**
 * The first frame of a terminal session: what is to be run, where, and for whom. Pure.
 *
 * Invariant: a request that was read has a command of at least one word.
 */
import { Result } from "effect"
import { isObject, listOf, parseJson, textOf } from "../json.ts"

export interface TerminalRequest {
  readonly token: string
  readonly org: string
  readonly gvc: string
  readonly pod: string
  /** The first container of the pod where it is left out. */
  readonly container: string | undefined
  readonly command: ReadonlyArray<string>
  readonly stdin: boolean
  readonly tty: boolean
}

/** A shell that is not there gives way to the one that every machine has. */
const shellCommand = (shell: string): ReadonlyArray<string> => [
  "sh",
  "-c",
  `command -v "$0" >/dev/null 2>&1 && exec "$0" || exec sh`,
  shell
]

export const requestOf = (text: string): Result.Result<TerminalRequest, string> => {
  const body = parseJson(text)
  if (!isObject(body)) return Result.fail("the first frame must be a JSON object")
  const { token, org, gvc, pod } = body
  if (typeof org !== "string" || typeof gvc !== "string" || typeof pod !== "string") {
    return Result.fail("org, gvc and pod are required")
  }
  const words = listOf(body["command"])
  if (!words.every((word) => typeof word === "string")) return Result.fail("command must be a list of texts")
  const shell = textOf(body["shell"])
  const command = words.length > 0 ? words.map(String) : shell === undefined ? [] : shellCommand(shell)
  if (command.length === 0) return Result.fail("command or shell is required")
  return Result.succeed({
    token: textOf(token) ?? "",
    org,
    gvc,
    pod,
    container: textOf(body["container"]),
    command,
    stdin: body["stdin"] === true,
    tty: body["tty"] === true
  })
}

/** What is typed into a terminal: `{type: "data", buffer: [bytes]}`. */
export const typedBytes = (text: string): Uint8Array | undefined => {
  const frame = parseJson(text)
  if (!isObject(frame) || frame["type"] !== "data") return undefined
  const bytes = listOf(frame["buffer"])
  return bytes.every((byte) => typeof byte === "number") ? Uint8Array.from(bytes.map(Number)) : undefined
}
