/**
 * Proves that the audit notices: every mutant of the program has to break a promise in some world.
 *
 * Invariant: a mutant that no world catches, or whose text is not in the source any more, is a failure. That the worlds
 * which were thought out for them break no promise without one is part of every run.
 */
import { caughtBy } from "./caught.ts"
import { askAll, askOne } from "./crew.ts"
import { type Mutant, mutants } from "./mutants.ts"
import { mutated } from "./plant.ts"
import type { Result } from "./simulate.ts"
import { special } from "./special.ts"
import type { Task } from "./worker.ts"

/** Further seeds that are tried for one that its own world does not catch any more. */
const mostTried = 60

/** Its own world first, then those that were thought out for others, and then worlds by chance. */
const worldsFor = function* (mutant: Mutant): Iterable<Task> {
  const known = caughtBy[mutant.name]
  if (typeof known === "number") yield { play: known, replicas: undefined }
  else if (known !== undefined) yield { plan: special[known] }
  for (const [name, plan] of Object.entries(special)) if (name !== known) yield { plan }
  for (let seed = 1; seed <= mostTried; seed++) yield { play: seed, replicas: undefined }
}

/** As `caughtBy` names it. */
const worldOf = (seed: number): string =>
  Object.entries(special).find(([, plan]) => plan.seed === seed)?.[0] ?? `seed ${seed}`

const breaks = ({ violations }: Result, { promise }: Mutant): boolean =>
  violations.some((each) => each.promise === promise)

/** What the program as it is breaks as well proves nothing. */
const isKeptWithout = async (mutant: Mutant, { seed }: Result): Promise<boolean> => {
  if (Object.values(special).some((plan) => plan.seed === seed)) return true
  const answer = await askOne({ play: seed, replicas: undefined }, undefined)
  return "result" in answer && !breaks(answer.result, mutant)
}

const hunt = async (mutant: Mutant): Promise<Result | undefined> => {
  const left = worldsFor(mutant)[Symbol.iterator]()
  for (;;) {
    let caught: Result | undefined
    await askAll({ [Symbol.iterator]: () => left }, 1, mutant.name, (answer) => {
      // Only by the promise that it breaks.
      if ("result" in answer && breaks(answer.result, mutant)) caught ??= answer.result
      return caught === undefined
    })
    if (caught === undefined || (await isKeptWithout(mutant, caught))) return caught
  }
}

export const huntMutants = async (
  workers: number,
  print: (line: string) => void
): Promise<{ readonly caught: number; readonly escaped: number }> => {
  let escaped = 0
  const left = [...mutants]
  const one = async () => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      if (mutated(mutant) === undefined) {
        escaped++
        print(`mutant "${mutant.name}": STALE, its text is not once in ${mutant.file}`)
        continue
      }
      const caught = await hunt(mutant).catch((error: Error) => error)
      if (caught === undefined || caught instanceof Error) {
        escaped++
        print(`mutant "${mutant.name}": NOT CAUGHT${caught === undefined ? "" : ` (${caught.message})`}`)
        continue
      }
      const first = caught.violations.find(({ promise }) => promise === mutant.promise)
      print(`mutant "${mutant.name}" -> ${worldOf(caught.seed)} -> ${first?.promise}: ${first?.what}`)
    }
  }
  await Promise.all(Array.from({ length: workers }, one))
  print(`${mutants.length} mutants, ${escaped} not caught`)
  return { caught: mutants.length - escaped, escaped }
}
