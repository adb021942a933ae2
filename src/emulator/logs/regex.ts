/**
 * Regular expressions as Loki has them (RE2), which need time in proportion to the text whatever the pattern is: a query
 * may hold any text, and no query may stop the emulator.
 *
 * Invariant: no backtracking. The set of places where the expression can be is carried along the text; sets seen before
 * are remembered, within a bound.
 */
import { Result } from "effect"
import {
  type Assertion,
  type CodePoints,
  parseRegex,
  RegexRefused,
  type Syntax,
  wordCharacter
} from "./regex-syntax.ts"

export interface Regex {
  readonly test: (text: string) => boolean
}

type Step =
  | { readonly _tag: "One"; readonly accepts: CodePoints; readonly next: number }
  | { readonly _tag: "Assert"; readonly assertion: Assertion; readonly next: number }
  | { readonly _tag: "Fork"; readonly next: Array<number> }
  | { readonly _tag: "Matched" }

/** What stands on one side of a place in the text: as much as assertions ask for. */
type Beside = "edge" | "newline" | "word" | "other"

interface Places {
  /** Steps that wait for the next character, before their assertions were looked at. */
  readonly steps: ReadonlyArray<number>
  readonly before: Beside
  readonly after: Map<number, Places | typeof matched>
  atEnd: boolean | undefined
}

const mostSteps = 10_000
/** Numbers and transitions that one expression keeps. */
const mostRemembered = 100_000
const matched = Symbol("matched")
const newline = 10

/** Matches the whole text, as label matchers do. */
export const wholeText = (pattern: string): Result.Result<Regex, string> => compiled(pattern, true)

/** Matches anywhere in the text, as line filters do. */
export const anywhere = (pattern: string): Result.Result<Regex, string> => compiled(pattern, false)

const compiled = (pattern: string, whole: boolean): Result.Result<Regex, string> => {
  try {
    const steps: Array<Step> = [{ _tag: "Matched" }]
    const syntax = parseRegex(pattern, whole)
    const tree: Syntax = whole
      ? { _tag: "Sequence", of: [assertion("textStart"), syntax, assertion("textEnd")] }
      : syntax
    return Result.succeed(matcher(steps, build(steps, tree, 0), whole))
  } catch (refusal) {
    if (refusal instanceof RegexRefused) return Result.fail(refusal.message)
    throw refusal
  }
}

const assertion = (kind: Assertion): Syntax => ({ _tag: "Assert", assertion: kind })

/** Adds the steps of a tree that go on at `next`; returns where they begin. */
const build = (steps: Array<Step>, tree: Syntax, next: number): number => {
  const add = (step: Step): number => {
    if (steps.length >= mostSteps) throw new RegexRefused("expression too large")
    return steps.push(step) - 1
  }
  switch (tree._tag) {
    case "One":
      return add({ _tag: "One", accepts: tree.accepts, next })
    case "Assert":
      return add({ _tag: "Assert", assertion: tree.assertion, next })
    case "Sequence":
      return tree.of.reduceRight((after, each) => build(steps, each, after), next)
    case "Choice":
      return add({ _tag: "Fork", next: tree.of.map((each) => build(steps, each, next)) })
    case "Repeat": {
      let entry = next
      if (tree.most === undefined) {
        const again: Array<number> = [next]
        entry = add({ _tag: "Fork", next: again })
        again.push(build(steps, tree.of, entry))
      } else {
        for (let n = tree.least; n < tree.most; n++) {
          entry = add({ _tag: "Fork", next: [next, build(steps, tree.of, entry)] })
        }
      }
      for (let n = 0; n < tree.least; n++) entry = build(steps, tree.of, entry)
      return entry
    }
  }
}

const beside = (codePoint: number): Beside =>
  codePoint === newline ? "newline" : wordCharacter(codePoint) ? "word" : "other"

const holds = (assertion: Assertion, before: Beside, after: Beside): boolean => {
  switch (assertion) {
    case "textStart":
      return before === "edge"
    case "textEnd":
      return after === "edge"
    case "lineStart":
      return before === "edge" || before === "newline"
    case "lineEnd":
      return after === "edge" || after === "newline"
    case "wordEdge":
      return (before === "word") !== (after === "word")
    case "noWordEdge":
      return (before === "word") === (after === "word")
  }
}

const matcher = (steps: ReadonlyArray<Step>, start: number, whole: boolean): Regex => {
  let known = new Map<string, Places>()
  let remembered = 0

  const places = (at: ReadonlyArray<number>, before: Beside): Places => {
    const key = `${before} ${at.join(",")}`
    const found = known.get(key)
    if (found !== undefined) return found
    const made: Places = { steps: at, before, after: new Map(), atEnd: undefined }
    if (remembered < mostRemembered) {
      known.set(key, made)
      remembered += at.length + 1
    }
    return made
  }

  /** The steps that wait for a character here, or `matched` when the expression is through. */
  const reached = (from: Places, after: Beside): ReadonlySet<number> | typeof matched => {
    const seen = new Set<number>()
    const open = [...from.steps]
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      if (seen.has(index)) continue
      seen.add(index)
      const step = steps[index]!
      if (step._tag === "Matched") return matched
      if (step._tag === "Fork") open.push(...step.next)
      else if (step._tag === "Assert" && holds(step.assertion, from.before, after)) open.push(step.next)
    }
    return seen
  }

  const advance = (from: Places, codePoint: number): Places | typeof matched => {
    const here = reached(from, beside(codePoint))
    if (here === matched) return matched
    const next = new Set<number>()
    for (const index of here) {
      const step = steps[index]!
      if (step._tag === "One" && step.accepts(codePoint)) next.add(step.next)
    }
    if (!whole) next.add(start)
    return places(
      [...next].sort((a, b) => a - b),
      beside(codePoint)
    )
  }

  const test = (text: string): boolean => {
    // Between two texts nothing refers to what was remembered.
    if (remembered >= mostRemembered) {
      known = new Map()
      remembered = 0
    }
    let here = places([start], "edge")
    for (let index = 0; index < text.length;) {
      const codePoint = text.codePointAt(index)!
      index += codePoint > 0xffff ? 2 : 1
      let next = here.after.get(codePoint)
      if (next === undefined) {
        next = advance(here, codePoint)
        if (remembered++ < mostRemembered) here.after.set(codePoint, next)
      }
      if (next === matched) return true
      if (next.steps.length === 0) return false
      here = next
    }
    here.atEnd ??= reached(here, "edge") === matched
    return here.atEnd
  }
  return { test }
}
