/**
 * Faults of log lines, between their printing and their arrival in the log service.
 *
 * Invariant: a line that arrives late keeps its stamp, as it does with the service: only readers that go by arrival can tell.
 */
import { Clock, Effect, Layer } from "effect"
import type { JsonObject } from "../json.ts"
import { LogStore, type NewLine } from "../logs/log-store.ts"
import type { Labels } from "../logs/logql.ts"
import { Scheduler } from "../scheduler.ts"
import { Store } from "../store.ts"
import { Faults, numberIn, type Subject } from "./faults.ts"

/** How many lines a stream had in this second. */
interface Rate {
  readonly second: number
  readonly lines: number
}

const none: JsonObject = {}
const commandOf = /^command-([0-9a-f-]{36})-/u

const make = Effect.gen(function* () {
  const base = yield* LogStore
  const faults = yield* Faults
  const store = yield* Store
  const scheduler = yield* Scheduler
  const clock = yield* Clock.Clock
  const rates = new WeakMap<Labels, Rate>()

  const subjectOf = ({ labels }: NewLine): Subject => ({
    workload: labels["workload"],
    container: labels["container"] ?? "",
    tags: () => {
      const id = commandOf.exec(labels["replica"] ?? "")?.[1]
      return (id === undefined ? undefined : store.live(id)?.tags) ?? none
    }
  })

  /** Whether the line is one too many; the first such line of a second leaves a mark. */
  const isTooMany = (line: NewLine, subject: Subject, now: number): boolean => {
    const fault = faults.choose("log-rate-limit", subject)
    if (fault === undefined) return false
    const second = Math.floor(now / 1000)
    const before = rates.get(line.labels)
    const lines = before?.second === second ? before.lines + 1 : 1
    rates.set(line.labels, { second, lines })
    const most = numberIn(fault, "lines")
    if (lines <= most) return false
    faults.fired(fault)
    if (lines === most + 1) {
      base.append({ ...line, line: `#### Replica logs were rate-limited: over ${most} lines/s`, unread: 0 })
    }
    return true
  }

  const arriving = (line: NewLine): void => {
    const subject = subjectOf(line)
    const now = clock.currentTimeMillisUnsafe()
    if (faults.has("log-rate-limit") && isTooMany(line, subject, now)) return
    const lag = faults.strike("log-lag", subject)
    const disorder = faults.strike("log-disorder", subject)
    const delay =
      (lag === undefined ? 0 : faults.time(lag)) + (disorder === undefined ? 0 : faults.within(disorder))
    const isTwice = faults.strike("log-doubled", subject) !== undefined
    const arrive = () => {
      base.append({ ...line, keepsStamp: true })
      if (isTwice) base.append({ ...line, keepsStamp: true })
    }
    if (delay === 0) arrive()
    else scheduler.plan(now + delay, Effect.sync(arrive))
  }

  return LogStore.of({
    ...base,
    append: (line) => {
      if (line.line === "" || !faults.has("log-lag", "log-doubled", "log-disorder", "log-rate-limit")) {
        return base.append(line)
      }
      arriving(line)
    }
  })
})

/** The log store that is provided to it, with lines that have a way to go. */
export const layer: Layer.Layer<LogStore, never, Faults | LogStore | Scheduler | Store> = Layer.effect(
  LogStore,
  make
)
