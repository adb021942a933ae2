/**
 * Tells which job variable is behind a problem, and who set it: that is where its owner has to look.
 *
 * Invariant: only names are told, never values.
 */
import { isRecord, type JsonRecord } from "./json.ts"
import { variablesIn } from "./placeholders.ts"
import type { Problem } from "./problem.ts"
import type { Variables } from "./variables.ts"

export interface Trace {
  /** `job_configuration` of the pool's template, as it stands. */
  readonly template: JsonRecord
  readonly variables: Variables
  readonly deploymentName: string | undefined
}

/** Appends the origin of the value at the problem's path to its rule, where one is known. */
export const explaining =
  (trace: Trace) =>
  (problem: Problem): Problem => {
    const origin = originAt(trace, problem.path)
    return origin === undefined ? problem : withOrigin(problem, origin)
  }

/** The same for an entry of the environment, by its name; what no variable has set is left as it is. */
export const explainingEntry =
  (trace: Trace) =>
  (problem: Problem, name: string): Problem => {
    const origin = trace.variables.originOf(`env.${name}`)
    return origin === undefined ? problem : withOrigin(problem, `variable "env", ${setBy(trace, origin)}`)
  }

/** Behind the rule as it stands, period and all: users of the Python reference know its texts. */
const withOrigin = (problem: Problem, origin: string): Problem => ({
  ...problem,
  rule: `${problem.rule} (${origin})`
})

const originAt = (trace: Trace, path: string): string | undefined => {
  const { variables } = trace
  // The environment is merged entry by entry, so each has its own origin.
  const entry = /^env\.([^.[]+)/u.exec(path)?.[0]
  if (entry !== undefined) {
    const origin = variables.originOf(entry)
    if (origin !== undefined) return `variable "env", ${setBy(trace, origin)}`
  }
  const behind = [...variablesIn(templateAt(trace.template, path) ?? path.split(/[.[]/u, 1)[0])]
  const known = (behind.length > 0 ? behind : [path]).flatMap((name) => {
    const origin = variables.originOf(name)
    return origin === undefined ? [] : [`variable "${name}", ${setBy(trace, origin)}`]
  })
  return known.length === 0 || known.length > 3 ? undefined : known.join("; ")
}

const setBy = ({ deploymentName }: Trace, origin: "pool" | "deployment" | "run"): string =>
  origin === "pool"
    ? "a default of the pool"
    : origin === "run"
      ? "set by the flow run"
      : `set by the deployment${deploymentName === undefined ? "" : ` "${deploymentName}"`}`

/** The text of the template that gave the value at this path; undefined where the template has a whole subtree there. */
const templateAt = (template: unknown, path: string): string | undefined => {
  let value: unknown = template
  for (const segment of path.split(/\.|\[(\d+)\]\.?/u).filter((each) => each !== undefined && each !== "")) {
    if (typeof value === "string") return value
    if (Array.isArray(value)) value = (value as ReadonlyArray<unknown>)[Number(segment)]
    else if (isRecord(value) && Object.hasOwn(value, segment)) value = value[segment]
    else return undefined
  }
  return typeof value === "string" ? value : undefined
}
