/**
 * The ground of the tests of outages: a Prefect server, an emulator of virtual jobs and one agent, which reaches either
 * service only through a proxy; the engine's double and the operator go past the proxies.
 *
 * Invariant: everything has a process of its own, so that a test may end the server and saturate it.
 */
import { join } from "node:path"
import { Effect, Schedule } from "effect"
import { access, agentCommand, online, startAgent } from "../../../scripts/local/agent.ts"
import { emulator, ensureGvc, type Place, startCommands } from "../../../scripts/local/control-plane.ts"
import { register } from "../../../scripts/local/deployments.ts"
import { json } from "../../../scripts/local/http.ts"
import { isFinal, operator, prefectServer } from "../../../scripts/local/prefect-server.ts"
import type { Venv } from "../../../scripts/local/prefect-venv.ts"
import { faultProxy } from "../chaos/fault-proxy.ts"
import { steady } from "../chaos/records.ts"
import { relay } from "../chaos/relay.ts"
import { restarting } from "../chaos/restarts.ts"
import { startEngine } from "../engine.ts"

export interface GroundOptions {
  readonly venv: Venv
  /** An empty folder of its own. */
  readonly folder: string
  readonly agent: ReadonlyArray<string>
  readonly flags?: ReadonlyArray<string>
  readonly serverEnv?: Readonly<Record<string, string>>
  readonly emulatorArgs?: ReadonlyArray<string>
}

export const pool = "outages"
export const place: Place = { org: "demo", gvc: "flows", location: "aws-us-west-2" }

/** Seconds of the monitor interval, the usual one: in one of them all is well again. */
export const interval = 60

export const ground = Effect.fnUntraced(function* (options: GroundOptions) {
  const { agent, emulatorArgs = [], flags = [], folder, serverEnv = {}, venv } = options
  const server = yield* restarting(() => prefectServer(venv, join(folder, "prefect"), serverEnv))
  const direct = yield* relay(() => Number(new URL(server.current().ui).port))
  const prefect = operator(`${direct.url}/api`)
  const cpln = yield* emulator({
    agent,
    home: join(folder, "emulator"),
    args: ["--mode", "virtual", ...emulatorArgs]
  })
  yield* ensureGvc(cpln, place)
  const toPrefect = yield* faultProxy(() => direct.url, Math.random)
  const toCpln = yield* faultProxy(() => cpln.url, Math.random)
  const env = access({ api: `${toPrefect.url}/api` }, { url: toCpln.url, token: cpln.token })
  const places = ["--org", place.org, "--gvc", place.gvc, "--location", place.location]
  yield* agentCommand({ agent, args: ["pool", "create", pool, ...places], home: join(folder, "pool"), env })
  yield* startEngine(folder, prefect.api, cpln)
  const started = yield* startAgent({
    agent,
    // What jobs print would come over WebSockets, which do not pass the proxies.
    args: ["--pool", pool, "--name", pool, "--job-logs", "off", "--cancel-grace", "1", ...flags],
    home: join(folder, "agent"),
    env
  })
  yield* online(started, prefect, pool)
  const deployment = yield* register(prefect, {
    name: "outages",
    pool,
    source: folder,
    entrypoint: "flows.py:completes"
  })
  const run = (parameters: Readonly<Record<string, unknown>>, due = new Date()) =>
    steady(
      prefect.run(deployment, {
        parameters,
        state: { type: "SCHEDULED", state_details: { scheduled_time: due.toISOString() } }
      })
    ).pipe(Effect.map(({ id }) => id))
  /** By run id, all start commands in the order of their creation. */
  const jobs = startCommands(cpln, place).pipe(
    Effect.map((all) => {
      const found = new Map<string, Array<(typeof all)[number]["command"]>>()
      for (const { command } of all) {
        const id = command.tags?.["prefect.io/flow-run-id"] ?? "none"
        found.set(id, [...(found.get(id) ?? []), command])
      }
      return found
    })
  )
  /** Returns when all of them run. */
  const running = (ids: ReadonlyArray<string>) =>
    prefect.flowRuns(pool).pipe(
      Effect.repeat({
        until: (all) => ids.every((id) => all.some((run) => run.id === id && run.state_type === "RUNNING")),
        schedule: Schedule.spaced("300 millis")
      }),
      Effect.timeout("60 seconds")
    )
  /** Seconds until all of them, or all there are, and their jobs are over; as many as `within` when they are not. */
  const settled = (within: number, ids?: ReadonlyArray<string>) => {
    const from = performance.now()
    const open = Effect.gen(function* () {
      const runs = yield* steady(prefect.flowRuns(pool))
      const left = runs.filter((run) => !isFinal(run) && (ids === undefined || ids.includes(run.id)))
      if (left.length > 0) return left.length
      const commands = [...(yield* jobs).values()].flat()
      return commands.filter(
        ({ lifecycleStage: stage }) => !["completed", "failed", "cancelled"].includes(stage)
      ).length
    })
    return open.pipe(
      Effect.repeat({ until: (count) => count === 0, schedule: Schedule.spaced("1 seconds") }),
      Effect.timeoutOption(`${within} seconds`),
      Effect.map(() => (performance.now() - from) / 1000)
    )
  }
  const faults = (asked: ReadonlyArray<Record<string, unknown>>) =>
    json("POST", `${cpln.url}/emulator/faults`, asked, { authorization: `Bearer ${cpln.token}` })
  return {
    prefect,
    server,
    cpln,
    toPrefect,
    toCpln,
    agent: started,
    deployment,
    run,
    running,
    settled,
    faults
  }
})

export type Ground = Effect.Success<ReturnType<typeof ground>>
