/**
 * What can happen to a world while agents work in it, as data: all kinds of events, how one is drawn, and what it does.
 *
 * Invariant: an event is plain JSON and holds all that was drawn for it, so that a plan of events can be kept, cut down and
 * played again. All of it is possible in real life, and nothing here breaks a promise by itself.
 */
import { Effect, Random } from "effect"
import { events as agents } from "./events/agents.ts"
import { events as calls } from "./events/calls.ts"
import { events as databases } from "./events/databases.ts"
import type { Cast, Kind, Scene } from "./events/kind.ts"
import { events as people } from "./events/people.ts"
import { events as platform } from "./events/platform.ts"

export const kinds = { ...calls, ...agents, ...people, ...platform, ...databases } as const

type Kinds = typeof kinds
export type EventName = keyof Kinds
type DataOf<K> = K extends Kind<infer A> ? A : never
export type Event = { readonly [N in EventName]: { readonly what: N } & DataOf<Kinds[N]> }[EventName]

export const eventNames = Object.keys(kinds) as ReadonlyArray<EventName>

// The two ends of one lookup: what a name draws is what its `apply` takes.
const kindOf = (name: EventName) => kinds[name] as unknown as Kind<object>

const all = eventNames.reduce((sum, name) => sum + kinds[name].weight, 0)

export const drawEvent = Effect.fnUntraced(function* (cast: Cast) {
  let left = (yield* Random.next) * all
  const what = eventNames.find((name) => (left -= kinds[name].weight) < 0) ?? "fault"
  return { what, ...(yield* kindOf(what).draw(cast)) } as Event
})

/** False when there was nothing that it could happen to. */
export const applyEvent = (scene: Scene, event: Event): Effect.Effect<boolean> =>
  kindOf(event.what).apply(scene, event)
