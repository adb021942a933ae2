/**
 * One process of the simulation: plays the plans that it is given, with the program as it is or with one mutant of it.
 *
 *   bun test/simulation/worker.ts [MUTANT]
 *
 * Invariant: one line of JSON in, one line of JSON out, in order.
 */
import { createInterface } from "node:readline"
import { plant } from "./plant.ts"
import type { Plan } from "./plan.ts"
import type { Result, Told } from "./simulate.ts"

export type Task =
  | { readonly play: number; readonly replicas: number | undefined }
  | { readonly plan: Plan }
  /** In ms. */
  | { readonly tell: Plan; readonly within: number }

export type Answer = { readonly result: Result; readonly plan: Plan | undefined } | { readonly told: Told }

const [mutant] = process.argv.slice(2)
if (mutant !== undefined) plant(mutant)
// Only now: what it loads is what was planted.
const { planOf, resultOf, tell, tryPlan } = await import("./simulate.ts")

const answer = (task: Task): Answer => {
  if ("tell" in task) return { told: tell(task.tell, task.within) }
  const plan = "plan" in task ? task.plan : planOf(task.play, task.replicas)
  const result = resultOf(tryPlan(plan))
  return { result, plan: result.violations.length === 0 ? undefined : plan }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line) as Task))}\n`)
}
