/**
 * Clean-up of one workload: a look at it, the mark of a first look, and its removal after a second.
 *
 * Invariant: nothing goes but on answers of both services that agree: the pool still has the id that stands on the
 * workload (read before and after), no open run names it, and the last thing before the removal is that it is still
 * marked, unchanged and without a live command. An answer that does not come keeps it.
 */
import { Effect } from "effect"
import { Commands } from "../../cpln/commands.ts"
import type { ControlPlane } from "../../cpln/control-plane.ts"
import { at as inPlace, type Place } from "../../cpln/place.ts"
import type { Term } from "../../cpln/schemas.ts"
import { Workloads } from "../../cpln/workloads.ts"
import type { ApiError } from "../../http/errors.ts"
import { parseClaimMessage, parseHandBackMessage } from "../../job/claim-message.ts"
import { parseInfrastructurePid } from "../../job/infrastructure-pid.ts"
import { Prefect } from "../../prefect/prefect.ts"
import type { FlowRun } from "../../prefect/schemas.ts"
import { executionsOf } from "./executions.ts"
import { busyWith, idleTag, isMarked, judge, type Rules, type Verdict } from "./idleness.ts"

export interface CleanupRules extends Rules {
  readonly pool: string
}

/** What a look came to, and the platform's clock then; `NotFound` when the workload is gone. */
export interface Look {
  readonly verdict: Verdict
  readonly at: number
  /** Requests that it took. */
  readonly cost: number
}

/** Commands of any type: what is not over needs its workload. */
const notOver: ReadonlyArray<Term> = [
  { op: "!=", property: "lifecycleStage", value: "completed" },
  { op: "!=", property: "lifecycleStage", value: "failed" },
  { op: "!=", property: "lifecycleStage", value: "cancelled" }
]

/** Cheap as long as its newest commands tell that it is in use; the whole story only of what looks idle by them. */
export const lookAt = Effect.fn("runs.cleanup.lookAt")(function* (
  place: Place,
  rules: Rules
): Effect.fn.Return<Look, ApiError, ControlPlane> {
  return yield* Effect.gen(function* () {
    const { workload: ref } = place
    const commands = yield* Commands
    const { at, value: newest } = yield* commands.latest(ref)
    const busy = busyWith(newest.items, at, rules.ttl)
    if (busy !== undefined) return { verdict: busy, at, cost: 1 }
    const workload = yield* Workloads.use((workloads) => workloads.read(ref))
    const live = yield* commands.find(ref, notOver)
    const executions = yield* executionsOf(place)
    // A job may have been started long before the newest, and have ended after them.
    const older = newest.more ? (yield* commands.find(ref, [])).value : []
    const verdict = judge(
      {
        workload,
        commands: [...newest.items, ...live.value, ...older],
        executions: executions.map(({ execution }) => execution),
        at
      },
      rules
    )
    return { verdict, at, cost: newest.more ? 5 : 4 }
  }).pipe(inPlace(place.access))
})

/** Writes the mark of a first look; a workload that somebody changed meanwhile is left alone. */
export const mark = Effect.fn("runs.cleanup.mark")(function* (
  place: Place,
  at: number
): Effect.fn.Return<void, ApiError, ControlPlane> {
  yield* Effect.gen(function* () {
    const workloads = yield* Workloads
    const read = yield* workloads.read(place.workload)
    yield* workloads
      .tag(place.workload, read, { [idleTag]: new Date(at).toISOString() })
      .pipe(Effect.catchTag("Conflict", () => Effect.void))
  }).pipe(inPlace(place.access))
})

const openTypes = ["PENDING", "RUNNING", "CANCELLING", "PAUSED"]

/** `org:gvc:workload` of everything that claims, hand-backs and PIDs of open runs name. */
const inUse = Effect.fnUntraced(function* (pool: string) {
  const prefect = yield* Prefect
  const open = yield* prefect.findRuns({ pool, stateTypes: openTypes })
  const waiting = yield* prefect.findRuns({ pool, stateNames: ["AwaitingRetry", "Cancelling"] })
  return new Set([...open.value, ...waiting.value].flatMap(placesIn))
})

const placesIn = (run: FlowRun): ReadonlyArray<string> => {
  const message = run.state?.message ?? ""
  const pid = parseInfrastructurePid(run.infrastructure_pid)
  return [
    parseClaimMessage(message)?.where ?? "",
    parseHandBackMessage(message)?.where ?? "",
    pid === undefined ? "" : `${pid.org}:${pid.gvc}:${pid.workload}`
  ]
}

/** The pool that the workloads were made for, and no other under its name. */
export const isStillOurs = Effect.fnUntraced(function* ({ pool, poolId }: CleanupRules) {
  return (yield* Prefect.use((prefect) => prefect.readWorkPool(pool))).id === poolId
})

export const poolReplaced = "the work pool is not the one any more that it was made for"

/** Undefined when it was removed; else why not. To be called right after a look whose verdict was that it goes. */
export const remove = Effect.fn("runs.cleanup.remove")(function* (
  place: Place,
  rules: CleanupRules,
  /** Whether this process relies on it at this moment. */
  usedHere: Effect.Effect<boolean>
): Effect.fn.Return<string | undefined, ApiError, ControlPlane | Prefect> {
  const { gvc, name, org } = place.workload
  if (!(yield* isStillOurs(rules))) return poolReplaced
  if ((yield* inUse(rules.pool)).has(`${org}:${gvc}:${name}`)) return "an open run names it"
  if (!(yield* isStillOurs(rules))) return poolReplaced
  return yield* Effect.gen(function* () {
    const workloads = yield* Workloads
    const there = yield* workloads.read(place.workload)
    if (!isMarked(there)) return "an agent is about to use it"
    const live = yield* Commands.use((commands) => commands.find(place.workload, notOver))
    if (live.value.length > 0) return `its command ${live.value[0]?.id} is ${live.value[0]?.lifecycleStage}`
    if (yield* usedHere) return "a run is being launched into it"
    yield* workloads.removeOnce(place.workload)
    return undefined
  }).pipe(inPlace(place.access))
})
