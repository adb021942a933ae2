/**
 * Replays a flight record: every recorded look is normalised and decided anew by the present code.
 *
 * Invariant: what was recorded is never mended: an entry whose decision is another one now is reported, and so is a file
 * that is not whole.
 */
import { readFileSync } from "node:fs"
import { Result } from "effect"
import { duration } from "../../src/observe/duration.ts"
import { decide, type Policy } from "../../src/runs/decide/decide.ts"
import { normalised } from "../../src/runs/flight/facts.ts"
import {
  type FlightEntry,
  type FlightRecord,
  type Moment,
  readFlightRecord,
  type RecordedDecision
} from "../../src/runs/flight/record.ts"

export interface Difference {
  /** 1 for the first entry. */
  readonly entry: number
  readonly at: Moment
  readonly recorded: RecordedDecision
  readonly now: RecordedDecision
}

export interface Replay {
  readonly entries: number
  readonly differences: ReadonlyArray<Difference>
  /** Entries that are decided as recorded, but said or seen otherwise. */
  readonly reworded: ReadonlyArray<number>
}

const policyOf = ({ policy }: FlightRecord, { facts }: FlightEntry): Policy => ({
  ...policy,
  deadline: facts.deadline ?? undefined
})

/** What is done, without the words for it. */
const deedOf = ({ _tag, state, thenStop }: RecordedDecision) => JSON.stringify([_tag, state, thenStop])

/** Ages and words as they would be in a file. */
const asRecorded = (value: unknown): string => JSON.stringify(sorted(JSON.parse(JSON.stringify(value))))

const sorted = (value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(
        Object.entries(value)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, each]) => [key, sorted(each)])
      )
    : value

export const replay = (record: FlightRecord): Replay => {
  const differences: Array<Difference> = []
  const reworded: Array<number> = []
  for (const [index, entry] of record.entries.entries()) {
    // Of looks that saw the same the first and the last: what lies between has ages between theirs.
    for (const at of entry.count > 1 ? [entry.first, entry.last] : [entry.first]) {
      const { observation, view } = normalised(entry.facts, at)
      const now: RecordedDecision = decide(view, observation, policyOf(record, entry))
      if (deedOf(now) !== deedOf(entry.decision)) {
        differences.push({ entry: index + 1, at, recorded: entry.decision, now })
        continue
      }
      const seenAsRecorded =
        at !== entry.first ||
        (asRecorded(view) === asRecorded(entry.view) &&
          asRecorded(observation) === asRecorded(entry.observation))
      if ((now.why !== entry.decision.why || !seenAsRecorded) && reworded.at(-1) !== index + 1) {
        reworded.push(index + 1)
      }
    }
  }
  return { entries: record.entries.length, differences, reworded }
}

const timeOf = (ms: number) => new Date(ms).toISOString().slice(11, 19)

const decisionText = ({ _tag, state, thenStop, why }: RecordedDecision): string =>
  `${_tag}${state === undefined ? "" : ` ${state}`}${thenStop === true ? ", then Stop" : ""}${why === undefined ? "" : `: ${why}`}`

const sightOf = ({ facts }: FlightEntry): string => {
  const { look, run } = facts
  const state =
    run.name === undefined || run.name.toUpperCase() === run.type ? run.type : `${run.type} (${run.name})`
  switch (look._tag) {
    case "Found":
      return `${state}, job ${look.command.id} ${look.command.stage}`
    case "Absent":
      return `${state}, no job${look.gone ? ", gone" : ""}`
    case "Unreachable":
      return `${state}, job unreachable (${look.kind})`
  }
}

/** One line per entry: when, how many looks, what was seen, what was decided. */
export const timelineOf = (record: FlightRecord): ReadonlyArray<string> =>
  record.entries.map((entry, index) => {
    const { count, first, last } = entry
    const looks = count === 1 ? "1 look" : `${count} looks in ${duration(last.agent - first.agent)}`
    return `${String(index + 1).padStart(3)}  ${timeOf(first.agent)}  ${sightOf(entry)} (${looks}) → ${decisionText(entry.decision)}${entry.held === undefined ? "" : ` (held: ${entry.held})`}`
  })

/** Prints timeline and verdict; the exit code. */
export const replayFile = (path: string, print: (line: string) => void): number => {
  let text: string
  try {
    text = readFileSync(path, "utf8")
  } catch (error) {
    print(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`)
    return 1
  }
  const read = readFlightRecord(text, path)
  if (Result.isFailure(read)) {
    print(read.failure.message)
    return 1
  }
  const record = read.success
  print(
    `Flow run ${record.runId}, recorded by ${record.agent} on Prefect ${record.server}${record.dropped === 0 ? "" : `; ${record.dropped} older entries are lost`}`
  )
  for (const line of timelineOf(record)) print(line)
  const { differences, entries, reworded } = replay(record)
  for (const { at, entry, now, recorded } of differences) {
    print(`entry ${entry} at ${timeOf(at.agent)}: recorded ${decisionText(recorded)}`)
    print(`${" ".repeat(`entry ${entry} at ${timeOf(at.agent)}: `.length)}now      ${decisionText(now)}`)
  }
  if (reworded.length > 0) {
    print(
      `${reworded.length} entries are seen or said otherwise now, and decided the same: ${reworded.join(", ")}`
    )
  }
  if (differences.length > 0) {
    print(
      `${new Set(differences.map(({ entry }) => entry)).size} of ${entries} entries are decided otherwise now`
    )
    return 1
  }
  print(`${entries} entries, all decided as recorded`)
  return 0
}
