/**
 * What a container runs: Kubernetes' two lists `command` and `args` become the platform's one-text entrypoint and its
 * list of arguments.
 *
 * Invariant: the borders between elements are kept: the first element is the entrypoint, the others go in front of the
 * arguments. Joining them, as the reference does, tears `["sh", "-c", "echo a b"]` apart.
 */
import { longestCommand } from "../limits.ts"
import { kindOf, listIn, type Node, pathOf } from "./read.ts"

export interface Program {
  readonly command?: string
  readonly args?: ReadonlyArray<string>
}

export const convertProgram = (container: Node): Program => {
  const command = wordsIn(container, "command")
  const args = wordsIn(container, "args")
  const [entrypoint, ...rest] = command
  const all = [...rest, ...args]
  if (entrypoint !== undefined) checkEntrypoint(container, entrypoint)
  return {
    ...(entrypoint === undefined ? {} : { command: entrypoint }),
    ...(all.length === 0 ? {} : { args: all })
  }
}

const checkEntrypoint = (container: Node, entrypoint: string): void => {
  const path = `${pathOf(container, "command")}[0]`
  if (entrypoint === "") {
    container.report.refuse(path, "is empty.", "Name the program to run.")
  } else if (entrypoint.length > longestCommand) {
    container.report.refuse(
      path,
      `has ${entrypoint.length} characters; an entrypoint may have ${longestCommand}.`,
      "Put the text into args, or into a script of the image."
    )
  }
}

const wordsIn = (container: Node, key: "command" | "args"): ReadonlyArray<string> =>
  (listIn(container, key) ?? []).flatMap((word, index) => {
    if (typeof word === "string") return [word]
    container.report.refuse(
      `${pathOf(container, key)}[${index}]`,
      `must be a text, not ${kindOf(word)}.`,
      "Put it in quotes."
    )
    return []
  })
