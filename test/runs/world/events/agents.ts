/**
 * Events that befall agents: they are killed, paused, replaced and doubled, at any moment and at any call, and their
 * clocks are wrong.
 *
 * Invariant: what happens at a call happens right before it takes effect, or right after; between two calls nobody can tell
 * the difference.
 */
import { Effect } from "effect"
import { between, type Cast, done, kind, later, oneOf, type Scene, someSlot } from "./kind.ts"
import type { ServiceName } from "../../../../src/http/errors.ts"

/** The n-th call of that name that the agent in the slot makes from now on. */
export interface AtCall {
  readonly slot: number
  readonly service: ServiceName
  readonly call: string
  readonly nth: number
  readonly when: "before" | "after"
  /** One that does not come in so many seconds is waited for no more. */
  readonly within: number
}

type Called = readonly [service: ServiceName, name: string]

/** Writes twice as often as reads: that is where a death or a pause matters most. */
const calls: readonly [Called, ...ReadonlyArray<Called>] = [
  ["Prefect", "propose"],
  ["Prefect", "propose"],
  ["Prefect", "changeRun"],
  ["Prefect", "changeRun"],
  ["Control Plane", "start"],
  ["Control Plane", "start"],
  ["Control Plane", "stopReplica"],
  ["Control Plane", "stopReplica"],
  ["Control Plane", "createWorkload"],
  ["Prefect", "readRun"],
  ["Prefect", "history"],
  ["Prefect", "findRuns"],
  ["Prefect", "scheduledRuns"],
  ["Control Plane", "find"],
  ["Control Plane", "get"],
  ["Control Plane", "deployments"],
  ["Control Plane", "readWorkload"]
]

/** A call that never comes is waited for this long, in s. */
const waitedFor = 120

const anyCall = (cast: Cast): Effect.Effect<AtCall> =>
  Effect.gen(function* () {
    const [service, call] = yield* oneOf(...calls)
    return {
      slot: yield* between(0, cast.replicas - 1),
      service,
      call,
      nth: yield* oneOf(1, 1, 2, 3, 5, 8),
      when: yield* oneOf("before", "after"),
      within: waitedFor
    }
  })

const at = (
  { agents }: Scene,
  { call, nth, service, slot, when, within }: AtCall,
  what: (name: string) => Effect.Effect<void>
) =>
  Effect.suspend(() => {
    const agent = agents[slot]
    if (agent === undefined) return Effect.succeed(false)
    const forget = agent.onceAt({ service, name: call, nth, when }, what(agent.name))
    return done(later(within, Effect.sync(forget)))
  })

export const events = {
  /** SIGKILL; another one starts in its place after that many seconds, under the same name where it has a fixed one. */
  kill: kind<{ readonly slot: number; readonly down: number; readonly sameName: boolean }>({
    weight: 1,
    draw: (cast) =>
      Effect.all({
        slot: between(0, cast.replicas - 1),
        down: oneOf(0, 3, 30),
        sameName: oneOf(true, false)
      }),
    apply: ({ agents, replace }, { down, sameName, slot }) =>
      Effect.suspend(() => {
        const agent = agents[slot]
        // Unless another has its place by then.
        const next = Effect.suspend(() =>
          agents[slot] === agent ? replace(slot, sameName ? agent?.name : undefined) : Effect.void
        )
        return done(Effect.andThen(agent?.kill ?? Effect.void, later(down, next)))
      })
  }),

  "killed at a call": kind<AtCall & { readonly down: number }>({
    weight: 2,
    draw: (cast) =>
      Effect.all([anyCall(cast), oneOf(0, 3, 30)]).pipe(Effect.map(([call, down]) => ({ ...call, down }))),
    apply: (scene, event) =>
      at(scene, event, (name) => {
        const { agents, replace } = scene
        const { slot } = event
        const agent = agents[slot]
        if (agent?.name !== name) return Effect.void
        // Where another has its place by then, nobody takes it over.
        const next = Effect.suspend(() => (agents[slot] === agent ? replace(slot, name) : Effect.void))
        return Effect.asVoid(Effect.andThen(agent.kill, later(event.down, next)))
      })
  }),

  /**
   * The process stands still from that call on, as under SIGSTOP. A proposal that lies with a process that stands still, and
   * is sent long after, is left out: no agent can do anything about it, because the server has no write on a condition.
   */
  "paused at a call": kind<AtCall & { readonly seconds: number }>({
    weight: 2,
    draw: (cast) =>
      Effect.all([anyCall(cast), oneOf(7, 20, 60, 150)]).pipe(
        Effect.map(([call, seconds]) => ({
          ...call,
          when: call.call === "propose" ? ("after" as const) : call.when,
          seconds
        }))
      ),
    apply: (scene, event) => {
      const agent = scene.agents[event.slot]
      return at(scene, event, () =>
        agent === undefined
          ? Effect.void
          : Effect.asVoid(Effect.andThen(agent.pause, later(event.seconds, agent.resume)))
      )
    }
  }),

  /** SIGTERM, and another one starts at once. */
  drain: kind<{ readonly slot: number }>({
    weight: 1,
    draw: someSlot,
    apply: ({ agents, replace }, { slot }) =>
      done(Effect.andThen(agents[slot]?.stop ?? Effect.void, replace(slot)))
  }),

  /** As a rollout does it: the new one is up that many seconds before the old one drains. */
  "rolling restart": kind<{ readonly slot: number; readonly seconds: number; readonly sameName: boolean }>({
    weight: 1,
    draw: (cast) =>
      Effect.all({
        slot: between(0, cast.replicas - 1),
        seconds: oneOf(1, 10, 40),
        sameName: oneOf(true, false)
      }),
    apply: ({ agents, replace }, { sameName, seconds, slot }) =>
      Effect.suspend(() => {
        const old = agents[slot]
        const next = replace(slot, sameName ? old?.name : undefined)
        return done(Effect.andThen(next, later(seconds, old?.stop ?? Effect.void)))
      })
  }),

  /** Somebody starts a second one of the same name by mistake, and ends it again. */
  twin: kind<{ readonly slot: number; readonly seconds: number; readonly ends: "killed" | "stopped" }>({
    weight: 0.5,
    draw: (cast) =>
      Effect.all({
        slot: between(0, cast.replicas - 1),
        seconds: between(10, 90),
        ends: oneOf("killed", "stopped")
      }),
    apply: ({ agents, beside }, { ends, seconds, slot }) =>
      Effect.gen(function* () {
        const agent = agents[slot]
        if (agent === undefined) return false
        const twin = yield* beside(slot, agent.name)
        yield* later(seconds, ends === "killed" ? twin.kill : twin.stop)
        return true
      })
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
  }),

  /** Its clock is set; in ms ahead of the true time. */
  "clock set": kind<{ readonly slot: number; readonly ahead: number }>({
    weight: 1,
    draw: (cast) =>
      Effect.all({
        slot: between(0, cast.replicas - 1),
        ahead: oneOf(0, 2_000, -2_000, 60_000, -60_000, 400_000, -400_000, 3_600_000, -3_600_000)
      }),
    apply: ({ agents }, { ahead, slot }) => done(agents[slot]?.setClock(ahead) ?? Effect.void)
  })
} as const
