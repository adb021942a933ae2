/**
 * One plan, played and audited; and, where a promise was broken, the plan made small and its story told.
 */
import { audit } from "./audit.ts"
import type { FlowPlan } from "../runs/world/jobs.ts"
import { drawPlan, type Plan } from "./plan.ts"
import { play, type Played } from "./play.ts"
import type { Violation } from "./promise.ts"
import { shrink } from "./shrink.ts"
import { story } from "./story.ts"
import type { Trait } from "./tally.ts"

/** What a seed came to. */
export interface Result {
  readonly seed: number
  readonly runs: number
  readonly violations: ReadonlyArray<Violation>
  /** How often each kind of event and fault happened. */
  readonly fired: Readonly<Record<string, number>>
}

export interface Trial {
  readonly plan: Plan
  readonly violations: ReadonlyArray<Violation>
  /** Undefined when the world itself broke. */
  readonly played: Played | undefined
}

/** A defect of an agent that nothing catches counts as a world that does not settle. */
export const tryPlan = (plan: Plan): Trial => {
  try {
    const played = play(plan)
    return { plan, played, violations: audit(played.evidence) }
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error)
    return {
      plan,
      played: undefined,
      violations: [{ promise: "I11", check: "the world goes on", at: 0, runId: undefined, what }]
    }
  }
}

const mostTold = 20

export const resultOf = ({ plan, played, violations }: Trial): Result => {
  const fired: Record<string, number> = {}
  const count = (what: string) => void (fired[what] = (fired[what] ?? 0) + 1)
  for (const { did, event } of played?.happened ?? []) if (did) count(`event: ${event}`)
  for (const { fault } of played?.hits ?? []) count(`fault: ${nameOf(fault)}`)
  for (const { id, jobs } of played?.evidence.runs ?? []) {
    const { flow } = plan.runs.find((run) => run.id === id) ?? {}
    if (flow !== undefined && jobs.some((job) => job.at < job.over))
      for (const trait of traitsOf(flow)) count(`job: ${trait}`)
  }
  return { seed: plan.seed, runs: plan.runs.length, violations: violations.slice(0, mostTold), fired }
}

/** What is wrong with the jobs of a flow, or their engines. */
const traitsOf = (flow: FlowPlan): ReadonlyArray<Trait> => {
  const { corrected, exitCode, hearsCancel, pauses, reason, reports, sides, term, waits } = flow
  return [
    ...(waits === undefined ? [] : ([`waits for its ${waits.for}`] as const)),
    ...(exitCode === undefined || exitCode === 0 || reason === undefined
      ? []
      : ([reason as "Evicted"] as const)),
    ...(exitCode === undefined || exitCode === 0 || corrected === undefined
      ? []
      : (["failed, corrected to completed"] as const)),
    ...(reports === "nothing" ? (["never reports"] as const) : []),
    ...(hearsCancel === undefined ? (["deaf to cancels"] as const) : []),
    ...(term === undefined ? [] : ([`at SIGTERM ${term}`] as const)),
    ...(pauses === undefined ? [] : ([pauses.how] as const)),
    ...(sides === undefined ? [] : (["side containers stay"] as const))
  ]
}

/** A fault before it took effect is another one than after. */
const nameOf = (fault: Played["hits"][number]["fault"]): string => {
  switch (fault.kind) {
    case "reset":
    case "503":
    case "broken body":
      return `${fault.kind}, ${fault.commit === "after" ? "it took effect" : "nothing happened"}`
    case "timeout":
      return `timeout, ${typeof fault.lands === "number" ? "it takes effect late" : fault.lands === "never" ? "nothing happened" : "it took effect"}`
    case "429":
      return fault.retryAfterMillis === undefined ? "429" : "429 with Retry-After"
    case "status":
      return `status ${fault.status}`
    default:
      return fault.kind
  }
}

export const planOf = (seed: number, replicas: number | undefined): Plan => drawPlan(seed, replicas)

export interface Told {
  readonly plan: Plan
  readonly tried: number
  readonly violations: ReadonlyArray<Violation>
  readonly story: ReadonlyArray<string>
}

/** The smallest plan found within that many ms which breaks the same promise, and what happens in it. */
export const tell = (plan: Plan, within: number): Told => {
  const [first] = tryPlan(plan).violations
  if (first === undefined) return { plan, tried: 0, violations: [], story: [] }
  const same = (candidate: Plan) =>
    tryPlan(candidate).violations.some((each) => each.promise === first.promise && each.check === first.check)
  const small = shrink(plan, same, performance.now() + within)
  const trial = tryPlan(small.plan)
  const violations = trial.violations.filter((each) => each.check === first.check)
  return {
    plan: small.plan,
    tried: small.tried,
    violations,
    story: trial.played === undefined || violations[0] === undefined ? [] : story(trial.played, violations[0])
  }
}
