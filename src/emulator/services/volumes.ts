/**
 * Volume sets as folders of this machine.
 *
 * Invariant: each replica of a set that is not shared has a folder of its own, which outlives the replica; a set that is
 * deleted takes its folders with it. Without a state folder they live as long as the emulator.
 */
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import { textOf, at } from "../json.ts"
import { makeFolder, removeFolder, removeFolderNow } from "../jobs/processes/host.ts"
import { gvcPath } from "../links.ts"
import { Settings } from "../settings.ts"
import { type Resource, Store } from "../store.ts"

export class Volumes extends Context.Service<
  Volumes,
  {
    /** For the volume set of that name in the workload's GVC; undefined when there is none. `replica` says whose it is. */
    folderOf(workload: Resource, name: string, replica: string): string | undefined
  }
>()("emulator/services/Volumes") {
  static readonly layer = Layer.effect(
    Volumes,
    Effect.gen(function* () {
      const { state } = yield* Settings
      const store = yield* Store
      let made: string | undefined
      // Made when one is needed: a read-only machine has no place for it.
      const base = () => (state === undefined ? (made ??= makeFolder()) : join(state, "volumes"))
      yield* Effect.addFinalizer(() => (made === undefined ? Effect.void : removeFolder(made)))
      const folderOfSet = (org: string, gvc: string, name: string) => join(base(), org, gvc, name)
      store.watch(({ kind, org, gvc, name }, what) => {
        if (kind !== "volumeset" || what !== "removed" || gvc === undefined) return
        if (state !== undefined || made !== undefined) removeFolderNow(folderOfSet(org, gvc, name))
      })
      return Volumes.of({
        folderOf: ({ org, gvc }, name, replica) => {
          const set = gvc === undefined ? undefined : store.get(`${gvcPath(org, gvc)}/volumeset/${name}`)
          if (set === undefined || gvc === undefined) return undefined
          return join(folderOfSet(org, gvc, name), isShared(set) ? "shared" : replica)
        }
      })
    })
  )
}

const isShared = ({ body }: Resource): boolean => textOf(at(body, ["spec", "fileSystemType"])) === "shared"
