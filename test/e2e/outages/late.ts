/**
 * Prefect's server is away while many runs become due, and comes back: what became of them, from the records of both
 * services, and how much the agent asked meanwhile and afterwards, as the proxies before the services counted it.
 */
import { Effect, Fiber } from "effect"
import { audit, type Recorded, tally, type Violation } from "../chaos/audit.ts"
import type { Came } from "../chaos/fault-proxy.ts"
import { endedAgents, recordsOf, steady } from "../chaos/records.ts"
import { told } from "../chaos/told.ts"
import { Broken } from "../suite.ts"
import { type Ground, place, pool } from "./ground.ts"

export interface Late {
  /** How many runs become due while nothing answers for so many seconds, or as long as it takes to make them. */
  readonly runs: number
  readonly away: number
  /** How many ask for a cancel while the late ones are started. */
  readonly cancels: number
}

export interface Figures {
  readonly away: number
  readonly askedWhileAway: number
  /** Of them those of the second half of that time. */
  readonly askedInSecondHalf: number
  /** Seconds from when the server answers again. */
  readonly firstStart: number
  readonly lastStart: number
  readonly settled: number
  readonly claimsAtOnce: number
  readonly startsInOneSecond: number
  readonly prefectAtOnce: number
  readonly controlPlaneAtOnce: number
  readonly prefectRequests: number
  readonly controlPlaneRequests: number
  /** Seconds from asking for a cancel to the stop of its job. */
  readonly stops: ReadonlyArray<number>
  readonly ended: Readonly<Record<string, number>>
  /** How many jobs were started in each ten seconds since the first one. */
  readonly ramp: ReadonlyArray<number>
  /** By route to Prefect since the server answers again: how many requests, and the seconds that they took together. */
  readonly routes: Readonly<Record<string, readonly [count: number, seconds: number]>>
  /** What the agent printed since the server answers again. */
  readonly lines: ReadonlyArray<string>
}

const hour = 3_600_000
const at = (text: string) => Date.parse(text)

/** The most intervals that have a moment in common. */
export const mostTogether = (intervals: ReadonlyArray<readonly [from: number, to: number]>): number => {
  const steps = intervals.flatMap(([from, to]) => [[from, 1] as const, [to, -1] as const])
  steps.sort(([a, up], [b, down]) => a - b || up - down)
  let now = 0
  return steps.reduce((most, [, step]) => Math.max(most, (now += step)), 0)
}

const mostInOneSecond = (times: ReadonlyArray<number>): number =>
  mostTogether(times.map((time) => [time, time + 1000]))

const between = (came: ReadonlyArray<Came>, from: number, to: number) =>
  came.filter(({ at: moment }) => moment >= from && moment < to).length

const routesOf = (came: ReadonlyArray<Came>): Figures["routes"] => {
  const found: Record<string, [count: number, seconds: number]> = {}
  for (const { route, took = 0 } of came) {
    const one = (found[route] ??= [0, 0])
    one[0] += 1
    one[1] += took / 1000
  }
  return found
}

const perTenSeconds = (times: ReadonlyArray<number>): ReadonlyArray<number> => {
  const first = Math.min(...times)
  const found: Array<number> = []
  for (const time of times) {
    const slot = Math.floor((time - first) / 10_000)
    found[slot] = (found[slot] ?? 0) + 1
  }
  return Array.from(found, (count = 0) => count)
}

const claimedAt = ({ states }: Recorded) =>
  states.flatMap(({ message, timestamp }) =>
    message?.startsWith("Claimed by") === true ? at(timestamp) : []
  )

export const lateRuns = Effect.fnUntraced(function* (here: Ground, { away, cancels, runs }: Late) {
  const { agent, cpln, prefect, server, toCpln, toPrefect } = here
  // Some live through it all, some end meanwhile, with and without a report.
  const long = yield* Effect.forEach(Array.from({ length: cancels }), () =>
    here.run({ seconds: 3600, deaf: true })
  )
  const ends = yield* Effect.forEach(Array.from({ length: 4 }), () => here.run({ seconds: away / 2 }))
  const dies = yield* Effect.forEach(Array.from({ length: 2 }), () =>
    here.run({ seconds: away / 2, ends: "silent", exit: 137 })
  )
  const early = [...long, ...ends, ...dies]
  yield* here.running(early)

  toPrefect.break(1, ["reset before"])
  const from = performance.now()
  const late = yield* Effect.forEach(
    Array.from({ length: runs }),
    // As after an outage of an hour.
    (_, index) => here.run({ seconds: 1 }, new Date(Date.now() - (hour * (runs - index)) / runs)),
    { concurrency: 4 }
  )
  yield* Effect.sleep(Math.max(0, away * 1000 - (performance.now() - from)))
  // The server itself goes and comes as well.
  yield* server.restart()
  const back = performance.now()
  const backAt = Date.now()
  const printed = agent.output().length
  const asked = { prefect: toPrefect.requests(), controlPlane: toCpln.requests() }
  toPrefect.break(0, [])

  const cancelled = yield* Effect.forkChild(
    Effect.forEach(
      long,
      Effect.fnUntraced(function* (id) {
        yield* Effect.sleep("1500 millis")
        const since = Date.now()
        yield* steady(prefect.cancel(id))
        return [id, since] as const
      })
    )
  )
  const settled = yield* here.settled(90 + runs)

  const records = yield* recordsOf(pool, cpln, prefect, place)
  const isLate = new Set(late)
  const started = records.filter(({ run }) => isLate.has(run.id))
  const starts = started.flatMap(({ commands }) => commands.map(({ created }) => at(created)))
  const stopsAsked = yield* Fiber.join(cancelled)
  const stopCommands = (yield* Effect.forEach(yield* cpln.workloads(place), ({ name }) =>
    cpln.commands(place, name)
  ))
    .flat()
    .filter(({ type }) => type === "stopReplica") as ReadonlyArray<StopCommand>
  const figures: Figures = {
    away: (back - from) / 1000,
    askedWhileAway: between(toPrefect.came(), from, back),
    askedInSecondHalf: between(toPrefect.came(), (from + back) / 2, back),
    firstStart: (Math.min(...starts) - backAt) / 1000,
    lastStart: (Math.max(...starts) - backAt) / 1000,
    settled,
    claimsAtOnce: mostTogether(
      started.flatMap((record) => {
        const created = record.commands[0]?.created
        return created === undefined ? [] : claimedAt(record).map((claim) => [claim, at(created)] as const)
      })
    ),
    startsInOneSecond: mostInOneSecond(starts),
    prefectAtOnce: toPrefect.mostAtOnce(),
    controlPlaneAtOnce: toCpln.mostAtOnce(),
    prefectRequests: toPrefect.requests() - asked.prefect,
    controlPlaneRequests: toCpln.requests() - asked.controlPlane,
    stops: stopsAsked.flatMap(([id, since]) => {
      const job = records.find(({ run }) => run.id === id)?.commands[0]?.id ?? "none"
      const stop = stopCommands.find(({ spec }) => spec.replica?.includes(job) === true)
      return stop === undefined ? [] : [(at(stop.created) - since) / 1000]
    }),
    ended: tally(records),
    ramp: perTenSeconds(starts),
    routes: routesOf(toPrefect.came().slice(asked.prefect)),
    lines: agent.output().slice(printed).split("\n")
  }
  const terms = { settle: 0, linger: (away + 180 + runs / 3) * 1000 }
  const violations = [
    ...records.flatMap((record) => audit(record, terms)),
    ...violationsOf(started, runs, records, { long, ends, dies }),
    ...toPrefect.forced().map((seen) => ({ promise: "no request says force: true", run: "–", seen })),
    ...(yield* endedAgents([agent])).map((seen) => ({ promise: "the agent does not end", run: "–", seen }))
  ]
  if (violations.length > 0) {
    const title = `${runs} late runs, ${JSON.stringify(tally(records))}`
    return yield* new Broken({ text: told(violations, records, [agent], title) })
  }
  return figures
})

interface StopCommand {
  readonly created: string
  readonly spec: { readonly replica?: string }
}

const violationsOf = (
  late: ReadonlyArray<Recorded>,
  wanted: number,
  all: ReadonlyArray<Recorded>,
  { dies, ends, long }: Readonly<Record<"long" | "ends" | "dies", ReadonlyArray<string>>>
): ReadonlyArray<Violation> => {
  const lost = wanted - late.length
  const endOf = (ids: ReadonlyArray<string>, type: string) =>
    all
      .filter(({ run }) => ids.includes(run.id) && run.state_type !== type)
      .map(({ run }) => ({
        promise: `it is ${type}`,
        run: run.id,
        seen: `${run.state_type} ${run.state.message}`
      }))
  return [
    ...(lost === 0 ? [] : [{ promise: "no run is lost", run: "–", seen: `${lost} of ${wanted}` }]),
    ...late
      .filter(({ commands }) => commands.length !== 1)
      .map(({ commands, run }) => ({
        promise: "each run is started exactly once",
        run: run.id,
        seen: `${commands.length} jobs`
      })),
    ...late
      .filter((record) => claimedAt(record).length !== 1)
      .map((record) => ({
        promise: "each run is claimed exactly once",
        run: record.run.id,
        seen: `${claimedAt(record).length} claims`
      })),
    ...endOf([...late.map(({ run }) => run.id), ...ends], "COMPLETED"),
    ...endOf(dies, "CRASHED"),
    ...endOf(long, "CANCELLED")
  ]
}
