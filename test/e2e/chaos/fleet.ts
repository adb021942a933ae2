/**
 * Some agents that serve one work pool, and the emulator that they start its jobs in; each of them may be ended at any
 * moment and started anew.
 *
 * Invariant: times are short but in proportion, and the same for all agents of a fleet, so that what is judged afterwards
 * follows from these lines.
 */
import { join } from "node:path"
import { Effect, Random } from "effect"
import { access, agentCommand, online, startAgent } from "../../../scripts/local/agent.ts"
import { type Emulator, emulator, ensureGvc, type Place } from "../../../scripts/local/control-plane.ts"
import { freePort } from "../../../scripts/local/http.ts"
import type { Operator } from "../../../scripts/local/prefect-server.ts"
import type { Running } from "../../../scripts/local/process.ts"
import { type Restarting, restarting } from "./restarts.ts"

/** In seconds. */
export const times = {
  interval: 5,
  watch: 2,
  settle: 6,
  grace: 3,
  linger: 3,
  mainLinger: 6,
  launchDeadline: 8,
  doubtHorizon: 5
}

const flags = [
  ["interval", times.interval],
  ["watch-interval", times.watch],
  ["settle", times.settle],
  ["cancel-grace", times.grace],
  ["linger", times.linger],
  ["main-linger", times.mainLinger],
  ["launch-deadline", times.launchDeadline],
  ["doubt-horizon", times.doubtHorizon]
].flatMap(([flag, value]) => [`--${flag}`, String(value)])

export interface Fleet {
  readonly pool: string
  readonly poolId: string
  readonly cpln: Restarting<Emulator>
  readonly agents: ReadonlyArray<Restarting<Running>>
  /** What its agents were given and must not say. */
  readonly secrets: ReadonlySet<string>
}

export interface FleetOptions {
  readonly agent: ReadonlyArray<string>
  readonly folder: string
  readonly pool: string
  readonly place: Place
  readonly replicas: number
  readonly prefect: Operator
  /** What the agents take for Prefect's server. */
  readonly prefectApi: string
  readonly emulatorArgs: ReadonlyArray<string>
  /** Put before the PATH of jobs. */
  readonly path?: string
}

export const startFleet = Effect.fnUntraced(function* (options: FleetOptions) {
  const { agent, place, pool, prefect, replicas } = options
  const home = join(options.folder, pool)
  const port = yield* freePort
  const cpln = yield* restarting((again) =>
    emulator({
      agent,
      home: join(home, "emulator"),
      port,
      ...(options.path === undefined ? {} : { path: options.path }),
      args: ["--state", join(home, "state"), ...options.emulatorArgs]
    }).pipe(Effect.tap((started) => (again === 0 ? ensureGvc(started, place) : Effect.void)))
  )
  const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
  yield* agentCommand({
    agent,
    args: ["pool", "create", pool, ...places],
    home: join(home, "pool"),
    env: access(prefect, cpln.current())
  })
  const apiKey = `pnu_${crypto.randomUUID()}`
  const secrets = new Set([apiKey])
  const agents = yield* Effect.forEach(Array.from({ length: replicas }), (_, index) =>
    restarting(() => {
      secrets.add(cpln.current().token)
      return startAgent({
        agent,
        args: ["--pool", pool, "--name", `${pool}-${index + 1}`, ...flags],
        home: join(home, `agent-${index + 1}`),
        // The server asks for no key, but jobs are given it.
        env: { ...access({ api: options.prefectApi }, cpln.current()), PREFECT_API_KEY: apiKey }
      })
    })
  )
  const [one] = agents
  if (one !== undefined) yield* online(one.current(), prefect, pool, replicas)
  const { id } = yield* prefect.pool(pool)
  const fleet: Fleet = { pool, poolId: id, cpln, agents, secrets }
  return fleet
})

const within = (from: number, to: number) =>
  Effect.map(Random.next, (share) => (from + share * (to - from)) * 1000)

/** What may befall an agent, each a whole act after which one runs again. */
export const acts = {
  "kill -9": Effect.fnUntraced(function* (agent: Restarting<Running>) {
    yield* agent.current().signal("SIGKILL")
    yield* Effect.sleep(yield* within(0, 4))
    yield* agent.replace
  }),
  "a short pause": Effect.fnUntraced(function* (agent: Restarting<Running>) {
    yield* paused(agent.current(), yield* within(1, 4))
  }),
  "a pause beyond the launch deadline": Effect.fnUntraced(function* (agent: Restarting<Running>) {
    yield* paused(agent.current(), (times.launchDeadline + 4) * 1000)
  }),
  "SIGTERM and the next one": (agent: Restarting<Running>) => agent.restart()
}
export type Act = keyof typeof acts

const paused = (running: Running, milliseconds: number) =>
  running
    .signal("SIGSTOP")
    .pipe(Effect.andThen(Effect.sleep(milliseconds)), Effect.ensuring(running.signal("SIGCONT")))

/** Plays a shuffled hand of acts to one agent, with a pause of seconds before each. */
export const trouble = Effect.fnUntraced(function* (
  agent: Restarting<Running>,
  hand: ReadonlyArray<Act>,
  told: (act: Act) => void
) {
  for (const act of yield* Random.shuffle(hand)) {
    yield* Effect.sleep(yield* within(1, 6))
    told(act)
    yield* acts[act](agent)
  }
})
