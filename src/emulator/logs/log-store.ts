/**
 * Every line that jobs printed, in memory, in the order in which it arrived; readers go by time or follow the arrival.
 *
 * Invariant: within one stream (one set of labels) the stamps of lines grow strictly. Memory is bounded: past the bound
 * the oldest lines go, whoever has not read them. A line that arrived is seen at once by all readers. Only lines that a fault
 * held back or doubled are exempt from the first rule: they keep the stamp that they have.
 */
import { Context, Effect, Layer } from "effect"
import { keptOf } from "./lines.ts"
import type { Labels, LogQuery } from "./logql.ts"
import { LogSettings } from "./settings.ts"

export interface NewLine {
  /** Nanoseconds since 1970. */
  readonly at: bigint
  readonly org: string
  /** gvc, workload, container, location, provider, replica, stream, version. */
  readonly labels: Labels
  readonly line: string
  /** Bytes of the line's end that were let go before it came here. */
  readonly unread?: number
  /** It may come after later lines of its stream, or a second time. */
  readonly keepsStamp?: boolean
}

export interface StoredLine {
  readonly at: bigint
  /** The same object for all lines of a stream. */
  readonly labels: Labels
  readonly line: string
}

export interface RangeAsk {
  readonly org: string
  readonly query: LogQuery
  /** Nanoseconds since 1970; inclusive. */
  readonly start: bigint
  /** Exclusive; undefined is no end. */
  readonly end: bigint | undefined
  readonly limit: number
  readonly direction: "forward" | "backward"
}

/** A reader that follows the arrival of lines. It holds no lines, only its place: being slow costs nothing. */
export interface Follower {
  /** Waits until something arrived that was not looked at yet. */
  readonly news: Effect.Effect<void>
  /** The next lines of the query in order of arrival, at most `limit`; empty when there are none now. */
  take(limit: number): ReadonlyArray<StoredLine>
  /** Lines of any query that went out of memory before this reader came to them. */
  readonly missed: () => number
}

export class LogStore extends Context.Service<
  LogStore,
  {
    /** Keeps the line; an empty one is dropped, one over 16 KiB is cut. */
    append(line: NewLine): void
    /** In order of time, or against it. */
    range(ask: RangeAsk): ReadonlyArray<StoredLine>
    /** Follows what arrives after this call. */
    follow(org: string, query: LogQuery): Follower
    readonly size: () => { readonly lines: number; readonly bytes: number }
  }
>()("emulator/logs/LogStore") {
  static readonly layer = Layer.effect(
    LogStore,
    Effect.gen(function* () {
      const { keepBytes } = yield* LogSettings
      return LogStore.of(makeLogStore(keepBytes))
    })
  )
}

interface LogStream {
  readonly org: string
  readonly key: string
  readonly labels: Labels
  /** In order of time, which is that of arrival. */
  readonly lines: Shelf<Entry>
  last: bigint
}

interface Entry extends StoredLine {
  readonly stream: LogStream
  readonly order: number
  readonly bytes: number
}

/** What a line costs beside its text, roughly, in bytes. */
const overhead = 160

/** A list that loses its oldest items; their room is given back now and then. */
class Shelf<A> {
  private items: Array<A | undefined> = []
  private gone = 0

  get length(): number {
    return this.items.length - this.gone
  }
  at(index: number): A | undefined {
    return this.items[this.gone + index]
  }
  push(item: A): void {
    this.items.push(item)
  }
  insert(index: number, item: A): void {
    this.items.splice(this.gone + index, 0, item)
  }
  dropOldest(): A | undefined {
    const oldest = this.items[this.gone]
    if (oldest === undefined) return undefined
    this.items[this.gone++] = undefined
    if (this.gone > 1024 && this.gone > this.items.length / 2) {
      this.items = this.items.slice(this.gone)
      this.gone = 0
    }
    return oldest
  }
}

const keyOf = (org: string, labels: Labels): string =>
  JSON.stringify([org, ...Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))])

/** The first line of the stream that is not before `at`. */
const firstFrom = (lines: Shelf<Entry>, at: bigint): number => {
  let low = 0
  let high = lines.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (lines.at(middle)!.at < at) low = middle + 1
    else high = middle
  }
  return low
}

const byTime = (a: Entry, b: Entry): number => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.order - b.order)

const makeLogStore = (keepBytes: number): LogStore["Service"] => {
  const all = new Shelf<Entry>()
  const streams = new Map<string, LogStream>()
  /** By org, then by workload: nearly every query names one. */
  const workloads = new Map<string, Map<string, Set<LogStream>>>()
  /** A job hands in the same object with each line, which saves comparing labels; a stream without lines is forgotten. */
  const byLabels = new WeakMap<Labels, LogStream>()
  const waiting = new Set<() => void>()
  let arrived = 0
  let bytes = 0

  const workloadOf = (labels: Labels): string => labels["workload"] ?? ""

  const streamOf = (org: string, labels: Labels): LogStream => {
    const recent = byLabels.get(labels)
    if (recent?.org === org && recent.lines.length > 0) return recent
    const key = keyOf(org, labels)
    const known = streams.get(key)
    if (known !== undefined) {
      byLabels.set(labels, known)
      return known
    }
    const made: LogStream = { org, key, labels: { ...labels }, lines: new Shelf(), last: -1n }
    streams.set(key, made)
    const inOrg = workloads.get(org) ?? new Map<string, Set<LogStream>>()
    workloads.set(org, inOrg)
    const ofWorkload = inOrg.get(workloadOf(labels)) ?? new Set()
    inOrg.set(workloadOf(labels), ofWorkload.add(made))
    return made
  }

  const forget = (stream: LogStream): void => {
    streams.delete(stream.key)
    const inOrg = workloads.get(stream.org)
    const ofWorkload = inOrg?.get(workloadOf(stream.labels))
    ofWorkload?.delete(stream)
    if (ofWorkload?.size === 0) inOrg?.delete(workloadOf(stream.labels))
    if (inOrg?.size === 0) workloads.delete(stream.org)
  }

  const arrive = (stream: LogStream, at: bigint, line: string, keepsStamp: boolean): void => {
    const stamp = keepsStamp || at > stream.last ? at : stream.last + 1n
    const isLate = stamp <= stream.last
    if (!isLate) stream.last = stamp
    const entry: Entry = {
      at: stamp,
      labels: stream.labels,
      line,
      stream,
      order: arrived++,
      bytes: line.length * 2 + overhead
    }
    if (isLate) stream.lines.insert(firstFrom(stream.lines, stamp + 1n), entry)
    else stream.lines.push(entry)
    all.push(entry)
    bytes += entry.bytes
    while (bytes > keepBytes) {
      const oldest = all.dropOldest()
      if (oldest === undefined) break
      bytes -= oldest.bytes
      oldest.stream.lines.dropOldest()
      if (oldest.stream.lines.length === 0) forget(oldest.stream)
    }
    for (const wake of waiting) wake()
  }

  const selected = function* (org: string, query: LogQuery): Generator<LogStream> {
    for (const [workload, ofWorkload] of workloads.get(org) ?? []) {
      if (!query.admits("workload", workload)) continue
      for (const stream of ofWorkload) if (query.selects(stream.labels)) yield stream
    }
  }

  return {
    append: ({ at, org, labels, line, unread, keepsStamp }) => {
      if (line === "") return
      arrive(streamOf(org, labels), at, keptOf(line, unread ?? 0), keepsStamp === true)
    },

    range: ({ org, query, start, end, limit, direction }) => {
      const found: Array<Entry> = []
      for (const { lines } of selected(org, query)) {
        const first = firstFrom(lines, start)
        const past = end === undefined ? lines.length : firstFrom(lines, end)
        const step = direction === "forward" ? 1 : -1
        let taken = 0
        for (
          let index = direction === "forward" ? first : past - 1;
          index >= first && index < past && taken < limit;
          index += step
        ) {
          const entry = lines.at(index)!
          if (!query.keeps(entry.line)) continue
          found.push(entry)
          taken++
        }
      }
      found.sort(direction === "forward" ? byTime : (a, b) => byTime(b, a))
      return found.slice(0, limit)
    },

    follow: (org, query) => {
      let next = arrived
      let missed = 0
      const meant = new WeakMap<LogStream, boolean>()
      const isMeant = (stream: LogStream): boolean => {
        const known = meant.get(stream)
        if (known !== undefined) return known
        const is = stream.org === org && query.selects(stream.labels)
        meant.set(stream, is)
        return is
      }
      return {
        news: Effect.callback<void>((resume) => {
          if (next < arrived) return resume(Effect.void)
          const wake = () => {
            waiting.delete(wake)
            resume(Effect.void)
          }
          waiting.add(wake)
          return Effect.sync(() => waiting.delete(wake))
        }),
        take: (limit) => {
          const oldest = arrived - all.length
          if (next < oldest) {
            missed += oldest - next
            next = oldest
          }
          const taken: Array<StoredLine> = []
          while (next < arrived && taken.length < limit) {
            const entry = all.at(next++ - oldest)!
            if (isMeant(entry.stream) && query.keeps(entry.line)) taken.push(entry)
          }
          return taken
        },
        missed: () => missed
      }
    },

    size: () => ({ lines: all.length, bytes })
  }
}
