/**
 * Finds the commands of one run, with as few requests as the case allows: what the bulk query saw, else what is
 * remembered as final, else single reads by PID, by tag, and at last by the places of the claim history.
 *
 * Invariant: a look that could not be made is "unreachable", never "absent"; absence is counted look by look.
 */
import { Clock, Effect } from "effect"
import { Commands } from "../cpln/commands.ts"
import type { ControlPlane } from "../cpln/control-plane.ts"
import type { Command } from "../cpln/schemas.ts"
import type { ApiError } from "../http/errors.ts"
import { parseClaimMessage } from "../job/claim-message.ts"
import { parseInfrastructurePid } from "../job/infrastructure-pid.ts"
import { Prefect } from "../prefect/prefect.ts"
import type { FlowRun } from "../prefect/schemas.ts"
import { executionOf } from "./act.ts"
import type { RunMemory } from "./board.ts"
import { RunsConfig } from "./config.ts"
import { claimsOf, commandsOfRun, placesOf } from "./earlier.ts"
import { type CurrentAttempt, isFinal, type Sorted, sortOut } from "./normalise.ts"
import { at, type Place } from "../cpln/place.ts"
import { placeFromText, Places } from "./places.ts"
import { timeOf } from "./phase.ts"
import { type About, say } from "../observe/say.ts"

/** What a bulk query of one place saw of this run: its live commands, and the service's clock. */
export interface Bulk {
  readonly place: Place
  readonly commands: ReadonlyArray<Command>
  readonly at: number
}

export type Look =
  | { readonly _tag: "Unreachable"; readonly why: string }
  | ({ readonly _tag: "Found"; readonly place: Place; readonly at: number; readonly current: Command } & Pick<
      Sorted,
      "strays"
    >)
  | {
      readonly _tag: "Absent"
      readonly gone: boolean
      readonly provenAbsent: boolean
      readonly whose: "ours" | "nobody" | "other"
      readonly place: Place | undefined
      readonly strays: ReadonlyArray<Command>
    }

/** 404 counts as gone after this many looks, as the manual of the Python agent says. */
export const looksUntilGone = 5
/** The two queries that prove absence are at least this far apart, in ms. */
const apart = 30_000

export const attemptOf = (run: FlowRun): CurrentAttempt => ({
  transitionId:
    run.state_type === "PENDING" ? (run.state?.state_details?.transition_id ?? undefined) : undefined,
  adopted: run.state_type === "PENDING" ? parseClaimMessage(run.state?.message ?? "")?.adopts : undefined
})

type Environment = Prefect | ControlPlane | Places | RunsConfig

export const look = Effect.fn("runs.look")(
  function* (
    run: FlowRun,
    seenAt: number,
    memory: RunMemory,
    bulk: Bulk | undefined,
    about: About
  ): Effect.fn.Return<Look, ApiError, Environment> {
    const attempt = attemptOf(run)
    if (bulk !== undefined) {
      const sorted = sortOut(bulk.commands, attempt)
      if (sorted.current !== undefined && !isFinal(sorted.current))
        return found(memory, bulk.place, bulk.at, sorted)
    }
    const final = memory.final
    if (final !== undefined && memory.place !== undefined && isSettledFinal(final.command, run)) {
      return found(memory, memory.place, seenAt, {
        current: final.command,
        strays: sortOut(bulk?.commands ?? [], attempt).strays
      })
    }
    return yield* single(run, seenAt, memory, about)
  },
  Effect.catchTag(["Unavailable", "RateLimited", "Undecodable", "Unauthorised", "Forbidden"], (error) =>
    Effect.succeed<Look>({ _tag: "Unreachable", why: error.message })
  )
)

/** `completed` and `cancelled` are permanent; `failed` may be corrected, so it is read again until it was seen twice. */
const isSettledFinal = (command: Command, run: FlowRun): boolean =>
  command.lifecycleStage !== "failed" && (run.infrastructure_pid ?? "").endsWith(command.id)

const found = (memory: RunMemory, place: Place, at: number, sorted: Sorted): Look => {
  memory.place = place
  memory.absent = undefined
  memory.notFound = { looks: 0, lastAt: 0 }
  return { _tag: "Found", place, at, current: sorted.current!, strays: sorted.strays }
}

const single = Effect.fnUntraced(function* (
  run: FlowRun,
  seenAt: number,
  memory: RunMemory,
  about: About
): Effect.fn.Return<Look, ApiError, Environment> {
  const now = yield* Clock.currentTimeMillis
  const attempt = attemptOf(run)
  const pid = parseInfrastructurePid(run.infrastructure_pid ?? "")
  // The PID of an earlier attempt stays on the run: while it is PENDING only a command of this claim counts.
  if (pid !== undefined && attempt.transitionId === undefined) {
    const place = yield* placeFromText(run.infrastructure_pid ?? "")
    if (place === undefined) return { _tag: "Unreachable", why: `no credential for org ${pid.org}` }
    return yield* byPid(place, pid.commandId, memory, now, about)
  }
  const claimed = parseClaimMessage(run.state?.message ?? "")
  const direct = memory.place ?? (claimed === undefined ? undefined : yield* placeFromText(claimed.where))
  const history =
    direct === undefined ? claimsOf(yield* Prefect.use((prefect) => prefect.history(run.id))) : undefined
  const places = direct === undefined ? yield* placesOf(run, history!) : [direct]
  const looks = yield* Effect.forEach(places, (place) =>
    Effect.map(commandsOfRun(run.id, place), (seen) => ({ place, seen }))
  )
  const strays: Array<Command> = []
  for (const { place, seen } of looks) {
    const sorted = sortOut(seen.value, attempt)
    if (sorted.current !== undefined) return found(memory, place, seen.at, sorted)
    strays.push(...sorted.strays)
  }
  const claims = (history?.claims.length ?? 0) + (claimed === undefined ? 0 : 1)
  const whose = claims > 0 ? "ours" : (run.infrastructure_pid ?? undefined) === undefined ? "nobody" : "other"
  return {
    _tag: "Absent",
    gone: false,
    provenAbsent: yield* isProvenAbsent(run, seenAt, memory, now),
    whose,
    place: places[0],
    strays
  }
})

const byPid = Effect.fnUntraced(function* (
  place: Place,
  commandId: string,
  memory: RunMemory,
  now: number,
  about: About
): Effect.fn.Return<Look, ApiError, Environment> {
  const { monitorInterval } = yield* RunsConfig
  const absent = (): Look => ({
    _tag: "Absent",
    gone: memory.notFound.looks >= looksUntilGone,
    provenAbsent: false,
    whose: "ours",
    place,
    strays: []
  })
  // Between two counted looks nothing new can be learned.
  if (memory.notFound.looks > 0 && now - memory.notFound.lastAt < monitorInterval * 0.9) return absent()
  const command = yield* Commands.use((commands) => commands.get(place.workload, commandId)).pipe(
    Effect.catchTag("NotFound", () => Effect.succeed(undefined)),
    at(place.access)
  )
  if (command !== undefined) return found(memory, place, command.at, { current: command.value, strays: [] })
  memory.notFound = { looks: memory.notFound.looks + 1, lastAt: now }
  yield* say(
    "warning",
    "Sync CPLN→Prefect",
    { ...about, gvc: place.workload.gvc, workload: place.workload.name, command: commandId },
    `Got 404 (${memory.notFound.looks}/${looksUntilGone}): the command does not exist.`
  )
  if (memory.notFound.looks >= looksUntilGone && (yield* executionOf(place, commandId)) !== undefined) {
    return { _tag: "Unreachable", why: "the command gives 404, but its job execution is still listed" }
  }
  return absent()
})

/** Two queries far enough apart, and a claim (or a cancel) that is older than the launch deadline. */
const isProvenAbsent = Effect.fnUntraced(function* (
  run: FlowRun,
  seenAt: number,
  memory: RunMemory,
  now: number
) {
  const { launchDeadline } = yield* RunsConfig
  memory.absent = { firstAt: memory.absent?.firstAt ?? now, lastAt: now }
  const age = seenAt - (timeOf(run.state?.timestamp) ?? seenAt)
  return memory.absent.lastAt - memory.absent.firstAt >= apart && age > launchDeadline
})
