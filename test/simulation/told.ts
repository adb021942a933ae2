/** Shows a violation to a person: its story, the smallest plan, and the one command that plays it again. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import type { Plan } from "./plan.ts"
import type { Told } from "./simulate.ts"

const root = join(import.meta.dirname, "../..")

export const writeTold = (
  from: Plan,
  { plan, story, tried, violations }: Told,
  mutant: string | undefined
): ReadonlyArray<string> => {
  const [first] = violations
  if (first === undefined) return [`seed ${from.seed}: every promise was kept`]
  const folder = join(root, ".cache", "simulate")
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `seed-${from.seed}.json`)
  writeFileSync(file, `${JSON.stringify(plan, undefined, 2)}\n`)
  return [
    "",
    `seed ${from.seed}: ${first.promise} is broken: ${first.check}`,
    ...story,
    "",
    ...(tried === 0
      ? []
      : [
          `smallest of ${tried} plans: ${plan.replicas} agents, ${plan.runs.length} runs, ${plan.events.length} events (of ${from.replicas}, ${from.runs.length}, ${from.events.length})`
        ]),
    JSON.stringify(plan),
    `again: npm run simulate -- --plan ${relative(root, file)}${mutant === undefined ? "" : ` --mutant "${mutant}"`}`,
    ""
  ]
}
