/**
 * A scenario file: YAML that says what goes wrong, and the seed of all chances.
 *
 * Invariant: a file is taken whole or refused with every problem, each with its line; nothing in it is ignored.
 */
import { Result } from "effect"
import { isNode, LineCounter, parseDocument } from "yaml"
import { isObject, type Json, listOf, parseJson } from "../json.ts"
import { readRule, type Rule } from "./rule.ts"

export interface Scenario {
  readonly seed: string | undefined
  readonly faults: ReadonlyArray<Rule>
}

const longest = 256 * 1024
const mostFaults = 200

const seedOf = (value: Json | undefined): string | undefined =>
  typeof value === "string" || typeof value === "number" ? String(value) : undefined

/** Problems begin with the line where there is one, such as `12: …`. */
export const readScenario = (text: string): Result.Result<Scenario, ReadonlyArray<string>> => {
  if (text.length > longest) return Result.fail([`is over ${longest} characters long`])
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false })
  const at = (offset: number | undefined) =>
    offset === undefined ? "" : `${lineCounter.linePos(offset).line}: `
  const offsetOf = (...path: ReadonlyArray<number | string>): number | undefined => {
    const node = document.getIn(path, true)
    return isNode(node) ? node.range?.[0] : undefined
  }
  if (document.errors.length > 0) {
    return Result.fail(document.errors.map(({ pos, message }) => `${at(pos[0])}${message}`))
  }
  const jsonOf = (): Json | undefined => {
    try {
      return parseJson(JSON.stringify(document.toJS() ?? {}))
    } catch {
      // Too many aliases.
      return undefined
    }
  }
  const content = jsonOf()
  if (!isObject(content)) return Result.fail(["must hold an object with seed and faults"])
  const problems: Array<string> = []
  const known = ["seed", "faults"]
  for (const key of Object.keys(content)) {
    if (!known.includes(key)) {
      problems.push(`${at(offsetOf(key))}"${key}" is not known: a scenario has ${known.join(", ")}`)
    }
  }
  const { seed, faults } = content
  if (seed !== undefined && seedOf(seed) === undefined) {
    problems.push(`${at(offsetOf("seed"))}"seed" must be a text or a number`)
  }
  if (faults !== undefined && faults !== null && !Array.isArray(faults)) {
    problems.push(`${at(offsetOf("faults"))}"faults" must be a list`)
  }
  const given = listOf(faults)
  if (given.length > mostFaults) problems.push(`"faults" may hold at most ${mostFaults}`)
  const rules: Array<Rule> = []
  for (const [index, each] of given.entries()) {
    const rule = readRule(each)
    if (Result.isSuccess(rule)) rules.push(rule.success)
    else problems.push(...rule.failure.map((problem) => `${at(offsetOf("faults", index))}${problem}`))
  }
  return problems.length > 0 ? Result.fail(problems) : Result.succeed({ seed: seedOf(seed), faults: rules })
}
