/**
 * A log service of our own for the relay's tests, and what the relay prints of it. Lines arrive in the order in which they
 * are sent here, whatever their stamps say; a tail has what arrives while it stands, as the real one does.
 */
import { Cause, Duration, Effect, Layer, LayerMap, Logger, Queue, Redacted, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Access, ControlPlane } from "../../src/cpln/control-plane.ts"
import { type LogLine, Logs } from "../../src/cpln/logs.ts"
import { type Place, placeKey } from "../../src/cpln/place.ts"
import { WorkloadRef } from "../../src/cpln/schemas.ts"
import { parseQuery } from "../../src/emulator/logs/logql.ts"
import { Unavailable } from "../../src/http/errors.ts"
import { type Job, Relay } from "../../src/logs/relay.ts"

/** When the tests begin, in ms. */
export const dawn = Date.UTC(2026, 5, 1)

export const placeOf = (workload: string, org = "acme"): Place => ({
  access: new Access({ endpoint: "http://control-plane.test", org, token: Redacted.make("t") }),
  workload: new WorkloadRef({ org, gvc: "dev", name: workload })
})

export const keyOf = (workload: string): string => placeKey(placeOf(workload))

/** The id of the job with this number. */
export const idOf = (job: number): string => `00000000-0000-4000-8000-${String(job).padStart(12, "0")}`

export const jobOf = (job: number, more: Partial<Job> & { readonly workload?: string } = {}): Job => ({
  place: placeOf(more.workload ?? "runner"),
  commandId: idOf(job),
  created: dawn,
  runId: `run-${job}`,
  flow: "etl",
  streamOutput: true,
  ...more
})

export interface Print {
  readonly job: number
  readonly line: string
  /** In ms since the dawn; the stamp of the line, and not when it arrives. */
  readonly at: number
  /** Of a millisecond, in ns. */
  readonly nanos?: number
  readonly stream?: "stdout" | "stderr"
  readonly replica?: string
  readonly workload?: string
}

type Frames = Queue.Queue<ReadonlyArray<LogLine>, Unavailable | Cause.Done>

interface Tail {
  readonly selects: (labels: LogLine["labels"]) => boolean
  readonly frames: Frames
}

const byTime = (a: LogLine, b: LogLine): number => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)

const refused = new Unavailable({
  service: "Control Plane",
  request: "GET /logs",
  detail: "cut",
  mayHaveHappened: true
})

/** Labels are the same object for all lines of a stream: each is looked at once for a query. */
const selectorOf = (query: string) => {
  const { selects } = Result.getOrThrow(parseQuery(query))
  const known = new Map<LogLine["labels"], boolean>()
  return (labels: LogLine["labels"]) => {
    const found = known.get(labels) ?? selects(labels)
    known.set(labels, found)
    return found
  }
}

export interface ServiceSettings {
  /** How long an answer takes, in ms: what arrives in that time is not in it. */
  readonly latency?: number
  /** How long a tail takes to stand, in ms. */
  readonly opening?: number
}

export const makeService = ({ latency = 0, opening = 0 }: ServiceSettings = {}) => {
  const lines: Array<LogLine> = []
  const tails = new Set<Tail>()
  const labels = new Map<string, LogLine["labels"]>()
  const asked: Array<{ readonly kind: "range" | "tail"; readonly query: string; readonly start: bigint }> = []
  const state = { down: false, tailsDown: false, failEvery: 0, mostTails: 0 }
  let reads = 0

  const labelsOf = ({ job, stream = "stdout", replica = "x", workload = "runner" }: Print) => {
    const key = `${workload} ${job} ${replica} ${stream}`
    const known = labels.get(key) ?? {
      gvc: "dev",
      workload,
      container: "main",
      replica: `command-${idOf(job)}-${replica}`,
      stream
    }
    labels.set(key, known)
    return known
  }

  const logs = Logs.of({
    range: (ask) =>
      Effect.gen(function* () {
        asked.push({ kind: "range", query: ask.query, start: ask.start })
        yield* Effect.sleep(latency / 2)
        reads++
        if (state.down || (state.failEvery > 0 && reads % state.failEvery === 0)) return yield* refused
        const selects = selectorOf(ask.query)
        const found = lines
          .filter((each) => selects(each.labels) && each.at >= ask.start && each.at < ask.end)
          .toSorted(byTime)
        yield* Effect.sleep(latency / 2)
        return ask.newest === true ? found.slice(-ask.limit) : found.slice(0, ask.limit)
      }),
    tail: (ask) =>
      Stream.unwrap(
        Effect.gen(function* () {
          asked.push({ kind: "tail", query: ask.query, start: ask.start })
          yield* Effect.sleep(opening)
          if (state.down || state.tailsDown) return yield* refused
          const frames = yield* Queue.unbounded<ReadonlyArray<LogLine>, Unavailable | Cause.Done>()
          const selects = selectorOf(ask.query)
          const tail: Tail = { selects, frames }
          const past = lines
            .filter((each) => selects(each.labels) && each.at >= ask.start)
            .toSorted(byTime)
            .slice(-999)
          if (past.length > 0) Queue.offerUnsafe(frames, past)
          yield* Effect.acquireRelease(
            Effect.sync(() => {
              tails.add(tail)
              state.mostTails = Math.max(state.mostTails, tails.size)
            }),
            () => Effect.sync(() => tails.delete(tail))
          )
          return Stream.fromQueue(frames).pipe(Stream.interruptWhen(Effect.sleep(Duration.minutes(30))))
        })
      ).pipe(Stream.scoped)
  })

  return {
    logs,
    asked,
    state,
    tails: () => tails.size,
    /** Lines arrive, as one frame for each tail that is meant. */
    arrive: (...prints: ReadonlyArray<Print>) =>
      Effect.sync(() => {
        const arrived = prints.map((print): LogLine => ({
          at: BigInt(dawn + print.at) * 1_000_000n + BigInt(print.nanos ?? 0),
          line: print.line,
          labels: labelsOf(print)
        }))
        lines.push(...arrived)
        for (const { frames, selects } of tails) {
          const meant = arrived.filter((each) => selects(each.labels))
          if (meant.length > 0) Queue.offerUnsafe(frames, meant)
        }
      }),
    /** All sessions end: as the service ends them after their time, or by a break. */
    cut: (how: "end" | "break") =>
      Effect.sync(() => {
        for (const { frames } of tails) {
          if (how === "end") Queue.endUnsafe(frames)
          else Queue.failCauseUnsafe(frames, Cause.fail(refused))
        }
      })
  }
}

export type Service = ReturnType<typeof makeService>

const controlPlane = (service: Service) =>
  Layer.effect(
    ControlPlane,
    LayerMap.make((_access: Access) => Layer.succeed(Logs, service.logs)) as never
  ) as Layer.Layer<ControlPlane>

/** What was printed, as `<command> <line>`; and all that was said, at any level. */
export interface Printed {
  readonly lines: Array<{ readonly command: string; readonly line: string; readonly whole: string }>
  readonly said: Array<string>
}

/** Runs a test with a relay over this service, from the dawn on. */
export const withRelay = <A, E>(
  service: Service,
  test: (relay: Relay["Service"], printed: Printed) => Effect.Effect<A, E>,
  jobLogs?: "stdout" | "off"
) => {
  const printed: Printed = { lines: [], said: [] }
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    const whole = Array.isArray(message) ? message.join(" ") : String(message)
    const found = /^\[CPLN\] Logs \| .*?Cmd: (\S+) > (.*)$/su.exec(whole)
    if (logLevel === "Info" && found !== null) {
      printed.lines.push({ command: found[1]!, line: found[2]!, whole })
    } else printed.said.push(`${logLevel} ${whole}`)
  })
  return Effect.gen(function* () {
    yield* TestClock.setTime(dawn)
    return yield* Effect.flatMap(Relay, (relay) => test(relay, printed)).pipe(
      Effect.provide(Relay.layer(jobLogs).pipe(Layer.provide(controlPlane(service))))
    )
  }).pipe(Effect.provide(Logger.layer([logger])))
}

/** Texts of one job, in the order in which they were printed. */
export const linesOf = (printed: Printed, job: number): ReadonlyArray<string> =>
  printed.lines.filter(({ command }) => command === idOf(job)).map(({ line }) => line)

/** Goes on in small steps, so that what waits for what is settled in between. */
export const pass = (seconds: number) =>
  Effect.gen(function* () {
    for (let left = seconds * 1_000; left > 0; left -= 250) yield* TestClock.adjust(Math.min(left, 250))
  })

export type RelayService = Relay["Service"]

export const ids = (...jobs: ReadonlyArray<number>) => new Set(jobs.map(idOf))

/** Looks every five seconds that show these jobs live. */
export const look = (relay: RelayService, seconds: number, ...jobs: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    for (let gone = 0; gone < seconds; gone += 5) {
      yield* relay.retain(ids(...jobs))
      yield* pass(5)
    }
  })

export const numbered = (count: number, of: (n: number) => Print): ReadonlyArray<Print> =>
  Array.from({ length: count }, (_, n) => of(n))

export const texts = (prints: ReadonlyArray<Print>) => prints.map(({ line }) => line)
