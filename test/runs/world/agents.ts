/**
 * Real agents in a modelled world: the program as it starts from the command line, with its own clients.
 *
 * Invariant: an agent reaches the world through its own view of the services only, so that it can be killed at any await
 * (no call of it is answered or takes effect from then on), paused, or asked to stop.
 */
import { Effect, Fiber, Latch, Layer, Logger, Redacted, References } from "effect"
import { runAgent } from "../../../src/agent/agent.ts"
import { resolve, type SettingKey, type Settings } from "../../../src/settings.ts"
import { controlPlaneFor } from "./platform-service.ts"
import { prefectFor } from "./prefect-service.ts"
import { gvc, location, org, poolName, type World } from "./world.ts"

export interface AgentOptions {
  readonly settings?: Partial<Record<SettingKey, string>>
  readonly pool?: string
  readonly queues?: ReadonlyArray<string>
  /** Of the version of this agent: without a GVC it refuses what others run. */
  readonly gvc?: string | undefined
  /** Of its process, beside the address of the server. */
  readonly prefectSettings?: Readonly<Record<string, string>>
  /** Value of the tag `cpln/prefectAgent`; the name unless given. */
  readonly link?: string
}

export interface Agent {
  readonly name: string
  /** What it printed, oldest first. */
  readonly lines: ReadonlyArray<string>
  /** SIGTERM: the program ends in its own time. */
  readonly stop: Effect.Effect<void>
  readonly hasEnded: () => boolean
  /** SIGKILL: nothing that it does takes effect any more. */
  readonly kill: Effect.Effect<void>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

export const settingsWith = (flags: Partial<Record<SettingKey, string>> = {}): Settings => {
  const resolved = resolve({ jobLogs: "off", ...flags }, () => undefined)
  if ("wrong" in resolved) throw resolved.wrong
  return resolved.settings
}

/** What is injected into an agent's container. */
export const injected = {
  endpoint: "http://cpln.test",
  org,
  gvc: gvc as string | undefined,
  location,
  token: Redacted.make("token-of-the-agent")
}

export const startAgent = Effect.fnUntraced(function* (
  world: World,
  name: string,
  options: AgentOptions = {}
): Effect.fn.Return<Agent> {
  const lines: Array<string> = []
  const gate = yield* Latch.make(true)
  let dead = false
  let ended = false
  const line = {
    by: `agent ${name}`,
    gate: Effect.suspend(() => (dead ? Effect.never : gate.await))
  } as const
  const logger = Logger.make<unknown, void>(({ message }) => {
    lines.push(Array.isArray(message) ? message.map(String).join(" ") : String(message))
  })
  const program = runAgent({
    pool: options.pool ?? poolName,
    queues: options.queues ?? [],
    createPool: false,
    baseJobTemplate: undefined,
    injected: { ...injected, gvc: "gvc" in options ? options.gvc : gvc },
    settings: settingsWith(options.settings),
    workerName: name,
    agentLink: options.link ?? name,
    prefectSettings: { PREFECT_API_URL: "http://prefect.test/api", ...options.prefectSettings },
    environment: {}
  }).pipe(
    Effect.provide(
      Layer.mergeAll(prefectFor(world, line), controlPlaneFor(world, line), Logger.layer([logger]))
    ),
    Effect.provideService(References.MinimumLogLevel, "Debug"),
    Effect.onExit(() => Effect.sync(() => (ended = true)))
  )
  const fiber = yield* Effect.forkDetach(program)
  return {
    name,
    lines,
    // Not waited for: the drain needs time, and the test owns it.
    stop: Effect.asVoid(Effect.forkDetach(Fiber.interrupt(fiber))),
    hasEnded: () => ended,
    kill: Effect.sync(() => {
      dead = true
    }),
    pause: gate.close,
    resume: gate.open
  }
})
