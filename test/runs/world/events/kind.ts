/**
 * What every kind of event is made of: how one is drawn, and what it does to a world that plays.
 *
 * Invariant: an event is plain JSON and holds all that was drawn for it, so that a plan of events can be kept, cut down and
 * played again.
 */
import { Duration, Effect, Random } from "effect"
import type { Agent } from "../agents.ts"
import type { World } from "../world.ts"

/** Whom an event may be about; drawn before anything runs. */
export interface Cast {
  readonly line: "2" | "3"
  readonly runs: readonly [string, ...ReadonlyArray<string>]
  /** Agents stand in slots 0 to `replicas - 1`. */
  readonly replicas: number
}

/** The world while it plays. */
export interface Scene {
  readonly world: World
  /** By slot; an agent that was replaced is there no more. */
  readonly agents: ReadonlyArray<Agent>
  /** A new agent takes the slot; it bears the name, or one that nobody had. */
  readonly replace: (slot: number, name?: string) => Effect.Effect<void>
  /** One more agent of that slot's kind, which is in no slot. */
  readonly beside: (slot: number, name: string) => Effect.Effect<Agent>
}

export const oneOf = <const A>(...all: readonly [A, ...ReadonlyArray<A>]): Effect.Effect<A> =>
  Effect.map(Random.nextIntBetween(0, all.length - 1), (index) => all[index] ?? all[0])

/** A whole number, both ends included. */
export const between = (least: number, most: number): Effect.Effect<number> =>
  Random.nextIntBetween(least, most)

export interface Kind<A extends object> {
  /** How often it is drawn, beside the others. */
  readonly weight: number
  readonly draw: (cast: Cast) => Effect.Effect<A>
  /** False when there was nothing that it could happen to. */
  readonly apply: (scene: Scene, event: A) => Effect.Effect<boolean>
}

/** One kind; what it draws must be plain JSON. */
export const kind = <A extends object>(of: Kind<A>): Kind<A> => of

export const someRun = (cast: Cast) => Effect.map(oneOf(...cast.runs), (run) => ({ run }))
export const someSlot = (cast: Cast) => Effect.map(between(0, cast.replicas - 1), (slot) => ({ slot }))
export const later = (seconds: number, what: Effect.Effect<unknown>) =>
  Effect.forkDetach(Effect.andThen(Effect.sleep(Duration.seconds(seconds)), what))
export const done = (what: Effect.Effect<unknown>) => Effect.as(what, true)

/** Does it now, and undoes it after that many seconds; the world's peace undoes nothing. */
export const forSeconds = (seconds: number, begins: () => void, ends: () => void): Effect.Effect<boolean> =>
  done(Effect.andThen(Effect.sync(begins), later(seconds, Effect.sync(ends))))
