/**
 * A service that refuses for a while: runs that live through it, end in it, become due in it and are cancelled in it, and
 * what became of each, from the records of both services.
 */
import { Effect } from "effect"
import { audit } from "../chaos/audit.ts"
import type { Breakage } from "../chaos/fault-proxy.ts"
import { endedAgents, recordsOf, steady } from "../chaos/records.ts"
import { told } from "../chaos/told.ts"
import { Broken } from "../suite.ts"
import { type Ground, interval, place, pool } from "./ground.ts"

export interface Storm {
  readonly service: "Prefect" | "Control Plane"
  readonly ways: ReadonlyArray<Breakage>
  readonly seconds: number
  /** All requests unless given. */
  readonly which?: (method: string, path: string) => boolean
}

const times = <A, E>(count: number, one: Effect.Effect<A, E>) =>
  Effect.forEach(Array.from({ length: count }), () => one)

export const storm = Effect.fnUntraced(function* (here: Ground, { seconds, service, ways, which }: Storm) {
  const { agent, cpln, prefect } = here
  const proxy = service === "Prefect" ? here.toPrefect : here.toCpln
  const cancelled = yield* times(2, here.run({ seconds: 3600, deaf: true }))
  const longer = yield* times(2, here.run({ seconds: seconds + 10 }))
  const ends = yield* times(2, here.run({ seconds: seconds / 2 }))
  const dies = yield* times(1, here.run({ seconds: seconds / 2, ends: "silent", exit: 137 }))
  const early = [...cancelled, ...longer, ...ends, ...dies]
  yield* here.running(early)

  const before = { ...proxy.broken() }
  const asked = proxy.requests()
  proxy.break(1, ways, which)
  const due = yield* times(8, here.run({ seconds: 1 }))
  yield* Effect.forEach(cancelled, (id) => steady(prefect.cancel(id)))
  yield* Effect.sleep(seconds * 1000)
  proxy.break(0, [])
  const over = Date.now()
  const requests = proxy.requests() - asked

  const ids = [...early, ...due]
  const settledIn = yield* here.settled(interval + 60, ids)
  const records = (yield* recordsOf(pool, cpln, prefect, place)).filter(({ run }) => ids.includes(run.id))
  const starts = records
    .filter(({ run }) => due.includes(run.id))
    .map(({ commands }) => (Date.parse(commands.at(-1)?.created ?? "") - over) / 1000)
  const violation = (promise: string) => (seen: string) => ({ promise, run: "–", seen })
  const endOf = (which_: ReadonlyArray<string>, type: string) =>
    records
      .filter(({ run }) => which_.includes(run.id) && run.state_type !== type)
      .map(({ run }) => ({
        promise: `it is ${type}`,
        run: run.id,
        seen: `${run.state_type} ${run.state.message}`
      }))
  const violations = [
    ...records.flatMap((record) => audit(record, { settle: 0, linger: (seconds + interval) * 1000 })),
    ...endOf([...longer, ...ends, ...due], "COMPLETED"),
    ...endOf(cancelled, "CANCELLED"),
    ...endOf(dies, "CRASHED"),
    ...records
      .filter(({ commands }) => commands.length !== 1)
      .map(({ commands, run }) => ({
        promise: "each run is started exactly once",
        run: run.id,
        seen: `${commands.length} jobs`
      })),
    ...starts
      .filter((after) => !(after < interval))
      .map((after) => violation("started within one interval")(`${after} s after the storm`)),
    ...ways
      .filter((way) => (proxy.broken()[way] ?? 0) === (before[way] ?? 0))
      .map(violation("every kind of trouble happened")),
    ...(yield* endedAgents([agent])).map(violation("the agent does not end"))
  ]
  console.log(
    `          ${requests} requests to ${service} in ${seconds} s of storm; afterwards the last start after ${Math.max(...starts).toFixed(1)} s, all settled after ${settledIn.toFixed(1)} s`
  )
  if (violations.length > 0) {
    return yield* new Broken({ text: told(violations, records, [agent], `a storm of ${service}`) })
  }
  return { requests, settledIn }
})
