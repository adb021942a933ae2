/**
 * Finds the commands of one run, with as few requests as the case allows: what the bulk query saw, else what is
 * remembered as final, else single reads: its PID, and at last every place that its claims name.
 *
 * Invariant: a look that could not be made is "unreachable", never "absent". No verdict rests on a command that a newer
 * attempt may have replaced, and absence is counted look by look, after the run's history was read.
 */
import { Effect } from "effect"
import { Commands } from "../../cpln/commands.ts"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { at, type Place } from "../../cpln/place.ts"
import type { ApiError } from "../../http/errors.ts"
import type { Seen } from "../../http/seen.ts"
import { attemptId, transitionOf } from "../../job/attempt.ts"
import { parseClaimMessage } from "../../job/claim-message.ts"
import { parseInfrastructurePid } from "../../job/infrastructure-pid.ts"
import type { About } from "../../observe/say.ts"
import type { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { absence, type Absent, existedBy, isSame, vanishedBeside } from "./absence.ts"
import { placeOf } from "../prepare/access.ts"
import { type AttemptMemory, attemptMemory, type RunMemory } from "./board.ts"
import { RunsConfig } from "../config.ts"
import { commandsOfRun } from "./earlier.ts"
import {
  attemptIn,
  type History,
  holdsAttempt,
  isOutrun,
  newestRound,
  placesOf,
  readHistory,
  rivalsOf
} from "./history.ts"
import {
  attemptTag,
  type CurrentAttempt,
  isFinal,
  type Located,
  runTag,
  sortOut,
  tagOf
} from "../decide/normalise.ts"
import { retriesInProcess } from "../decide/phase.ts"
import type { Places } from "../places.ts"
import type { Preparation } from "../prepare/preparation.ts"
import { steadyMillis } from "../steady.ts"

/** The run's live commands, as the bulk queries saw them. */
export type Bulk = ReadonlyArray<Located>
/** False for why they could not be seen. */
export const isBulk = (bulk: Bulk | ApiError): bulk is Bulk => Array.isArray(bulk)

export type Look =
  /** `kind` names the error, without words of anybody. */
  | { readonly _tag: "Unreachable"; readonly why: string; readonly kind: string }
  | { readonly _tag: "Found"; readonly current: Located; readonly strays: ReadonlyArray<Located> }
  | Absent

/** A search that found nothing is not repeated sooner, in ms. */
const searchEvery = 10_000

type Environment = Prefect | ControlPlane | Places | RunsConfig | Preparation

export const look = Effect.fnUntraced(
  function* (
    seen: Seen<FlowRun>,
    memory: RunMemory,
    asked: Bulk | ApiError,
    about: About
  ): Effect.fn.Return<Look, ApiError, Environment> {
    const run = seen.value
    const bulk = isBulk(asked) ? asked : []
    const mem = attemptMemory(memory, run)
    const attempt = attemptOf(run)
    const sorted = sortOut(bulk, attempt)
    // What lives may be an older attempt while the newer one is final already: the PID has to agree, or the claim. Which of
    // several counts only the history tells: claims may have been accepted at the same time.
    const agrees =
      sorted.strays.length === 0 &&
      (attempt.transitionId !== undefined ||
        sorted.current?.command.id === parseInfrastructurePid(run.infrastructure_pid ?? "")?.commandId)
    if (sorted.current !== undefined && agrees) return found(memory, sorted.current, sorted.strays)
    // In another state it may be another claim's run, though nobody saw it claimed.
    const final = mem.final?.stateId === run.state_id ? mem.final : undefined
    // One that was claimed since, between two looks, may have the run by now: its PID is written after its start.
    if (final !== undefined && isSettled(final.found, attempt) && !bulk.some(isYounger(final.found))) {
      const { command } = final.found
      return found(
        memory,
        final.found,
        bulk.filter((each) => each.command.id !== command.id)
      )
    }
    // Such a run needs no job: only what lives matters, and the bulk queries saw that.
    if (bulk.length === 0 && needsNoJob(run)) return nothing([])
    if (!isBulk(asked)) return unreachable(asked)
    return yield* search(seen, mem, memory, bulk, about)
  },
  Effect.catchTag(["Unavailable", "RateLimited", "Undecodable", "Unauthorised", "Forbidden"], (error) =>
    Effect.succeed(unreachable(error))
  )
)

const unreachable = ({ _tag, message }: ApiError): Look => ({ _tag: "Unreachable", why: message, kind: _tag })

const attemptOf = (run: FlowRun): CurrentAttempt =>
  run.state_type === "PENDING"
    ? {
        transitionId: run.state?.state_details?.transition_id ?? undefined,
        adopted: parseClaimMessage(run.state?.message ?? "")?.adopts
      }
    : { transitionId: undefined, adopted: undefined }

/** The state may be a claim that waited in the server, and landed on the newest one, which counts. */
const withRivals = (attempt: CurrentAttempt, history: History): CurrentAttempt => {
  const { transitionId } = attempt
  if (transitionId === undefined) return attempt
  const newest = isOutrun(history, transitionId) ? newestRound(history).at(-1) : undefined
  const current = newest?.transitionId ?? transitionId
  return {
    transitionId: current,
    adopted: newest === undefined ? attempt.adopted : newest.adopts,
    rivals: new Set(rivalsOf(history, current).map((claim) => claim.transitionId))
  }
}

const needsNoJob = (run: FlowRun): boolean =>
  (run.state_type === "SCHEDULED" && !retriesInProcess(run)) ||
  (run.state_type === "PAUSED" && run.state?.state_details?.pause_reschedule === true)

/** `completed` and `cancelled` are permanent; `failed` may be corrected, so it is read again until it was seen twice. */
const isSettled = ({ command }: Located, { adopted, transitionId }: CurrentAttempt): boolean =>
  command.lifecycleStage !== "failed" &&
  (transitionId === undefined ||
    command.id === adopted ||
    transitionOf(tagOf(command, attemptTag) ?? "") === transitionId)

const isYounger =
  (other: Located) =>
  ({ command }: Located): boolean =>
    (tagOf(command, attemptTag) ?? "") > (tagOf(other.command, attemptTag) ?? "")

const found = (memory: RunMemory, current: Located, strays: ReadonlyArray<Located>): Look => {
  memory.place = current.place
  noteCounted(memory, current)
  const { attempt } = memory
  if (attempt.counts !== current.command.id) {
    // Its PID need not have been seen to change: it is written late, and people edit it.
    if (attempt.counts !== undefined) Object.assign(attempt, notedOfNone)
    attempt.counts = current.command.id
  }
  attempt.absent = undefined
  attempt.notFound = { looks: 0, lastAt: 0, gone: false }
  return { _tag: "Found", current, strays }
}

const notedOfNone = {
  failed: { looks: 0, lastAt: 0 },
  mainEndedSince: undefined,
  final: undefined,
  startTrouble: undefined
} satisfies Partial<AttemptMemory>

/** Jobs that are remembered. */
const mostCounted = 8

/** Jobs of a program that tells no attempt follow on each other under one name. */
const noteCounted = ({ counted }: RunMemory, current: Located): void => {
  const { command } = current
  if (isFinal(command) || tagOf(command, attemptTag) === undefined || counted.some(isSame(current))) return
  counted.push(current)
  if (counted.length > mostCounted) counted.shift()
}

const nothing = (strays: ReadonlyArray<Located>): Absent => ({
  _tag: "Absent",
  gone: false,
  provenAbsent: false,
  whose: "nobody",
  strays
})

const noCredential = (where: string): Look => ({
  _tag: "Unreachable",
  why: `no credential for ${where}`,
  kind: "NoCredential"
})

/** By the PID where that is enough, else in every place that the history names. */
const search = Effect.fnUntraced(function* (
  seen: Seen<FlowRun>,
  mem: AttemptMemory,
  memory: RunMemory,
  bulk: Bulk,
  about: About
): Effect.fn.Return<Look, ApiError, Environment> {
  const run = seen.value
  const { monitorInterval } = yield* RunsConfig
  const now = yield* steadyMillis
  const pace = Math.min(searchEvery, monitorInterval * 0.9)
  if (bulk.length === 0 && mem.absent !== undefined && now - mem.absent.lastAt < pace) {
    return yield* absence(seen, mem, yield* historyOf(run, mem), now, undefined, [], about)
  }
  const history = yield* historyOf(run, mem)
  const attempt = withRivals(attemptOf(run), history)
  if (attempt.transitionId !== undefined && bulk.some(isBeyond(history))) {
    // The database went back to before that attempt: it is the newest all the same.
    const sorted = sortOut(bulk, { transitionId: undefined, adopted: undefined }, attemptIn(history))
    if (sorted.current !== undefined) return found(memory, sorted.current, sorted.strays)
  }
  const byPid = yield* commandOfPid(run)
  if (byPid === "no credential") {
    return noCredential(`where its PID ${run.infrastructure_pid} points`)
  }
  const named = byPid === "of another run" ? undefined : byPid
  if (named !== undefined && isOfAttempt(named, attempt, history)) {
    const others = bulk.filter((each) => each.command.id !== named.command.id)
    // Of doubles the oldest counts, whichever the PID names: before it was written others went by that.
    const isAlone = !others.some((each) => isOfAttempt(each, attempt, history))
    if (isAlone && isTheOne(named, memory)) return found(memory, named, others)
  }
  const { places, unreachable } = yield* placesOf(run, history)
  const known = memory.place === undefined ? places : withPlace(places, memory.place)
  const searched = (yield* Effect.forEach(known, (place) => commandsOfRun(run.id, place), {
    concurrency: 4
  })).flat()
  // A page can be lost.
  const all = named === undefined || searched.some(isSame(named)) ? searched : [...searched, named]
  const sorted = sortOut(all, attempt, attemptIn(history))
  const pid = byPid === "of another run" ? undefined : parseInfrastructurePid(run.infrastructure_pid ?? "")
  const vanished = vanishedBeside(sorted.current, all, pid, memory, history)
  if (
    sorted.current !== undefined &&
    vanished === undefined &&
    !isReplaced(sorted.current, attempt, history)
  ) {
    return found(memory, sorted.current, sorted.strays)
  }
  if (unreachable.length > 0) {
    return noCredential(unreachable.join(", "))
  }
  const existed = vanished === undefined ? existedBy(run, history, pid, named) : "surely"
  // What the PID names may be there: an earlier attempt's, which is not the one that is missed.
  const gone = vanished ?? (named === undefined ? pid : undefined)
  const missed = { pid: gone, existed, foreign: byPid === "of another run" }
  return yield* absence(seen, mem, history, now, missed, sorted.strays, about)
})

/** False for a job that is over when another one counted that lived: it may be a double that was stopped. */
const isTheOne = (one: Located, { counted }: RunMemory): boolean =>
  !isFinal(one.command) || counted.every(isSame(one))

/** Read again when the run's state is another one; the claims of a run never change otherwise. */
const historyOf = Effect.fnUntraced(function* (run: FlowRun, mem: AttemptMemory) {
  const known = mem.history
  if (known !== undefined && known.stateId === run.state_id) return known.of
  const read = yield* readHistory(run.id)
  mem.history = { stateId: run.state_id, of: read }
  return read
})

const commandOfPid = Effect.fnUntraced(function* (
  run: FlowRun
): Effect.fn.Return<Located | "no credential" | "of another run" | undefined, ApiError, Environment> {
  const pid = parseInfrastructurePid(run.infrastructure_pid ?? "")
  if (pid === undefined) return undefined
  const place = yield* placeOf(run, run.infrastructure_pid ?? "")
  if (place === undefined || place === "no credential") return place
  return yield* Commands.use((commands) => commands.get(place.workload, pid.commandId)).pipe(
    // A PID can be edited: the command of another run is no business of this one.
    Effect.map(({ at, value: command }): Located | "of another run" =>
      (tagOf(command, runTag) ?? run.id) === run.id ? { place, command, at } : "of another run"
    ),
    Effect.catchTag("NotFound", () => Effect.succeed(undefined)),
    at(place.access)
  )
})

/** Whether a command is of a younger attempt than any that the history holds. */
const isBeyond = (history: History) => {
  const newest = history.claims.at(-1)
  const last = newest === undefined ? "" : attemptId(newest.at, newest.transitionId)
  return ({ command }: Located): boolean =>
    (tagOf(command, attemptTag) ?? "") > last && !holdsAttempt(history, command)
}

/** Whether no newer attempt than this command's was claimed. */
const isOfAttempt = ({ command }: Located, attempt: CurrentAttempt, history: History): boolean => {
  const transition = transitionOf(tagOf(command, attemptTag) ?? "")
  const [newest, rival] = newestRound(history)
  // With a rival there may be two commands: all of them have to be seen.
  if (rival !== undefined) return false
  if (attempt.transitionId !== undefined) {
    return transition === attempt.transitionId || command.id === attempt.adopted
  }
  return newest === undefined || newest.transitionId === transition || newest.adopts === command.id
}

/** A job that is over tells nothing of a run that was claimed anew since: that claim's own job is not to be found. */
const isReplaced = ({ command }: Located, { transitionId }: CurrentAttempt, history: History): boolean => {
  const newest = newestRound(history)
  if (transitionId !== undefined || newest.length === 0 || !isFinal(command)) return false
  const transition = transitionOf(tagOf(command, attemptTag) ?? "")
  return !newest.some((claim) => claim.transitionId === transition || claim.adopts === command.id)
}

const withPlace = (places: ReadonlyArray<Place>, extra: Place): ReadonlyArray<Place> =>
  places.some((each) => each.workload.path === extra.workload.path) ? places : [...places, extra]
