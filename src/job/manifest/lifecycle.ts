/**
 * Hooks of a container: they are part of the workload, and of its hash.
 *
 * Invariant: what comes out holds `exec` hooks only, the one kind that the platform has.
 */
import { isUnset, listIn, mappingIn, type Node, pathOf } from "./read.ts"

const hooks = ["postStart", "preStop"]

export const convertLifecycle = (container: Node): Readonly<Record<string, unknown>> | undefined => {
  const lifecycle = mappingIn(container, "lifecycle")
  if (lifecycle === undefined || isUnset(lifecycle.value)) return undefined
  const made = Object.keys(lifecycle.value).flatMap((key) => {
    if (isUnset(lifecycle.value[key])) return []
    if (!hooks.includes(key)) {
      lifecycle.report.ignore(pathOf(lifecycle, key), "the platform has the hooks postStart and preStop only")
      return []
    }
    const hook = mappingIn(lifecycle, key)
    const command = hook === undefined ? undefined : commandOf(hook)
    return command === undefined ? [] : [[key, { exec: { command } }] as const]
  })
  return made.length === 0 ? undefined : Object.fromEntries(made)
}

const commandOf = (hook: Node): ReadonlyArray<unknown> | undefined => {
  const kinds = Object.keys(hook.value).filter((key) => !isUnset(hook.value[key]))
  if (kinds.length !== 1 || kinds[0] !== "exec") {
    hook.report.refuse(hook.path, "is no command.", "Use exec with a command.")
    return undefined
  }
  const exec = mappingIn(hook, "exec")
  if (exec === undefined) return undefined
  const command = listIn(exec, "command") ?? []
  if (command.length === 0 || command.some((word) => typeof word !== "string")) {
    exec.report.refuse(pathOf(exec, "command"), "must be a list of texts.", "Name the program to run.")
    return undefined
  }
  return command
}
