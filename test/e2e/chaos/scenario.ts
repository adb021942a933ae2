/**
 * One scenario from the first run to the verdict: runs of a real Python flow and many of engine doubles, trouble for a
 * while, then quiet until all is settled, then the audit.
 *
 * Invariant: every choice comes from one seed, which is printed; what the trouble really did is printed too, and a
 * scenario in which something that it promises never happened has failed.
 */
import { join } from "node:path"
import { Effect, Fiber, Random, Schedule } from "effect"
import { type Place, startCommands } from "../../../scripts/local/control-plane.ts"
import { deploy, flowFolder, register } from "../../../scripts/local/deployments.ts"
import { json } from "../../../scripts/local/http.ts"
import { type FlowRun, isFinal, operator, prefectServer } from "../../../scripts/local/prefect-server.ts"
import type { Venv } from "../../../scripts/local/prefect-venv.ts"
import { startEngine } from "../engine.ts"
import { Broken } from "../suite.ts"
import { audit, leaks, tally, type Terms, type Violation } from "./audit.ts"
import { type Breakage, faultProxy } from "./fault-proxy.ts"
import { type Act, type Fleet, startFleet, times, trouble } from "./fleet.ts"
import { foreign } from "./foreign.ts"
import { endedAgents, recordsOf, steady } from "./records.ts"
import { relay } from "./relay.ts"
import { restarting } from "./restarts.ts"
import { told } from "./told.ts"

export interface Scenario {
  readonly name: string
  /** Seconds of trouble. */
  readonly seconds: number
  /** Runs that engine doubles play, and runs of a real flow. */
  readonly doubles: number
  readonly real: number
  readonly replicas: number
  /** What befalls each agent. */
  readonly hand: ReadonlyArray<Act>
  readonly restarts: ReadonlyArray<"Prefect" | "Control Plane">
  /** The share of requests that Prefect's server seems to fail, and in which ways. */
  readonly prefect: { readonly share: number; readonly ways: ReadonlyArray<Breakage> } | undefined
  /** Faults of the emulator, as it takes them. Each has to happen but what is in `byChance`. */
  readonly controlPlane: ReadonlyArray<Fault>
  /** The share of runs that somebody cancels. */
  readonly cancels: number
}

type Fault = Readonly<Record<string, unknown>> & { readonly what: string; readonly when?: string }

/** It takes a stop, and by then most jobs are over, killed by another fault, or gone with the restart. */
const byChance = ["deaf"]

const nameOf = ({ what, when }: Fault) => `fault ${what}${when === undefined ? "" : ` ${when}`}`

/** The first few of each kind come for sure, whatever the dice say; a job may be over before its trouble comes. */
const surely = (faults: ReadonlyArray<Fault>) => [
  ...new Map(
    faults.map((fault) => [nameOf(fault), { ...fault, probability: 1, times: 3 }] as const)
  ).values(),
  ...faults
]

export interface Ground {
  readonly venv: Venv
  readonly folder: string
  readonly agent: ReadonlyArray<string>
  readonly say: (text: string) => void
}

/** How long everything may take to settle once the trouble is over, in seconds. */
const settleWithin = 150

/** Runs that would never end. */
const stuck = 6

const doubleParameters = Effect.gen(function* () {
  const kind = yield* Random.next
  const seconds = (yield* Random.next) * 8
  const deaf = (yield* Random.next) < 0.3
  if (kind < 0.6) return { seconds, deaf }
  if (kind < 0.75) return { seconds, deaf, ends: "FAILED" }
  if (kind < 0.9) return { seconds, deaf, ends: "silent", exit: 137 }
  return { seconds, deaf, ends: "silent", exit: 0 }
})

export const play = Effect.fnUntraced(function* (scenario: Scenario, ground: Ground, seed: string) {
  const { agent, folder, say, venv } = ground
  const place: Place = { org: "demo", gvc: "flows", location: "aws-us-west-2" }
  const home = join(folder, "prefect")
  // One database; the port is another after each start. Only what the agents send is broken on its way.
  const server = yield* restarting(() => prefectServer(venv, home))
  const direct = yield* relay(() => Number(new URL(server.current().ui).port))
  const prefect = operator(`${direct.url}/api`)
  // The proxy draws in the order of requests, which no seed can fix; its own numbers are as good as any.
  const proxy = yield* faultProxy(() => direct.url, Math.random)
  const fleetOf = (pool: string, replicas: number, emulatorArgs: ReadonlyArray<string>, path?: string) =>
    startFleet({
      agent,
      folder,
      pool,
      place,
      replicas,
      prefect,
      prefectApi: `${proxy.url}/api`,
      emulatorArgs,
      ...(path === undefined ? {} : { path })
    })
  const doubles = yield* fleetOf("doubles", scenario.replicas, ["--mode", "virtual"])
  const real = scenario.real === 0 ? undefined : yield* fleetOf("real", 1, ["--mode", "exec"], venv.bin)
  const fleets = [doubles, ...(real === undefined ? [] : [real])]
  yield* prefect.createPool("of-others", "process")

  const source = flowFolder(folder)
  const entrypoint = "flows.py:completes"
  const double = yield* register(prefect, { name: "double", pool: "doubles", source, entrypoint })
  const others = yield* register(prefect, { name: "others", pool: "of-others", source, entrypoint })
  const python =
    real === undefined
      ? undefined
      : (yield* deploy(server.current(), [
          {
            name: "real",
            pool: "real",
            source,
            entrypoint,
            // Trouble is for the agents; their jobs talk to the server itself.
            job_variables: { env: { PREFECT_API_URL: prefect.api } }
          }
        ]))["real"]
  yield* startEngine(folder, prefect.api, doubles.cpln.current())

  const done: Record<string, number> = {}
  const count = (what: string, by = 1) => {
    done[what] = (done[what] ?? 0) + by
  }
  const ids: Array<string> = []
  const began = performance.now()
  const left = () => scenario.seconds * 1000 - (performance.now() - began)

  const cancelOne = Effect.fnUntraced(function* (id: string, force: boolean) {
    yield* steady(prefect.cancel(id, force))
    count(force ? "cancels by force" : "cancels asked")
  })

  /** A third is due at once, the others come while there is trouble. */
  const create = Effect.gen(function* () {
    const one = Effect.fnUntraced(function* (deployment: string, parameters: Record<string, unknown>) {
      const { id } = yield* steady(prefect.run(deployment, { parameters }))
      ids.push(id)
      return id
    })
    const reals = Effect.gen(function* () {
      if (python === undefined) return
      for (let index = 0; index < scenario.real; index++) {
        yield* one(python, { seconds: (yield* Random.next) * 6 })
        yield* Effect.sleep(Math.max(0, left()) / (scenario.real - index + 2))
      }
    })
    const atOnce = Math.floor(scenario.doubles / 3)
    const virtual = Effect.gen(function* () {
      yield* Effect.forEach(
        Array.from({ length: atOnce }),
        () => Effect.flatMap(doubleParameters, (parameters) => one(double, parameters)),
        { concurrency: 4, discard: true }
      )
      for (let index = atOnce; index < scenario.doubles; index++) {
        yield* one(double, yield* doubleParameters)
        yield* Effect.sleep((0.8 * Math.max(0, left())) / (scenario.doubles - index))
      }
    })
    /** Only a cancel ends these, and only a stop their jobs: of the others most are over before it comes to that. */
    const endless = Effect.gen(function* () {
      if (scenario.cancels === 0) return
      const runs = yield* Effect.forEach(Array.from({ length: stuck }), () =>
        one(double, { seconds: 3600, deaf: true })
      )
      for (const [index, id] of runs.entries()) {
        yield* Effect.sleep((yield* Random.next) * 4_000)
        const isRunning = ({ state_type: type }: FlowRun) => type === "RUNNING"
        yield* steady(prefect.waitFor(id, (run) => isRunning(run) || isFinal(run), 10))
        yield* cancelOne(id, index % 2 === 0)
      }
    })
    yield* Effect.all([reals, virtual, endless], { concurrency: "unbounded", discard: true })
  })

  const cancel = Effect.gen(function* () {
    const asked = new Set<string>()
    while (left() > 0) {
      yield* Effect.sleep((yield* Random.next) * 1500)
      if (asked.size >= ids.length * scenario.cancels) continue
      // Of the newest most wait or start, of the others most run or are over.
      const newest = ids.slice(-6)
      const id = yield* Random.choice((yield* Random.nextBoolean) ? newest : ids)
      if (id === undefined || asked.has(id)) continue
      asked.add(id)
      yield* cancelOne(id, asked.size % 2 === 0)
    }
  })

  const faults = Effect.fnUntraced(function* (fleet: Fleet) {
    if (scenario.controlPlane.length === 0) return
    const { token, url } = fleet.cpln.current()
    // A few real runs are soon all of them.
    const asked = fleet === doubles ? surely(scenario.controlPlane) : scenario.controlPlane
    yield* json("POST", `${url}/emulator/faults`, asked, { authorization: `Bearer ${token}` })
  })
  const noFaults = Effect.fnUntraced(function* (fleet: Fleet) {
    const { token, url } = fleet.cpln.current()
    const headers = { authorization: `Bearer ${token}` }
    const { items } = yield* json<{
      readonly items: ReadonlyArray<Fault & { readonly fired: number }>
    }>("GET", `${url}/emulator/faults`, undefined, headers)
    for (const fault of items) if (fault.fired > 0) count(nameOf(fault), fault.fired)
    yield* json("DELETE", `${url}/emulator/faults`, undefined, headers)
  })

  const services = Effect.gen(function* () {
    for (const [index, which] of scenario.restarts.entries()) {
      yield* Effect.sleep((scenario.seconds * 1000) / (scenario.restarts.length + 1.5))
      if (which === "Prefect") yield* server.restart()
      else {
        yield* Effect.forEach(fleets, noFaults)
        yield* Effect.forEach(fleets, ({ cpln }) => cpln.restart(500))
        yield* Effect.forEach(fleets, faults)
      }
      count(`restart of ${which}`)
      say(`${scenario.name}: restart ${index + 1}: ${which}`)
    }
  })

  /** Jobs of others stand in a workload of ours from the last restart of the platform on: it would end them. */
  const strangers = Effect.gen(function* () {
    const [job] = yield* startCommands(doubles.cpln.current(), place).pipe(
      Effect.repeat({ until: (found) => found.length > 0, schedule: Schedule.spaced("500 millis") })
    )
    return yield* foreign(prefect, doubles.cpln.current, place, job?.workload ?? "", others)
  })

  if (scenario.prefect !== undefined) proxy.break(scenario.prefect.share, scenario.prefect.ways)
  yield* Effect.forEach(fleets, faults)
  const making = yield* Effect.forkChild(create)
  const agents = fleets.flatMap((fleet) => fleet.agents)
  yield* Effect.all([cancel, services, ...agents.map((each) => trouble(each, scenario.hand, count))], {
    concurrency: "unbounded",
    discard: true
  })
  yield* Fiber.join(making)

  proxy.break(0, [])
  yield* Effect.forEach(fleets, noFaults)
  for (const [way, times_] of Object.entries(proxy.broken())) count(`Prefect: ${way}`, times_)
  const theirs = yield* steady(strangers)
  const quiet = performance.now()
  const open = Effect.gen(function* () {
    const runs = (yield* Effect.forEach(fleets, ({ pool }) => steady(prefect.flowRuns(pool)))).flat()
    const commands = (yield* Effect.forEach(fleets, ({ cpln }) =>
      startCommands(cpln.current(), place)
    )).flat()
    const live = commands.filter(
      ({ command: { id, lifecycleStage: stage } }) =>
        !theirs.commands.has(id) && !["completed", "failed", "cancelled"].includes(stage)
    )
    return { runs: runs.filter((run) => !isFinal(run)).length, jobs: live.length }
  })
  const after = yield* open.pipe(
    Effect.repeat({ until: ({ jobs, runs }) => runs + jobs === 0, schedule: Schedule.spaced("2 seconds") }),
    Effect.timeoutOrElse({ duration: `${settleWithin} seconds`, orElse: () => open })
  )
  const settledIn = (performance.now() - quiet) / 1000

  const records = (yield* Effect.forEach(fleets, ({ cpln, pool }) =>
    recordsOf(pool, cpln.current(), prefect, place)
  )).flat()
  const terms: Terms = {
    settle: (times.settle + times.interval) * 1000,
    linger: (times.mainLinger + times.launchDeadline + times.interval + 30) * 1000
  }
  const violations: Array<Violation> = records.flatMap((record) => audit(record, terms))
  const add = (promise: string, seen: ReadonlyArray<string>) =>
    violations.push(...seen.map((each) => ({ promise, run: "–", seen: each })))
  add("nothing that is not ours is touched", yield* theirs.touched)
  add("no request says force: true", proxy.forced())
  add("no agent ends by itself", yield* endedAgents(agents.map((each) => each.current())))
  const said = [
    // Each agent's log goes on where the one before it ended.
    ...agents.flatMap((each) => each.current().output().split("\n")),
    ...records.flatMap(({ states }) => states.map(({ message }) => message ?? ""))
  ]
  add("no token is said", [
    ...leaks(
      said,
      fleets.flatMap(({ secrets }) => [...secrets])
    )
  ])
  const lost = ids.length - records.length
  if (lost !== 0) add("no run is lost", [`${lost} of ${ids.length}`])
  const commands = records.reduce((sum, record) => sum + record.commands.length, 0)
  say(
    `${scenario.name}, seed ${seed}: ${records.length} runs, ${commands} jobs, settled ${settledIn.toFixed(0)} s after the trouble (${after.runs} runs and ${after.jobs} jobs open), ${proxy.requests()} requests to Prefect`
  )
  say(`  ended: ${listed(tally(records))}`)
  say(`  happened: ${listed(done)}`)
  const missing = [
    ...scenario.hand,
    ...scenario.restarts.map((which) => `restart of ${which}`),
    ...(scenario.prefect?.ways ?? []).map((way) => `Prefect: ${way}`),
    ...new Set(scenario.controlPlane.filter(({ what }) => !byChance.includes(what)).map(nameOf)),
    ...(scenario.cancels > 0 ? ["cancels asked", "cancels by force"] : [])
  ].filter((what) => done[what] === undefined)
  if (missing.length > 0) add("all of the trouble happened", missing)
  if (violations.length > 0) {
    const running = agents.map((each) => each.current())
    return yield* new Broken({ text: told(violations, records, running, `seed ${seed}`) })
  }
})

const listed = (counts: Readonly<Record<string, number>>) =>
  Object.entries(counts)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([what, times_]) => `${what} ${times_}`)
    .join(" · ")
