/**
 * The flight recorder: what was last decided of each run, and from what, so that a person can ask why and a report of a
 * bug can be replayed.
 *
 * Invariant: it never fails and never grows beyond its bounds, which count bytes. A look like the one before adds
 * nothing; looks are kept as text that is fit to leave the agent (`flight-facts.ts`), so that no secret waits here.
 */
import { Context, Effect } from "effect"
import type { FlowRun } from "../../prefect/schemas.ts"
import type { Decision, Observation } from "../decide/decide.ts"
import { momentOf, type Noted, recordedLook } from "./facts.ts"
import { flightFormat, flightVersion, type FlightRecord, type Moment, type RecordedLook } from "./record.ts"
import { pack, unpack } from "./pack.ts"

export interface FlightBounds {
  /** Of one run; the oldest make room. */
  readonly entriesPerRun: number
  readonly bytesPerRun: number
  /** Of all runs; those that were not looked at for longest make room. */
  readonly bytes: number
  /** A run that was not looked at for so long is dropped, in ms: it is over. */
  readonly keep: number
}

const usual: FlightBounds = {
  entriesPerRun: 64,
  bytesPerRun: 64 * 1024,
  bytes: 4 * 1024 * 1024,
  keep: 2 * 3_600_000
}
/** How often it is looked for what is too old, in ms. */
const sweepEvery = 600_000
/** What a run and an entry cost beside their text, in bytes: about, and rather too much. */
const runOverhead = 600
const entryOverhead = 200

export interface FlightRecorder {
  /** Called once per look, with what it used. */
  note(noted: Noted): void
  /** The decision of the last look was not carried out; `why` holds words of this program only. */
  held(runId: string, why: string): void
  /** Undefined for a run that was never looked at here, or too long ago. */
  record(runId: string): FlightRecord | undefined
  readonly size: () => { readonly runs: number; readonly entries: number; readonly bytes: number }
}

/** Records nothing unless a recorder is given: `Effect.provideService(Flight, makeFlight())`. */
export const Flight = Context.Reference<FlightRecorder>("agent/runs/Flight", {
  defaultValue: () => ({
    note: () => {},
    held: () => {},
    record: () => undefined,
    size: () => ({ runs: 0, entries: 0, bytes: 0 })
  })
})

/** Of an agent that only observes: nothing that it decides is done. */
export const observedOnly = (flight: FlightRecorder): FlightRecorder => ({
  ...flight,
  note: (noted) => {
    flight.note(noted)
    if (["Wait", "Say", "Forget"].includes(noted.decision._tag)) return
    flight.held(noted.seen.value.id, "this agent only observes")
  }
})

/** Writes down that what was just decided of the run waits, and why. */
export const heldBack = (runId: string, why: string): Effect.Effect<void> =>
  Effect.map(Flight, (flight) => flight.held(runId, why))

/** Of equal looks in a row: the first, their number, and when the last was. */
interface Entry {
  readonly packed: string
  readonly bytes: number
  count: number
  last: Moment
  held?: string | undefined
}

interface Ring {
  entries: Array<Entry>
  /** Of the newest entry. */
  mark: Mark
  flow: string | undefined
  dropped: number
  bytes: number
  seenAt: number
}

/** By which two looks are the same: nothing in it changes with time alone. */
interface Mark {
  readonly stateId: FlowRun["state_id"]
  readonly startTime: FlowRun["start_time"]
  readonly pid: FlowRun["infrastructure_pid"]
  readonly retryType: unknown
  readonly command: string | undefined
  readonly lastModified: string | null | undefined
  readonly stage: string | undefined
  readonly strays: number
  readonly observed: string
  readonly decided: string
  readonly deadline: number | undefined
}

const markOf = ({ decision, looked, observation, ours, policy, seen: { value: run } }: Noted): Mark => {
  const command = looked._tag === "Found" ? looked.current.command : undefined
  return {
    stateId: run.state_id,
    startTime: run.start_time,
    pid: run.infrastructure_pid,
    retryType: run.empirical_policy?.["retry_type"],
    command: command?.id,
    lastModified: command?.lastModified,
    stage: command?.lifecycleStage,
    strays: looked._tag === "Unreachable" ? 0 : looked.strays.length,
    observed: `${ours} ${observedBy(observation)}`,
    decided: decidedAs(decision),
    deadline: policy.deadline
  }
}

const observedBy = (seen: Observation): string => {
  switch (seen._tag) {
    case "Unreachable":
      return `Unreachable ${seen.why}`
    case "Absent":
      return `Absent ${seen.gone} ${seen.provenAbsent} ${seen.whose}`
    case "Pending":
      return `Pending ${seen.stopAsked}`
    case "Live":
      return `Live ${seen.runner} ${seen.stopWanted}`
    case "MainEnded":
      return `MainEnded ${seen.stopAsked} ${seen.exit.code}`
    case "Stopping":
      return "Stopping"
    case "Final":
      return `Final ${seen.looks} ${seen.stopAsked} ${seen.exit.code}`
  }
}

const decidedAs = (decision: Decision): string => {
  const state = decision._tag === "Propose" ? decision.state : ""
  return "why" in decision ? `${decision._tag} ${state} ${decision.why}` : decision._tag
}

const same = (a: Mark, b: Mark): boolean =>
  a.stateId === b.stateId &&
  a.startTime === b.startTime &&
  a.pid === b.pid &&
  a.retryType === b.retryType &&
  a.command === b.command &&
  a.lastModified === b.lastModified &&
  a.stage === b.stage &&
  a.strays === b.strays &&
  a.observed === b.observed &&
  a.decided === b.decided &&
  a.deadline === b.deadline

export const makeFlight = (bounds: FlightBounds = usual): FlightRecorder => {
  const rings = new Map<string, Ring>()
  let settings: Noted["settings"] | undefined
  let bytes = 0
  let sweptAt = 0

  const drop = (id: string, ring: Ring): void => {
    rings.delete(id)
    bytes -= ring.bytes
  }

  /** What is too old goes; then, where it is still too much, what was not looked at for longest, down to nine tenths. */
  const sweep = (now: number): void => {
    sweptAt = now
    for (const [id, ring] of rings) if (now - ring.seenAt > bounds.keep) drop(id, ring)
    if (bytes <= bounds.bytes) return
    for (const [id, ring] of [...rings].sort(([, a], [, b]) => a.seenAt - b.seenAt)) {
      if (bytes <= bounds.bytes * 0.9) return
      drop(id, ring)
    }
  }

  const add = (ring: Ring, noted: Noted): void => {
    const packed = pack(JSON.stringify(recordedLook(noted)))
    const entry = { packed, bytes: packed.length + entryOverhead, count: 1, last: momentOf(noted) }
    ring.entries.push(entry)
    let change = entry.bytes
    while (
      ring.entries.length > bounds.entriesPerRun ||
      (ring.bytes + change > bounds.bytesPerRun && ring.entries.length > 1)
    ) {
      change -= ring.entries.shift()?.bytes ?? 0
      ring.dropped += 1
    }
    ring.bytes += change
    bytes += change
  }

  return {
    note: (noted) => {
      const { now } = noted
      settings = noted.settings
      const { id } = noted.seen.value
      const mark = markOf(noted)
      let ring = rings.get(id)
      if (ring !== undefined && same(ring.mark, mark)) {
        const newest = ring.entries.at(-1)!
        newest.count += 1
        newest.last = momentOf(noted)
        newest.held = undefined
        ring.seenAt = now
      } else {
        if (ring === undefined) {
          ring = {
            entries: [],
            mark,
            flow: undefined,
            dropped: 0,
            bytes: runOverhead,
            seenAt: now
          }
          rings.set(id, ring)
          bytes += runOverhead
        }
        ring.mark = mark
        ring.seenAt = now
        ring.flow ??= noted.memory.flowName
        add(ring, noted)
      }
      if (bytes > bounds.bytes || now - sweptAt > sweepEvery) sweep(now)
    },

    held: (runId, why) => {
      const newest = rings.get(runId)?.entries.at(-1)
      if (newest !== undefined) newest.held = why
    },

    record: (runId) => {
      const ring = rings.get(runId)
      if (ring === undefined || settings === undefined) return undefined
      const {
        agentLink,
        cancelGrace,
        linger,
        mainLinger,
        pool,
        server,
        settle,
        startTimeout,
        unreportedExit
      } = settings
      return {
        format: flightFormat,
        version: flightVersion,
        runId,
        ...(ring.flow === undefined ? {} : { flow: ring.flow }),
        agent: agentLink,
        pool,
        server: server.text,
        policy: { settle, cancelGrace, linger, mainLinger, startTimeout, unreportedExit },
        dropped: ring.dropped,
        entries: ring.entries.map(({ count, held, last, packed }) => ({
          ...(JSON.parse(unpack(packed)) as RecordedLook),
          count,
          last,
          ...(held === undefined ? {} : { held })
        }))
      }
    },

    size: () => ({
      runs: rings.size,
      entries: [...rings.values()].reduce((sum, { entries }) => sum + entries.length, 0),
      bytes
    })
  }
}
