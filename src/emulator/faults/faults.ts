/**
 * The faults that are asked for at the moment, which of them happens now, and how often each did.
 *
 * Invariant: without any fault nothing is looked up and no chance is drawn, so that a seed means the same with and without
 * this part. A fault that was chosen for something counts as fired only once it really happened.
 */
import { Clock, Context, Effect, Layer, Random } from "effect"
import { type JsonObject, object } from "../json.ts"
import { Settings } from "../settings.ts"
import { kinds, type What } from "./catalogue.ts"
import type { Rule } from "./rule.ts"

/** What a fault may happen to. Tags are looked up only where a rule asks for them. */
export interface Subject {
  readonly method?: string
  readonly path?: string
  /** Bare name. */
  readonly workload?: string | undefined
  readonly container?: string
  readonly tags?: () => JsonObject
}

export interface Fault {
  readonly id: string
  readonly rule: Rule
  /** Milliseconds since 1970. */
  readonly made: number
  /** Subjects that it could have happened to. */
  matched: number
  chosen: number
  fired: number
}

export class Faults extends Context.Service<
  Faults,
  {
    add(rule: Rule): Fault
    remove(id: string): boolean
    clear(): void
    list(): ReadonlyArray<Fault>
    /** Whether any is asked for, of these kinds or at all. */
    has(...what: ReadonlyArray<What>): boolean
    /** The first one that is to happen to the subject. */
    choose(what: What, subject: Subject): Fault | undefined
    /** One that was chosen did happen. */
    fired(fault: Fault): void
    /** Chooses one that happens at once. */
    strike(what: What, subject: Subject): Fault | undefined
    /** A fault's `seconds` with its `jitter`, in milliseconds. */
    time(fault: Fault): number
    /** Any part of a fault's `seconds`, in milliseconds. */
    within(fault: Fault): number
  }
>()("emulator/faults/Faults") {
  static readonly layer = Layer.effect(
    Faults,
    Effect.gen(function* () {
      const { faults } = yield* Settings
      const clock = yield* Clock.Clock
      const random = yield* Random.Random
      const made = makeFaults(
        () => clock.currentTimeMillisUnsafe(),
        () => random.nextDoubleUnsafe()
      )
      faults.forEach((rule) => made.add(rule))
      return Faults.of(made)
    })
  )
}

/** A parameter that the catalogue says is a number. */
export const numberIn = ({ rule }: Fault, key: string): number => Number(rule.parameters[key])

/** A parameter that the catalogue says is a text. */
export const textIn = ({ rule }: Fault, key: string): string => String(rule.parameters[key])

/** As a client reads it. */
export const faultView = ({ id, rule, matched, fired }: Fault): JsonObject =>
  object({ ...rule.source, id, matched, fired })

const meets = ({ where }: Rule, { method, path, workload, container, tags }: Subject): boolean => {
  if (where.methods !== undefined && !where.methods.includes(method ?? "")) return false
  if (where.path !== undefined && !where.path.test(path ?? "")) return false
  if (where.workload !== undefined && (workload === undefined || !where.workload.test(workload))) return false
  if (where.container !== undefined && !where.container.test(container ?? "")) return false
  if (where.tags === undefined) return true
  const found = tags?.() ?? {}
  return where.tags.every(
    ({ name, value }) =>
      Object.hasOwn(found, name) && (value === undefined || value.test(String(found[name])))
  )
}

const makeFaults = (now: () => number, draw: () => number): Faults["Service"] => {
  const byWhat = new Map<What, ReadonlyArray<Fault>>()
  let all: ReadonlyArray<Fault> = []
  let made = 0

  const hold = (faults: ReadonlyArray<Fault>) => {
    all = faults
    byWhat.clear()
    for (const fault of faults) {
      byWhat.set(fault.rule.what, [...(byWhat.get(fault.rule.what) ?? []), fault])
    }
  }

  const happens = (fault: Fault): boolean => {
    const { probability, times, skip, from, until } = fault.rule
    const age = now() - fault.made
    if (age < from || (until !== undefined && age >= until)) return false
    fault.matched++
    if (fault.matched <= skip || (times !== undefined && fault.chosen >= times)) return false
    return probability >= 1 || draw() < probability
  }

  const choose = (what: What, subject: Subject): Fault | undefined => {
    for (const fault of byWhat.get(what) ?? []) {
      if (!meets(fault.rule, subject) || !happens(fault)) continue
      fault.chosen++
      return fault
    }
    return undefined
  }

  return {
    add: (rule) => {
      const fault = { id: `fault-${++made}`, rule, made: now(), matched: 0, chosen: 0, fired: 0 }
      hold([...all, fault])
      return fault
    },
    remove: (id) => {
      const kept = all.filter((fault) => fault.id !== id)
      const isGone = kept.length < all.length
      hold(kept)
      return isGone
    },
    clear: () => hold([]),
    list: () => all,
    has: (...what) => (what.length === 0 ? all.length > 0 : what.some((each) => byWhat.has(each))),
    choose,
    fired: (fault) => {
      fault.fired++
    },
    strike: (what, subject) => {
      const fault = choose(what, subject)
      if (fault !== undefined) fault.fired++
      return fault
    },
    within: (fault) => Math.round(1000 * numberIn(fault, "seconds") * draw()),
    time: (fault) => {
      const jitter = Object.hasOwn(kinds[fault.rule.what].parameters, "jitter")
        ? numberIn(fault, "jitter")
        : 0
      return Math.round(1000 * (numberIn(fault, "seconds") + (jitter > 0 ? jitter * draw() : 0)))
    }
  }
}
