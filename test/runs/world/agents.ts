/**
 * Real agents in a modelled world: the program as it starts from the command line, with its own clients.
 *
 * Invariant: an agent reaches the world through its own view of the services only, so that it can be killed at any await
 * (no call of it is answered or takes effect from then on), paused, or asked to stop.
 */
import {
  Clock,
  Duration,
  Effect,
  Fiber,
  identity,
  Latch,
  Layer,
  Logger,
  Redacted,
  References,
  Schedule
} from "effect"
import type { ServiceName } from "../../../src/http/errors.ts"
import { runAgent } from "../../../src/agent/agent.ts"
import { Flight } from "../../../src/runs/flight/flight.ts"
import { resolve, type SettingKey, type Settings } from "../../../src/settings.ts"
import type { Call, Line } from "./faults.ts"
import { controlPlaneFor } from "./platform-service.ts"
import { prefectFor } from "./prefect-service.ts"
import { gvc, location, org, poolName, type World } from "./world.ts"

export interface AgentOptions {
  readonly settings?: Partial<Record<SettingKey, string>>
  readonly pool?: string
  readonly queues?: ReadonlyArray<string>
  /** Of the version of this agent: without a GVC it refuses what others run. */
  readonly gvc?: string | undefined
  /** What its container gives it beside that: false for nothing, as on a machine outside of Control Plane. */
  readonly injects?: boolean
  /** Of its process, beside the address of the server. */
  readonly prefectSettings?: Readonly<Record<string, string>>
  /** Value of the tag `cpln/prefectAgent`; the name unless given. */
  readonly link?: string
  /** Where something starts the program again that could not start, as a platform does: after so many seconds. */
  readonly restarts?: number
  /** How far its own clock is ahead of the true time, in ms. */
  readonly clock?: number
}

/** One call of an agent: the `nth` of the service, or of that name, counted from 1 and from when it is set. */
export interface Await {
  readonly service: ServiceName
  readonly name?: string
  readonly nth: number
  /** Of its effect. */
  readonly when: "before" | "after"
}

export interface Agent {
  readonly name: string
  /** What it printed, oldest first. */
  readonly lines: ReadonlyArray<string>
  /** Those of them that are shown at debug only. */
  readonly debugLines: ReadonlyArray<string>
  /** SIGTERM: the program ends in its own time. */
  readonly stop: Effect.Effect<void>
  readonly hasEnded: () => boolean
  /** When it was first told to end or killed, by the true time in ms since 1970. */
  readonly leftAt: () => number | undefined
  /** From when to when it was paused, by the true time in ms since 1970. */
  readonly frozen: () => ReadonlyArray<{ readonly from: number; readonly to: number }>
  /** SIGKILL: nothing that it does takes effect any more. */
  readonly kill: Effect.Effect<void>
  /** SIGSTOP: what it does takes effect once it is resumed, and its timers go off no sooner. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** How far its own clock is ahead of the true time from now on, in ms; timers do not care. */
  readonly setClock: (ahead: number) => Effect.Effect<void>
  /** Does that at that call, once, and before anything else happens; returns how to forget it. */
  readonly onceAt: (where: Await, what: Effect.Effect<void>) => () => void
  /** Whether all of these were reached. */
  readonly waitsFor: () => number
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

const nothing = { org: undefined, gvc: undefined, location: undefined, token: undefined }

export const startAgent = Effect.fnUntraced(function* (
  world: World,
  name: string,
  options: AgentOptions = {}
): Effect.fn.Return<Agent> {
  const lines: Array<string> = []
  const debugLines: Array<string> = []
  const gate = yield* Latch.make(true)
  const own = { ahead: options.clock ?? 0 }
  const traps = new Set<{ where: Await; left: number; what: Effect.Effect<void> }>()
  let dead = false
  let ended = false
  let leftAt: number | undefined
  const frozen: Array<{ readonly from: number; to: number }> = []
  const line: Line = {
    by: `agent ${name}`,
    gate: Effect.suspend(() => (dead ? Effect.never : gate.await)),
    at: (call, when) => {
      for (const trap of traps) {
        if (trap.where.when !== when || !isOf(call, trap.where)) continue
        if (--trap.left > 0) continue
        traps.delete(trap)
        return Effect.andThen(trap.what, line.gate)
      }
      return Effect.void
    }
  }
  // Where it is started from a call of another agent, that one's clock stands still.
  const trueClock = world.faults.clock ?? (yield* Clock.clockWith(Effect.succeed))
  const clock = ownClock(trueClock, own, line.gate)
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    const line = Array.isArray(message) ? message.map(String).join(" ") : String(message)
    lines.push(line)
    if (logLevel === "Debug") debugLines.push(line)
  })
  const program = runAgent({
    pool: options.pool ?? poolName,
    queues: options.queues ?? [],
    createPool: false,
    baseJobTemplate: undefined,
    injected:
      options.injects === false
        ? { ...nothing, endpoint: injected.endpoint }
        : { ...injected, gvc: "gvc" in options ? options.gvc : gvc },
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
    // The caller's, wherever the process is started from.
    Effect.provideService(Flight, yield* Flight),
    Effect.provideService(Clock.Clock, clock),
    options.restarts === undefined
      ? identity
      : Effect.retry({ schedule: Schedule.spaced(Duration.seconds(options.restarts)) }),
    Effect.onExit(() => Effect.sync(() => (ended = true)))
  )
  // A process of its own: where it is started from a call of another agent, nothing of that one is handed on.
  const fiber = yield* Effect.sync(() => Effect.runForkWith(world.context)(program))
  return {
    name,
    lines,
    debugLines,
    // Not waited for: the drain needs time, and the test owns it.
    stop: Effect.suspend(() => {
      leftAt ??= trueClock.currentTimeMillisUnsafe()
      return Effect.asVoid(Effect.forkDetach(Fiber.interrupt(fiber)))
    }),
    hasEnded: () => ended,
    leftAt: () => leftAt,
    kill: Effect.sync(() => {
      leftAt ??= trueClock.currentTimeMillisUnsafe()
      dead = true
    }),
    frozen: () => frozen,
    pause: Effect.andThen(
      gate.close,
      Effect.sync(() => void frozen.push({ from: trueClock.currentTimeMillisUnsafe(), to: Infinity }))
    ),
    resume: Effect.andThen(
      Effect.sync(() => {
        const last = frozen.at(-1)
        if (last !== undefined) last.to = Math.min(last.to, trueClock.currentTimeMillisUnsafe())
      }),
      gate.open
    ),
    setClock: (ahead) => Effect.sync(() => void (own.ahead = ahead)),
    onceAt: (where, what) => {
      const trap = { where, left: where.nth, what }
      traps.add(trap)
      return () => void traps.delete(trap)
    },
    waitsFor: () => traps.size
  }
})

const isOf = (call: Call, { name, service }: Await): boolean =>
  call.service === service && (name === undefined || call.name === name)

/** The clock of one machine: what it shows may be wrong and may jump, what it measures is right. */
const ownClock = (
  world: Clock.Clock,
  own: { readonly ahead: number },
  gate: Effect.Effect<void>
): Clock.Clock => {
  const millis = () => world.currentTimeMillisUnsafe() + own.ahead
  const nanos = () => world.currentTimeNanosUnsafe() + BigInt(Math.round(own.ahead)) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => world.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: world.monotonicTimeNanos,
    sleep: (duration) => Effect.andThen(world.sleep(duration), gate)
  }
}
