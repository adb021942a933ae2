/** When a decision would become another one by nothing but the passing of time. Pure: it asks the table itself. */
import { decide, type Decision, type Observation, type Policy, type RunView } from "./decide.ts"

export interface Change {
  /** From the look on, in ms. */
  readonly after: number
  readonly decision: Decision
}

const aged = <T extends RunView | Observation>(seen: T, ms: number): T => {
  const older: Record<string, unknown> = { ...seen }
  for (const age of ["age", "phaseAge", "sinceStart"]) {
    const before = older[age]
    if (typeof before === "number") older[age] = before + ms
  }
  return older as unknown as T
}

const sameDecision = (a: Decision, b: Decision): boolean =>
  a._tag === b._tag && ("why" in a ? a.why : "") === ("why" in b ? b.why : "")

/** Undefined where time alone changes nothing. */
export const nextChange = (view: RunView, observation: Observation, policy: Policy): Change | undefined => {
  const now = decide(view, observation, policy)
  const ages = [view.phaseAge, view.sinceStart, "age" in observation ? observation.age : undefined]
  const { cancelGrace, deadline, linger, mainLinger, settle, startTimeout } = policy
  const turns = [cancelGrace, linger, mainLinger, settle, startTimeout, 2 * startTimeout, deadline]
  // Some turns come when an age is reached, some when it is passed.
  const moments = new Set<number>()
  for (const turn of turns) {
    for (const age of ages) {
      if (turn === undefined || age === undefined || turn < age) continue
      moments.add(turn - age).add(turn - age + 1)
    }
  }
  for (const after of [...moments].filter((each) => each > 0).sort((a, b) => a - b)) {
    const then = decide(aged(view, after), aged(observation, after), policy)
    if (!sameDecision(now, then)) return { after, decision: then }
  }
  return undefined
}
