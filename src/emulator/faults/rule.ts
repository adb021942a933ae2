/**
 * What is asked of a fault: which, where, how often, how many times. Read with suspicion, told all problems at once. Pure.
 *
 * Invariant: a rule that was read needs no further checks; whoever wrote it is told of every word that is not understood,
 * because a fault that silently never fires proves nothing.
 */
import { Result } from "effect"
import { isObject, type Json, type JsonObject, object, textOf } from "../json.ts"
import { isWhat, kinds, type Parameter, subjects, type What } from "./catalogue.ts"

/** A `*` stands for anything; in a path it ends at a slash, and `**` does not. */
export interface Where {
  /** Upper case. */
  readonly methods?: ReadonlyArray<string>
  readonly path?: RegExp
  readonly workload?: RegExp
  readonly container?: RegExp
  readonly tags?: ReadonlyArray<{ readonly name: string; readonly value: RegExp | undefined }>
}

export interface Rule {
  readonly what: What
  readonly where: Where
  readonly probability: number
  /** How many subjects it may be chosen for; undefined is any number. */
  readonly times: number | undefined
  /** How many subjects are spared first. */
  readonly skip: number
  /** Milliseconds since the rule was made. */
  readonly from: number
  readonly until: number | undefined
  readonly parameters: Readonly<Record<string, number | string>>
  /** As it was asked for, to be shown. */
  readonly source: JsonObject
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/gu, String.raw`\$&`)

const pattern = (glob: string, one: string): RegExp =>
  new RegExp(
    `^${glob
      .split(/(\*\*?)/u)
      .map((part) => (part === "**" ? ".*" : part === "*" ? one : escaped(part)))
      .join("")}$`,
    "u"
  )

const longestText = 500

const glob = (value: Json | undefined, one = ".*"): RegExp | undefined => {
  const text = textOf(value)
  return text === undefined || text === "" || text.length > longestText ? undefined : pattern(text, one)
}

type Tags = NonNullable<Where["tags"]>

/** `NAME`, `NAME=VALUE`, or an object of them. */
const tagsOf = (value: Json): Tags | undefined => {
  const entries: ReadonlyArray<readonly [string, Json | undefined]> = isObject(value)
    ? Object.entries(value)
    : typeof value === "string" && value !== ""
      ? [
          value.includes("=")
            ? [value.slice(0, value.indexOf("=")), value.slice(value.indexOf("=") + 1)]
            : [value, undefined]
        ]
      : []
  const tags = entries.map(([name, given]) => ({
    name,
    value: given === undefined ? undefined : glob(String(given))
  }))
  return tags.length === 0 || tags.some(({ name }) => name === "") ? undefined : tags
}

const methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]

const readWhere = (value: Json | undefined, what: What, problems: Array<string>): Where => {
  if (value === undefined || value === null) return {}
  if (!isObject(value)) {
    problems.push(`"where" must be an object`)
    return {}
  }
  const allowed = subjects[kinds[what].point]
  const where: { -readonly [K in keyof Where]: Where[K] } = {}
  const demand = <A>(key: string, read: A | undefined, means: string, keep: (read: A) => void) => {
    if (read === undefined) problems.push(`"where.${key}" must be ${means}`)
    else keep(read)
  }
  for (const [key, given] of Object.entries(value)) {
    if (!allowed.includes(key)) {
      problems.push(`"where.${key}" is not known: ${what} can be narrowed by ${allowed.join(", ")}`)
      continue
    }
    if (key === "method") {
      const named = textOf(given)
        ?.toUpperCase()
        .split(/[,| ]+/u)
      const read = named?.every((each) => methods.includes(each)) === true ? named : undefined
      demand(key, read, `of ${methods.join(", ")}`, (read) => (where.methods = read))
    } else if (key === "path") {
      demand(key, glob(given, "[^/]*"), "a path, in which * stands for a part", (read) => (where.path = read))
    } else if (key === "tag") {
      demand(key, tagsOf(given), "NAME, NAME=VALUE or an object of them", (read) => (where.tags = read))
    } else {
      demand(key, glob(given), "a name, in which * stands for anything", (read) => {
        if (key === "workload") where.workload = read
        else where.container = read
      })
    }
  }
  return where
}

const numberIn = (value: Json | undefined, least: number, most: number): number | undefined => {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value
  return typeof number === "number" && number >= least && number <= most ? number : undefined
}

const readParameter = (
  key: string,
  value: Json | undefined,
  parameter: Parameter,
  problems: Array<string>
): number | string => {
  if (value === undefined || value === null) return parameter.usual
  switch (parameter._tag) {
    case "Number": {
      const number = numberIn(value, parameter.least, parameter.most)
      if (number === undefined) {
        problems.push(`"${key}" must be a number from ${parameter.least} to ${parameter.most}`)
      }
      return number ?? parameter.usual
    }
    case "Word":
      if (typeof value === "string" && parameter.words.includes(value)) return value
      problems.push(`"${key}" must be one of ${parameter.words.join(", ")}`)
      return parameter.usual
    case "Text":
      if (typeof value === "string" && value.length <= longestText) return value
      problems.push(`"${key}" must be a text of at most ${longestText} characters`)
      return parameter.usual
  }
}

const most = 1_000_000_000
const common = ["what", "where", "probability", "times", "skip", "from", "until"]

/** The rule, or everything that is wrong with it. */
export const readRule = (value: Json | undefined): Result.Result<Rule, ReadonlyArray<string>> => {
  if (!isObject(value)) return Result.fail(["a fault must be an object"])
  const what = textOf(value["what"])
  if (what === undefined || !isWhat(what)) {
    const wrong = what === undefined ? "is required" : `${JSON.stringify(what)} is no fault`
    return Result.fail([`"what" ${wrong}: use one of ${Object.keys(kinds).join(", ")}`])
  }
  const { parameters } = kinds[what]
  const problems: Array<string> = []
  for (const key of Object.keys(value)) {
    if (common.includes(key) || Object.hasOwn(parameters, key)) continue
    const own = Object.keys(parameters)
    problems.push(`"${key}" is not known: ${what} takes ${[...own, ...common.slice(1)].join(", ")}`)
  }
  const optional = (key: string, least: number, largest: number, isWhole = false): number | undefined => {
    const given = value[key]
    if (given === undefined || given === null) return undefined
    const number = numberIn(given, least, largest)
    if (number !== undefined && !(isWhole && !Number.isInteger(number))) return number
    problems.push(`"${key}" must be a ${isWhole ? "whole " : ""}number from ${least} to ${largest}`)
    return undefined
  }
  const where = readWhere(value["where"], what, problems)
  const probability = optional("probability", 0, 1) ?? 1
  const times = optional("times", 1, most, true)
  const skip = optional("skip", 0, most, true) ?? 0
  const from = optional("from", 0, most) ?? 0
  const until = optional("until", 0, most)
  if (until !== undefined && until <= from) problems.push(`"until" must be after "from"`)
  const read = Object.fromEntries(
    Object.entries(parameters).map(([key, each]) => [key, readParameter(key, value[key], each, problems)])
  )
  if (problems.length > 0) return Result.fail(problems)
  return Result.succeed({
    what,
    where,
    probability,
    times,
    skip,
    from: from * 1000,
    until: until === undefined ? undefined : until * 1000,
    parameters: read,
    source: object({ ...value, ...read, what })
  })
}

const whereKeys = new Set(Object.values(subjects).flat())

/** `oom workload=runner seconds=3 times=1`, as a flag has it; values may be in double quotes. */
export const ruleOfText = (text: string): Result.Result<Rule, ReadonlyArray<string>> => {
  const words = text.match(/(?:[^\s"]|"[^"]*")+/gu) ?? []
  const [what, ...settings] = words.map((word) => word.replaceAll('"', ""))
  const fields: Record<string, Json> = { what: what ?? "" }
  const where: Record<string, Json> = {}
  for (const setting of settings) {
    const at = setting.indexOf("=")
    if (at < 1) return Result.fail([`"${setting}" must be NAME=VALUE`])
    const key = setting.slice(0, at)
    ;(whereKeys.has(key) ? where : fields)[key] = setting.slice(at + 1)
  }
  return readRule({ ...fields, ...(Object.keys(where).length === 0 ? {} : { where }) })
}
