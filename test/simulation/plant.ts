/**
 * Plants one mutant: replaces one piece of text of one source file when that is loaded.
 *
 * Invariant: the text occurs exactly once, else the mutant is stale, which is an error: it would prove nothing.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { plugin } from "bun"
import { type Mutant, mutants } from "./mutants.ts"

const root = join(import.meta.dirname, "../..")

/** The file as the mutant has it; undefined when the mutant is stale. */
export const mutated = ({ file, from, to }: Mutant): string | undefined => {
  const parts = readFileSync(join(root, file), "utf8").split(from)
  return parts.length === 2 ? parts.join(to) : undefined
}

export const plant = (name: string): void => {
  const mutant = mutants.find((each) => each.name === name)
  if (mutant === undefined) throw new Error(`no mutant "${name}"`)
  const contents = mutated(mutant)
  if (contents === undefined) throw new Error(`stale: the text of "${name}" is not once in ${mutant.file}`)
  plugin({
    name,
    setup: (build) => {
      const path = join(root, mutant.file)
      build.onLoad({ filter: new RegExp(`^${path.replaceAll(/[.*+?^${}()|[\]\\]/gu, "\\$&")}$`) }, () => ({
        contents,
        loader: "ts"
      }))
    }
  })
}
