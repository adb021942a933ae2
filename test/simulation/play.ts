/**
 * Plays a plan: real agents over both services in memory, trouble as planned, then peace until everything is settled.
 *
 * Invariant: a plan always plays the same way.
 */
import { Cause, Clock, Duration, Effect, Exit } from "effect"
import { type Agent, startAgent } from "../runs/world/agents.ts"
import { applyEvent, type EventName, type Scene } from "../runs/world/events.ts"
import { flow } from "../runs/world/jobs.ts"
import { finalStages } from "../runs/world/platform-model.ts"
import { begin, makeWorld, type World } from "../runs/world/world.ts"
import type { Plan } from "./plan.ts"
import { SimulatedTime } from "./time.ts"

/** What a plan came to. */
export interface Played {
  readonly plan: Plan
  readonly world: World
  /** Every agent that ever was. */
  readonly agents: ReadonlyArray<Agent>
  /** Events that happened to something, by kind; in order. */
  readonly happened: ReadonlyArray<{ readonly at: number; readonly event: EventName; readonly did: boolean }>
  /** When the world was at rest for the first time after the trouble, in ms since 1970; undefined if it never was. */
  readonly settledAt: number | undefined
  readonly endedAt: number
}

/** How long a world may take to settle once trouble has ended. */
const patience = Duration.minutes(60)
/** How long it is watched when it has settled: three syncs. */
const watched = Duration.minutes(4)

const terminal = new Set(["COMPLETED", "FAILED", "CANCELLED", "CRASHED"])

/** No run is open, and no job lives. */
const atRest = (world: World, plan: Plan): boolean =>
  plan.runs.every(({ id }) => {
    const run = world.prefect.run(id)
    return run === undefined || (terminal.has(run.state_type ?? "") && run.state_name !== "Cancelling")
  }) && world.platform.commands().every((each) => finalStages.has(each.lifecycleStage))

const sleepUntil = (at: number) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(Duration.millis(Math.max(0, at - now))))

const settingsOf = ({ settings }: Plan) =>
  Object.fromEntries(
    Object.entries(settings).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]))
  )

const playing = Effect.fnUntraced(function* (plan: Plan) {
  const world = yield* makeWorld({ line: plan.line })
  Object.assign(world.faults.latency, plan.latency)
  Object.assign(world.skew, plan.skew)
  Object.assign(world.stopping, plan.stopping)
  for (const { due, flow: how, id, retries } of plan.runs) {
    world.scripts.set(id, flow(how))
    yield* world.addRun(id, { due: begin + due * 1000, retries })
  }
  const agents: Array<Agent> = []
  const all: Array<Agent> = []
  const replace = Effect.fnUntraced(function* (slot: number) {
    const name = `agent-${all.length + 1}`
    const link = plan.oneLink ? { link: "the-agent" } : {}
    const agent = yield* startAgent(world, name, { settings: settingsOf(plan), ...link })
    agents[slot] = agent
    all.push(agent)
  })
  for (let slot = 0; slot < plan.replicas; slot++) yield* replace(slot)
  const scene: Scene = { world, agents, replace }
  const happened: Array<{ readonly at: number; readonly event: EventName; readonly did: boolean }> = []
  for (const { at, event } of plan.events) {
    yield* sleepUntil(begin + at * 1000)
    happened.push({ at, event: event.what, did: yield* applyEvent(scene, event) })
  }
  yield* sleepUntil(begin + plan.peaceAt * 1000)
  for (const rule of world.faults.rules) rule.left = 0
  world.faults.rules.length = 0
  const until = begin + plan.peaceAt * 1000 + Duration.toMillis(patience)
  let settledAt: number | undefined
  for (;;) {
    const now = yield* Clock.currentTimeMillis
    if (atRest(world, plan)) settledAt = now
    if (settledAt !== undefined || now > until) break
    yield* Effect.sleep("10 seconds")
  }
  if (settledAt !== undefined) yield* Effect.sleep(watched)
  const endedAt = yield* Clock.currentTimeMillis
  return { plan, world, agents: all, happened, settledAt, endedAt } satisfies Played
})

export const play = (plan: Plan): Played => {
  const exit = new SimulatedTime(begin).run(playing(plan), plan.seed)
  if (Exit.isFailure(exit)) throw new Error(`seed ${plan.seed}: ${Cause.pretty(exit.cause)}`)
  return exit.value
}
