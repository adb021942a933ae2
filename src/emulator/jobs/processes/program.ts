/**
 * Which program a container means, on this machine: images are not run, so their entrypoints and files are not there.
 *
 * Invariant: what cannot be started is told apart as shells do: 127 for a program that is not there, 126 for one that
 * may not be executed.
 */
import type { PodContainer } from "../driver.ts"
import { absolute, fileKind } from "./host.ts"

export type Program =
  | { readonly _tag: "Found"; readonly file: string; readonly args: ReadonlyArray<string> }
  | { readonly _tag: "Missing"; readonly exitCode: number; readonly message: string }

const notFound = 127
const notExecutable = 126

/**
 * The container's `command` is one program, its `args` follow. Without a command the first of `args` is the program, as
 * the entrypoint of Prefect's images has it (`tini -g -- entrypoint.sh ARGS`). A command that is no program, but has
 * spaces, is split at them.
 */
export const programOf = (container: PodContainer, path: string, folder: string): Program => {
  const words = container.command === undefined ? [] : [container.command]
  const [name, ...args] = [...words.filter((word) => word !== ""), ...container.args]
  if (name === undefined || name === "") {
    return missing(
      notFound,
      `container ${container.name} has neither command nor args, and the entrypoint of image ${container.image} is not here: ` +
        "the emulator starts programs of this machine, it does not run images"
    )
  }
  const found = look(name, path, folder)
  if (typeof found === "string") return { _tag: "Found", file: found, args }
  const [first, ...more] = name.trim().split(/\s+/u)
  if (more.length > 0 && name === container.command) {
    const split = look(first!, path, folder)
    if (typeof split === "string") return { _tag: "Found", file: split, args: [...more, ...args] }
  }
  return found
}

/** Words that run the command within a terminal of its own, by `script`; the command itself where that is missing. */
export const inTerminal = (
  command: ReadonlyArray<string>,
  path: string,
  folder: string
): ReadonlyArray<string> => {
  if (typeof look("script", path, folder) !== "string") return command
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")
  return ["script", "-qefc", quoted, "/dev/null"]
}

const missing = (exitCode: number, message: string): Program & { readonly _tag: "Missing" } => ({
  _tag: "Missing",
  exitCode,
  message
})

/** The file to execute, by the container's own PATH. */
const look = (
  name: string,
  path: string,
  folder: string
): string | (Program & { readonly _tag: "Missing" }) => {
  const candidates = name.includes("/")
    ? [absolute(folder, name)]
    : path.split(":").map((each) => absolute(absolute(folder, each), name))
  let barred: string | undefined
  for (const candidate of candidates) {
    const kind = fileKind(candidate)
    if (kind === "executable") return candidate
    if (kind === "other" || (kind === "folder" && name.includes("/"))) {
      barred ??= kind === "folder" ? "is a directory" : "permission denied"
    }
  }
  if (barred !== undefined) return missing(notExecutable, `exec: ${name}: ${barred}`)
  return missing(
    notFound,
    name.includes("/")
      ? `exec: ${name}: no such file or directory`
      : `exec: ${name}: not found in PATH ${path}`
  )
}
