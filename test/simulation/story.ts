/**
 * The history around a violation, for a person to read: what was written, which faults hit, what was done to the world.
 *
 * Invariant: in the order in which it happened; of other runs only what is near.
 */
import type { Entry } from "../runs/world/chronicle.ts"
import type { Played } from "./play.ts"
import type { Violation } from "./promise.ts"

/** How long before the violation everything is told, in ms. */
const near = 120_000
const mostLines = 150

const clock = (ms: number) => `${(ms / 1000).toFixed(1).padStart(8)} s`

const written = (entry: Entry): string | undefined => {
  switch (entry.what) {
    case "state":
      return `${entry.runId}: ${entry.from?.name ?? "-"} -> ${entry.to.name} ${entry.to.message ? `"${entry.to.message}"` : ""}`
    case "run changed":
      return `${entry.runId}: changed ${JSON.stringify(entry.change)}`
    case "run deleted":
      return `${entry.runId}: deleted`
    case "job made":
      return `${entry.runId ?? "-"}: ${entry.commandId} made`
    case "job stage":
      return `${entry.commandId} is ${entry.stage}${entry.exitCode === undefined ? "" : `, exit ${entry.exitCode}`}`
    case "job main over":
      return `${entry.commandId}: only side containers are left, exit ${entry.exitCode}`
    case "job stop asked":
      return `${entry.commandId}: stop asked`
    case "job deleted":
      return `${entry.commandId} deleted`
    case "worker seen":
    case "worker deleted":
    case "lease renewed":
      return undefined
    case "database":
      return `database ${entry.how}`
    default:
      return `${entry.what}: ${entry.name}`
  }
}

export const story = ({ evidence, hits }: Played, violation: Violation): ReadonlyArray<string> => {
  const { begin, entries, plan, runs } = evidence
  const own = new Set(runs.find(({ id }) => id === violation.runId)?.jobs.map(({ id }) => id))
  const isNear = (at: number) => at >= violation.at - near && at <= violation.at + 10_000
  const isOwn = (entry: Entry) =>
    ("runId" in entry && entry.runId === violation.runId) ||
    ("commandId" in entry && own.has(entry.commandId))
  const lines = [
    ...plan.events
      .map(({ at, event: { what, ...rest } }) => ({
        at: begin + at * 1000,
        text: `event: ${what} ${JSON.stringify(rest)}`
      }))
      .filter(({ at }) => at <= violation.at),
    ...hits
      .filter(({ at }) => isNear(at))
      .map(({ at, call, fault }) => ({
        at,
        text: `fault: ${call.by}: ${call.name} ${call.subject}: ${JSON.stringify(fault)}`
      })),
    ...entries
      .filter((entry) => isOwn(entry) || isNear(entry.at))
      .flatMap((entry) => {
        const text = written(entry)
        return text === undefined ? [] : [{ at: entry.at, text: `${entry.by}: ${text}` }]
      }),
    { at: violation.at, text: `*** ${violation.promise} broken: ${violation.what}` }
  ].sort((a, b) => a.at - b.at)
  return lines.slice(-mostLines).map(({ at, text }) => `${clock(at - begin)}  ${text}`)
}
