/**
 * What can happen to a world while agents work in it, as data: each kind of event says how one is drawn and what it does.
 *
 * Invariant: an event is plain JSON and holds all that was drawn for it, so that a plan of events can be kept, cut down and
 * played again. All of it is possible in real life, and nothing here breaks a promise by itself.
 */
import { Clock, Duration, Effect, Random } from "effect"
import type { Agent } from "./agents.ts"
import type { Fault } from "./faults.ts"
import type { World } from "./world.ts"

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
  /** A new agent takes the slot. */
  readonly replace: (slot: number) => Effect.Effect<void>
}

export const oneOf = <const A>(...all: readonly [A, ...ReadonlyArray<A>]): Effect.Effect<A> =>
  Effect.map(Random.nextIntBetween(0, all.length - 1), (index) => all[index] ?? all[0])

/** A whole number, both ends included. */
export const between = (least: number, most: number): Effect.Effect<number> =>
  Random.nextIntBetween(least, most)

interface Kind<A extends object> {
  /** How often it is drawn, beside the others. */
  readonly weight: number
  readonly draw: (cast: Cast) => Effect.Effect<A>
  /** False when there was nothing that it could happen to. */
  readonly apply: (scene: Scene, event: A) => Effect.Effect<boolean>
}

/** One kind; what it draws must be plain JSON. */
const kind = <A extends object>(of: Kind<A>): Kind<A> => of

const someRun = (cast: Cast) => Effect.map(oneOf(...cast.runs), (run) => ({ run }))
const someSlot = (cast: Cast) => Effect.map(between(0, cast.replicas - 1), (slot) => ({ slot }))
const later = (seconds: number, what: Effect.Effect<unknown>) =>
  Effect.forkDetach(Effect.andThen(Effect.sleep(Duration.seconds(seconds)), what))
const done = (what: Effect.Effect<unknown>) => Effect.as(what, true)

const calls = [
  "propose",
  "readRun",
  "findRuns",
  "history",
  "changeRun",
  "scheduledRuns",
  "start",
  "find",
  "get",
  "stopReplica",
  "deployments",
  "readWorkload",
  "createWorkload"
] as const

const anyFault: Effect.Effect<Fault> = Effect.gen(function* () {
  const commit = yield* oneOf("never", "after")
  return yield* oneOf<Fault>(
    { kind: "refused" },
    { kind: "reset", commit },
    { kind: "503", commit },
    { kind: "429" },
    { kind: "429", retryAfterMillis: 7_000 },
    { kind: "timeout", lands: commit === "never" ? "never" : "at once" },
    { kind: "slow", before: 300, after: 4_000 },
    { kind: "slow", before: 0, after: 9_000 }
  )
})

export const kinds = {
  /** The next calls of that name go wrong. Those that make a proposal land long after its client gave up are left out. */
  fault: kind<{ readonly call: (typeof calls)[number]; readonly fault: Fault; readonly times: number }>({
    weight: 6,
    draw: () => Effect.all({ call: oneOf(...calls), fault: anyFault, times: between(1, 3) }),
    apply: ({ world }, { call, fault, times }) =>
      done(Effect.sync(() => world.faults.onCall(call, fault, times)))
  }),

  /** A start lands that many ms after it was sent, when its client has given up. */
  "late start": kind<{ readonly lands: number }>({
    weight: 1,
    draw: () => Effect.all({ lands: oneOf(16_000, 25_000, 40_000, 60_000) }),
    apply: ({ world }, { lands }) =>
      done(Effect.sync(() => world.faults.onCall("start", { kind: "timeout", lands })))
  }),

  outage: kind<{ readonly service: "Prefect" | "Control Plane"; readonly seconds: number }>({
    weight: 1,
    draw: () => Effect.all({ service: oneOf("Prefect", "Control Plane"), seconds: between(5, 40) }),
    apply: ({ world }, { seconds, service }) =>
      done(Effect.suspend(() => later(seconds, Effect.sync(world.faults.outage(service)))))
  }),

  /** Answers of a list or of a status that lags. */
  "stale read": kind<{
    readonly call: "findRuns" | "find" | "get"
    readonly by: number
    readonly times: number
  }>({
    weight: 1,
    draw: () =>
      Effect.all({
        call: oneOf("findRuns", "find", "get"),
        by: oneOf(2_000, 5_000, 20_000),
        times: between(1, 4)
      }),
    apply: ({ world }, { by, call, times }) =>
      done(Effect.sync(() => world.faults.onCall(call, { kind: "stale", by }, times)))
  }),

  /** As the user interface (by force) or the API does. */
  cancel: kind<{ readonly run: string; readonly force: boolean }>({
    weight: 1,
    draw: (cast) => Effect.all({ run: oneOf(...cast.runs), force: oneOf(true, false) }),
    apply: ({ world }, { force, run }) =>
      Effect.map(world.propose(run, "CANCELLING", { force }), (answer) => answer?.status === "ACCEPT")
  }),

  /** A person starts a run again that is over. */
  retry: kind<{ readonly run: string }>({
    weight: 1,
    draw: someRun,
    apply: ({ world }, { run }) =>
      Effect.suspend(() =>
        ["COMPLETED", "FAILED", "CRASHED"].includes(world.stateOf(run))
          ? done(world.propose(run, "SCHEDULED", { name: "AwaitingRetry" }))
          : Effect.succeed(false)
      )
  }),

  "crash by hand": kind<{ readonly run: string }>({
    weight: 1,
    draw: someRun,
    apply: ({ world }, { run }) =>
      Effect.map(world.propose(run, "CRASHED"), (answer) => answer?.status === "ACCEPT")
  }),

  "run deleted": kind<{ readonly run: string }>({
    weight: 0.25,
    draw: someRun,
    apply: ({ world }, { run }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const exists = world.prefect.run(run) !== undefined
        if (exists) world.prefect.delete(now, run)
        return exists
      })
  }),

  /** The platform ends the job on its own, as an eviction does. */
  "platform stops": kind<{ readonly run: string }>({
    weight: 1,
    draw: someRun,
    apply: ({ world }, { run }) =>
      Effect.sync(() => {
        const [live] = world.platform.live(run)
        if (live !== undefined) world.platform.onStop(live.id)
        return live !== undefined
      })
  }),

  /** The live command is deleted and in no list any more. */
  "job vanishes": kind<{ readonly run: string }>({
    weight: 1,
    draw: someRun,
    apply: ({ world }, { run }) =>
      Effect.suspend(() => {
        const [live] = world.platform.live(run)
        return live === undefined ? Effect.succeed(false) : done(world.vanish(live.id))
      })
  }),

  "workload deleted": kind<{}>({
    weight: 0.5,
    draw: () => Effect.succeed({}),
    apply: ({ world }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const [path] = world.platform.workloads.keys()
        if (path !== undefined) world.platform.deleteWorkload(now, "person", path)
        return path !== undefined
      })
  }),

  /** SIGKILL; another one starts in its place after that many seconds. */
  kill: kind<{ readonly slot: number; readonly down: number }>({
    weight: 1,
    draw: (cast) => Effect.all({ slot: between(0, cast.replicas - 1), down: oneOf(0, 3, 30) }),
    apply: ({ agents, replace }, { down, slot }) =>
      done(Effect.andThen(agents[slot]?.kill ?? Effect.void, later(down, replace(slot))))
  }),

  /** SIGTERM, and another one starts at once, as in a rolling restart. */
  drain: kind<{ readonly slot: number }>({
    weight: 1,
    draw: someSlot,
    apply: ({ agents, replace }, { slot }) =>
      done(Effect.andThen(agents[slot]?.stop ?? Effect.void, replace(slot)))
  }),

  /** The process stands still, as under SIGSTOP. */
  pause: kind<{ readonly slot: number; readonly seconds: number }>({
    weight: 1,
    draw: (cast) => Effect.all({ slot: between(0, cast.replicas - 1), seconds: between(5, 60) }),
    apply: ({ agents }, { seconds, slot }) =>
      Effect.suspend(() => {
        const agent = agents[slot]
        if (agent === undefined) return Effect.succeed(false)
        return done(Effect.andThen(agent.pause, later(seconds, agent.resume)))
      })
  })
} as const

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
