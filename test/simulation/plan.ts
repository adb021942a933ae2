/**
 * The whole story of one simulated world as plain JSON: who is there, which runs come, and what goes wrong when.
 *
 * Invariant: a plan is drawn from its seed alone, and playing it draws nothing but what the agents and the services do by
 * chance of their own (latency, jitter, ids), so that parts of it can be taken away and the rest played again.
 */
import { Effect, Random } from "effect"
import { drawEvent, type Event } from "../runs/world/events.ts"
import { between, type Cast, oneOf } from "../runs/world/events/kind.ts"
import type { FlowPlan } from "../runs/world/jobs.ts"

/** Seconds since the world began. */
export type Seconds = number

export interface PlannedRun {
  readonly id: string
  readonly due: Seconds
  /** Retries of the engine's own. */
  readonly retries: number
  readonly flow: FlowPlan
}

export interface PlannedEvent {
  readonly at: Seconds
  readonly event: Event
}

/** Settings of the agents that differ from world to world, in seconds. */
export interface PlannedSettings {
  readonly interval: number
  readonly watchInterval: number
  readonly queryInterval: number
  readonly cancelInterval: number
  readonly cancelGrace: number
  readonly linger: number
  readonly mainLinger: number
  readonly settle: number
  readonly launchDeadline: number
  readonly doubtHorizon: number
  readonly startTimeout: number
  readonly limit: number | undefined
  /** Jobs that absence may end in 15 minutes; undefined for the brake as it is usually set. */
  readonly maxDisruption: number | undefined
  /** In hours; a day unless given, which no world lasts. */
  readonly cleanupTtl?: number
}

export interface Plan {
  readonly seed: number
  /** Of the Prefect server. */
  readonly line: "2" | "3"
  readonly replicas: number
  /** All replicas of one workload carry its link; agents elsewhere have one each. */
  readonly oneLink: boolean
  readonly settings: PlannedSettings
  /** Of every answer, in ms. */
  readonly latency: { readonly least: number; readonly most: number }
  /** As 2.20 on SQLite under load: a claim is accepted although another one was a moment ago. */
  readonly acceptsTwo: boolean
  /** How far the agents' own clocks are ahead of the true time, in ms, by slot. */
  readonly clocks: ReadonlyArray<number>
  readonly stopping: { readonly grace: number; readonly endsAs: "cancelled" | "failed" | "completed" }
  readonly runs: ReadonlyArray<PlannedRun>
  readonly events: ReadonlyArray<PlannedEvent>
  /** When trouble ends. */
  readonly peaceAt: Seconds
}

const anyFlow: Effect.Effect<FlowPlan> = Effect.gen(function* () {
  const maybe = <A>(share: number, value: Effect.Effect<A>) =>
    Effect.flatMap(Random.next, (drawn) => (drawn < share ? value : Effect.succeed(undefined)))
  const all = {
    pending: yield* oneOf(1, 1, 3, 10, 60, 100),
    waits: yield* maybe(
      0.1,
      Effect.all({ for: oneOf("image", "capacity", "secret"), seconds: oneOf(30, 1_000) })
    ),
    startUp: yield* oneOf(1, 5, 20),
    runs: yield* oneOf(3, 20, 60, 150),
    reports: yield* oneOf("COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "CRASHED", "nothing"),
    exitCode: yield* oneOf(0, 0, 0, 1, 137),
    reason: yield* maybe(0.2, oneOf("OOMKilled", "Evicted")),
    corrected: yield* maybe(0.3, oneOf(3, 30)),
    hearsCancel: yield* maybe(0.5, Effect.succeed(5)),
    hooks: yield* maybe(0.3, oneOf(1, 10)),
    flush: yield* oneOf(0, 0, 1, 25),
    // Some stay until they are stopped.
    sides: yield* maybe(0.2, oneOf(5, 60, 100_000)),
    term: yield* maybe(0.5, oneOf("dies", "reports CRASHED", "reschedules")),
    pauses: yield* maybe(
      0.08,
      Effect.all({ how: oneOf("paused", "suspended"), resumed: oneOf<number>(20, 90) })
    )
  }
  // What is stopped because it does not start, and gives itself back each time, never ends.
  const { term, ...rest } = all
  const kept = all.waits === undefined ? { ...rest, term } : rest
  return Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined)) as FlowPlan
})

const anySettings: Effect.Effect<PlannedSettings> = Effect.gen(function* () {
  const usual = yield* oneOf(true, true, false)
  return {
    interval: usual ? 60 : yield* oneOf(20, 30, 60),
    watchInterval: usual ? 5 : yield* oneOf(3, 5, 15),
    queryInterval: yield* oneOf(2, 5, 8, 8),
    cancelInterval: yield* oneOf(2, 5, 8, 8),
    cancelGrace: usual ? 20 : yield* oneOf(5, 20, 60),
    linger: usual ? 30 : yield* oneOf(10, 30),
    mainLinger: usual ? 120 : yield* oneOf(30, 60, 120),
    settle: usual ? 60 : yield* oneOf(20, 60),
    launchDeadline: 120,
    doubtHorizon: usual ? 30 : yield* oneOf(20, 30),
    startTimeout: usual ? yield* oneOf(300, 900) : yield* oneOf(120, 300),
    limit: yield* oneOf<number | undefined>(undefined, undefined, undefined, 4),
    maxDisruption: yield* oneOf<number | undefined>(1_000, 1_000, 1_000, undefined)
  }
})

const trouble = 240
const idOf = (n: number) => `r${n}`

export const castOf = ({ line, replicas, runs }: Pick<Plan, "line" | "replicas" | "runs">): Cast => {
  const [first = "r1", ...rest] = runs.map(({ id }) => id)
  return { line, replicas, runs: [first, ...rest] }
}

/** `replicas` fixes what is drawn otherwise. */
const draw = Effect.fnUntraced(function* (seed: number, replicas: number | undefined) {
  const drawnReplicas = yield* oneOf(1, 1, 2, 2, 3, 4, 5)
  const count = yield* oneOf(3, 5, 6, 8, 12)
  const runs: Array<PlannedRun> = []
  for (let n = 1; n <= count; n++) {
    runs.push({
      id: idOf(n),
      due: yield* between(0, 150),
      retries: yield* oneOf(0, 0, 1),
      flow: yield* anyFlow
    })
  }
  const base = {
    seed,
    line: yield* oneOf("2", "3"),
    replicas: replicas ?? drawnReplicas,
    oneLink: yield* Random.nextBoolean,
    settings: yield* anySettings,
    latency: yield* oneOf({ least: 5, most: 50 }, { least: 5, most: 400 }, { least: 50, most: 900 }),
    acceptsTwo: yield* oneOf(true, false, false),
    clocks: yield* Effect.all(Array.from({ length: 5 }, () => oneOf(0, 0, 0, 700, -180_000, 240_000))),
    stopping: {
      grace: yield* oneOf(2, 10, 30),
      endsAs: yield* oneOf("cancelled", "failed", "completed")
    },
    runs,
    peaceAt: trouble
  } satisfies Omit<Plan, "events">
  const cast = castOf(base)
  // From now and then a mishap to one after the other.
  const pause = yield* oneOf(3, 5, 8, 16, 30)
  const events: Array<PlannedEvent> = []
  for (let at = yield* between(1, pause); at < trouble; at += yield* between(1, 2 * pause)) {
    events.push({ at, event: yield* drawEvent(cast) })
  }
  return { ...base, events } satisfies Plan
})

export const drawPlan = (seed: number, replicas?: number): Plan =>
  Effect.runSync(Random.withSeed(draw(seed, replicas), `plan ${seed}`))
