/**
 * Plays a plan: real agents over both services in memory, trouble as planned, then peace until everything is settled.
 *
 * Invariant: a plan always plays the same way.
 */
import { Cause, Clock, Duration, Effect, Exit } from "effect"
import { type Agent, startAgent } from "../runs/world/agents.ts"
import { applyEvent, type EventName } from "../runs/world/events.ts"
import type { Scene } from "../runs/world/events/kind.ts"
import { flow } from "../runs/world/jobs.ts"
import { finalStages } from "../runs/world/platform-model.ts"
import { begin, makeWorld, type World } from "../runs/world/world.ts"
import { type Evidence, jobLives, runLives } from "./evidence.ts"
import type { Plan } from "./plan.ts"
import { addStrangers } from "./strangers.ts"
import { SimulatedTime } from "./time.ts"
import { lastsUntil, troubleOf, watch, type Watch } from "./watched.ts"

/** What a plan came to. */
export interface Played {
  readonly evidence: Evidence
  /** Events in order, and whether there was something that they could happen to. */
  readonly happened: ReadonlyArray<{ readonly event: EventName; readonly did: boolean }>
  readonly hits: Watch["hits"]
}

/** How long a world may take to settle once trouble has ended. */
const patience = Duration.minutes(60)
/** How long it is watched when it has settled, beside four syncs. */
const watched = Duration.minutes(1)

const terminal = new Set(["COMPLETED", "FAILED", "CANCELLED", "CRASHED"])

const mayBrake = ({ settings }: Plan, hits: Watch["hits"]): boolean =>
  settings.maxDisruption === undefined ||
  hits.some(
    ({ fault }) =>
      fault.kind === "lost page" ||
      fault.kind === "stale" ||
      (fault.kind === "status" && fault.status === 404)
  )

/** No run is open, and no job of a run that is there lives. */
const atRest = (world: World, plan: Plan): boolean => {
  // Jobs of deleted runs are a matter of I3: the brake may hold them.
  const ids = new Set(plan.runs.flatMap(({ id }) => (world.prefect.run(id) === undefined ? [] : [id])))
  return (
    plan.runs.every(({ id }) => {
      const run = world.prefect.run(id)
      return run === undefined || (terminal.has(run.state_type ?? "") && run.state_name !== "Cancelling")
    }) &&
    world.platform
      .commands()
      .every(
        ({ lifecycleStage, tags }) =>
          finalStages.has(lifecycleStage) || !ids.has(String(tags?.["prefect.io/flow-run-id"]))
      )
  )
}

const sleepUntil = (at: number) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(Duration.millis(Math.max(0, at - now))))

const settingsOf = ({ settings }: Plan) =>
  Object.fromEntries(
    Object.entries(settings).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]))
  )

/** A start that the service performs after this. */
const landsAfter = ({ at, call, fault }: Watch["hits"][number], now: number): boolean =>
  call.name === "start" &&
  fault.kind === "timeout" &&
  typeof fault.lands === "number" &&
  at + fault.lands > now

const playing = Effect.fnUntraced(function* (plan: Plan) {
  const world = yield* makeWorld({ line: plan.line })
  Object.assign(world.faults.latency, plan.latency)
  Object.assign(world.stopping, plan.stopping)
  world.prefect.acceptsTwo = plan.acceptsTwo && plan.line === "2"
  for (const { due, flow: how, id, retries } of plan.runs) {
    world.scripts.set(id, flow(how))
    yield* world.addRun(id, { due: begin + due * 1000, retries })
  }
  yield* addStrangers(world)
  if (plan.runs.some((each) => each.flow.sides !== undefined)) world.addSideContainer()
  const clock = yield* Clock.clockWith(Effect.succeed)
  const watching = watch(world, begin, () => clock.currentTimeMillisUnsafe())
  const agents: Array<Agent> = []
  const all: Array<Agent> = []
  const processes: Array<{ readonly agent: Agent; readonly from: number }> = []
  const beside = Effect.fnUntraced(function* (slot: number, name: string) {
    const link = plan.oneLink ? { link: "the-agent" } : {}
    const agent = yield* startAgent(world, name, {
      settings: settingsOf(plan),
      restarts: 10,
      clock: plan.clocks[slot] ?? 0,
      prefectSettings: { PREFECT_API_KEY: secrets.key },
      ...link
    })
    all.push(agent)
    processes.push({ agent, from: clock.currentTimeMillisUnsafe() })
    return agent
  })
  const replace = Effect.fnUntraced(function* (slot: number, name = `agent-${all.length + 1}`) {
    agents[slot] = yield* beside(slot, name)
  })
  for (let slot = 0; slot < plan.replicas; slot++) yield* replace(slot)
  // As the platform does: a process that ended by itself is started again.
  const supervise = Effect.gen(function* () {
    for (;;) {
      yield* Effect.sleep("10 seconds")
      for (const [slot, agent] of agents.entries()) if (agent.hasEnded()) yield* replace(slot, agent.name)
    }
  })
  yield* Effect.forkDetach(supervise)
  const scene: Scene = { world, agents, replace, beside }
  const happened: Array<{ readonly event: EventName; readonly did: boolean }> = []
  for (const { at, event } of plan.events) {
    yield* sleepUntil(begin + at * 1000)
    happened.push({ event: event.what, did: yield* applyEvent(scene, event) })
  }
  yield* sleepUntil(begin + plan.peaceAt * 1000)
  world.peace()
  const until = begin + plan.peaceAt * 1000 + Duration.toMillis(patience)
  // Peace ends what services do, not the sleep of a process that was stopped.
  const over = begin + lastsUntil(plan.events) * 1000
  let settledAt: number | undefined
  for (;;) {
    const now = yield* Clock.currentTimeMillis
    const quiet = now >= over && !watching.hits.some((hit) => landsAfter(hit, now))
    if (quiet && atRest(world, plan)) settledAt = now
    if (settledAt !== undefined || now > until) break
    yield* Effect.sleep("10 seconds")
  }
  if (settledAt !== undefined) {
    yield* Effect.sleep(Duration.sum(watched, Duration.seconds(4 * plan.settings.interval)))
  }
  const endedAt = yield* Clock.currentTimeMillis
  const { entries } = world.chronicle
  const jobs = jobLives(entries)
  const evidence: Evidence = {
    plan,
    entries,
    runs: runLives(plan, begin, entries, jobs),
    jobs,
    processes: processes.map(({ agent, from }) => ({
      name: agent.name,
      from,
      to: agent.leftAt() ?? Number.POSITIVE_INFINITY,
      frozen: agent.frozen()
    })),
    mayBrake: mayBrake(plan, watching.hits),
    partialAt: watching.hits.flatMap(({ at, call, fault }) =>
      call.name === "find" && (fault.kind === "lost page" || fault.kind === "stale") ? [at] : []
    ),
    slowReads: watching.hits.flatMap(({ at, call, fault }) =>
      call.name === "readRun" && fault.kind === "slow"
        ? [{ by: call.by, from: at, to: at + fault.before + fault.after + plan.latency.most }]
        : []
    ),
    blindAt: watching.hits.flatMap(({ at, call }) => (call.name === "find" ? [at] : [])),
    trouble: troubleOf(begin, plan.events, watching.hits),
    begin,
    peaceAt: begin + plan.peaceAt * 1000,
    settledAt,
    endedAt,
    requests: watching.requests,
    said: said(world, all),
    secrets: Object.values(secrets)
  }
  return { evidence, happened, hits: watching.hits } satisfies Played
})

const secrets = { key: "pnu_key-of-the-server", token: "token-of-the-agent" }

/** Everything that an agent said where people can read it. */
function* said(world: World, agents: ReadonlyArray<Agent>): Iterable<string> {
  for (const { lines } of agents) yield* lines
  for (const { message } of world.prefect.logs) yield message
  for (const event of world.prefect.events) yield JSON.stringify(event)
  for (const entry of world.chronicle.entries) {
    if (entry.what === "state") yield entry.to.message ?? ""
    if (entry.what === "run changed") yield JSON.stringify(entry.change)
  }
}

export const play = (plan: Plan): Played => {
  const exit = new SimulatedTime(begin).run(playing(plan), plan.seed)
  if (Exit.isFailure(exit)) throw new Error(`seed ${plan.seed}: ${Cause.pretty(exit.cause)}`)
  return exit.value
}
