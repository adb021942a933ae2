/**
 * Says that workloads do not answer, or refuse: what their runs come to then waits, and nobody else would say so.
 *
 * Invariant: one line when such a kind of trouble shows in two cycles in a row, one when it is over, whatever number of
 * workloads it is; a single answer that fails is nobody's matter.
 */
import { Effect } from "effect"
import type { ApiError } from "../http/errors.ts"
import { plural } from "../observe/plural.ts"
import { say } from "../observe/say.ts"

export const makeOutages = () => {
  /** Kinds of trouble that the last cycle met, and those that were spoken of. */
  let before = new Set<string>()
  const told = new Set<string>()
  return Effect.fn("agent.tellOutages")(function* (unreachable: ReadonlyMap<string, ApiError>) {
    const kinds = new Map<string, { readonly first: ApiError; readonly count: number }>()
    for (const error of unreachable.values()) {
      const { count = 0, first = error } = kinds.get(error._tag) ?? {}
      kinds.set(error._tag, { first, count: count + 1 })
    }
    for (const [kind, { count, first }] of kinds) {
      if (told.has(kind) || !before.has(kind)) continue
      told.add(kind)
      yield* say(
        "warning",
        "Sync CPLN→Prefect",
        {},
        `${plural(count, "workload")} cannot be looked into: ${first.message}. Their runs are left as they are until that is over.`
      )
    }
    for (const kind of told) {
      if (kinds.has(kind)) continue
      told.delete(kind)
      yield* say("info", "Sync CPLN→Prefect", {}, "Workloads that could not be looked into answer again.")
    }
    before = new Set(kinds.keys())
  })
}
