/**
 * Telling what would be done, where nothing may be done: observe mode.
 *
 * Invariant: each thing is told once, and not in every cycle; what was told longest ago is told again only when there is
 * too much to remember.
 */
import { Context, Effect } from "effect"
import { type About, type Area, say } from "./say.ts"

export interface Foreteller {
  /** Says it unless `key` was told before. */
  tell(key: string, area: Area, about: About, words: string): Effect.Effect<void>
  readonly knows: (key: string) => boolean
}

const mostRemembered = 50_000

export const makeForeteller = (): Foreteller => {
  const told = new Set<string>()
  return {
    knows: (key) => told.has(key),
    tell: (key, area, about, words) =>
      Effect.suspend(() => {
        if (told.has(key)) return Effect.void
        if (told.size >= mostRemembered) told.delete(told.values().next().value ?? "")
        told.add(key)
        return say("info", area, about, words)
      })
  }
}

/** Undefined where things are done. */
export const Foresight = Context.Reference<Foreteller | undefined>("agent/observe/Foresight", {
  defaultValue: () => undefined
})
