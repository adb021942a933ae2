/**
 * Clean-up: looks at our workloads in turn, marks those that are used no more, and deletes them at a second look, with
 * their identity and policy.
 *
 * Invariant: one step is one look, and the pause after it is as long as its requests are many: with any number of
 * workloads the steps of an hour stay within the idle budget. Replicas share the looks by rendezvous, and each takes over
 * from one that does not come.
 */
import { Duration, Effect, Random } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { type Place, placeKey } from "../cpln/place.ts"
import type { ApiError } from "../http/errors.ts"
import { CurrentLane } from "../http/lane.ts"
import { duration } from "../observe/duration.ts"
import { say } from "../observe/say.ts"
import type { Prefect } from "../prefect/prefect.ts"
import { Board } from "../runs/look/board.ts"
import { type CleanupRules, lookAt, mark, remove } from "../runs/workloads/cleanup.ts"
import { RunsConfig } from "../runs/config.ts"
import { looksApart, type Verdict } from "../runs/workloads/idleness.ts"
import { linkedIn, orphansIn, removeOrphan } from "../runs/workloads/orphans.ts"
import type { Corner } from "../runs/places.ts"
import { OnlineWorkers, rankOf } from "../runs/act/rendezvous.ts"
import { steadyMillis } from "../runs/steady.ts"
import { EnsuredWorkloads } from "../runs/workloads/workload.ts"
import { Launcher } from "./launcher.ts"
import { OurWorkloads } from "./ours.ts"

export interface CleanupSettings {
  /** After the last completion, in ms. */
  readonly ttl: number
  /** Nothing is written: what would be is said once. */
  readonly observe: boolean
}

export type CleanupEnvironment =
  | Prefect
  | ControlPlane
  | RunsConfig
  | Board
  | Launcher
  | EnsuredWorkloads
  | OurWorkloads
  | OnlineWorkers

/** Pause per request of a look, and after a write: at most five workloads a minute. */
const perRequest = Duration.seconds(45)
const afterWrite = Duration.seconds(12)
const listEvery = 3_600_000
/** A replica waits this long for each that comes before it in the order, in ms. */
const patience = 2 * 3_600_000
/** How soon a workload that is another's to look at is thought of again, in ms. */
const recheckAfter = 600_000
/** A launch of this process relies on its workload for less than this, in ms. */
const launchTakes = 300_000
/** What could not be looked at, in ms. */
const tryAgainAfter = 3_600_000

interface Item {
  /** With the credential that listed it last. */
  place: Place
  /** When it is due for a look, by `steadyMillis`. */
  dueAt: number
  /** Not thought of before, by `steadyMillis`. */
  checkAt: number
}

/** Returns one step, which returns the pause that is to follow it. */
export const makeCleanup = Effect.fn("agent.makeCleanup")(function* (settings: CleanupSettings) {
  const { identities, pool, poolId, workerName } = yield* RunsConfig
  const rules: CleanupRules = { pool, poolId, ttl: settings.ttl, apart: looksApart(settings.ttl) }
  const agenda = new Map<string, Item>()
  const told = new Set<string>()
  const before = new Set<string>()
  let workers: { readonly at: number; readonly names: ReadonlySet<string> } | undefined
  let listedAt: number | undefined
  let begun = false
  /** Workloads that were deleted here: what was made with them is looked for at the next list. */
  const gone = new Set<string>()

  /** The first list is what the sync has read; later ones are read slowly. */
  const list = Effect.fnUntraced(function* (now: number) {
    const ours = yield* OurWorkloads
    const all = yield* listedAt === undefined ? ours.known : ours.refresh(Effect.sleep(perRequest))
    listedAt = now
    const keys = new Set(all.map(placeKey))
    for (const key of agenda.keys()) if (!keys.has(key)) agenda.delete(key)
    for (const place of all) {
      const key = placeKey(place)
      const known = agenda.get(key)
      if (known === undefined) agenda.set(key, { place, dueAt: now, checkAt: now })
      else known.place = place
    }
    if (identities === "manage") yield* sweepOrphans(all)
  })

  const sweepOrphans = Effect.fnUntraced(function* (all: ReadonlyArray<Place>) {
    for (const corner of (yield* OurWorkloads).corners()) {
      const { access, gvc } = corner
      const known = new Set(
        all
          .filter(({ workload }) => workload.org === access.org && workload.gvc === gvc)
          .map(({ workload }) => workload.name)
      )
      yield* sweepCorner(corner, known).pipe(
        Effect.catchTag(["Forbidden", "Unauthorised", "NotFound", "Refused", "Conflict"], (error) =>
          say("debug", "Cleanup", { gvc }, `identities are left as they are: ${error.message}`)
        )
      )
    }
  })

  /** Seen at two lists in turn, unless their workload was deleted here in between. */
  const sweepCorner = Effect.fnUntraced(function* (corner: Corner, known: ReadonlySet<string>) {
    const { gvc } = corner
    const found = yield* orphansIn(corner, rules, known, Effect.sleep(perRequest))
    const key = (name: string) => `${corner.access.org}/${gvc}/${name}`
    const twice = found.filter((name) => before.has(key(name)) || gone.has(key(name)))
    for (const name of found) remembered(before, key(name))
    if (twice.length === 0) return
    const linked = yield* linkedIn(corner)
    for (const name of twice) {
      if ((yield* rank(key(name))) > 0) continue
      if (settings.observe) {
        yield* tellOnce(
          key(name),
          { gvc, workload: name },
          "Would delete the identity and the policy of this workload, which is gone."
        )
        continue
      }
      const kept = yield* removeOrphan(corner, name, rules, linked)
      yield* say(
        kept === undefined ? "info" : "debug",
        "Cleanup",
        { gvc, workload: name },
        kept === undefined
          ? "Deleted the identity and the policy of this workload, which is gone."
          : `Its identity stays: ${kept}.`
      )
      if (kept === undefined) before.delete(key(name))
      yield* Effect.sleep(afterWrite)
    }
  })

  const tellOnce = Effect.fnUntraced(function* (
    key: string,
    about: { readonly gvc: string; readonly workload: string },
    words: string
  ) {
    if (told.has(key)) return
    remembered(told, key)
    yield* say("info", "Cleanup", about, words)
  })

  /** The place of this worker in the order for a key; an old list of workers will do. */
  const rank = Effect.fnUntraced(function* (key: string) {
    const now = yield* steadyMillis
    if (workers === undefined || now - workers.at >= recheckAfter) {
      workers = { at: now, names: yield* (yield* OnlineWorkers).names }
    }
    return rankOf(key, workerName, workers.names)
  })

  /** The next that is due and ours to look at; undefined when there is none now. */
  const next = Effect.fnUntraced(function* (now: number) {
    for (const [key, item] of agenda) {
      if (item.dueAt > now || item.checkAt > now) continue
      if (now >= item.dueAt + (yield* rank(key)) * patience) return item
      item.checkAt = now + recheckAfter
    }
    return undefined
  })

  const usedHere = Effect.fnUntraced(function* (place: Place) {
    const { launching } = yield* Launcher
    const board = yield* Board
    const here = launching().flatMap((id) => board.of(id).place ?? [])
    return (
      here.some((each) => placeKey(each) === placeKey(place)) ||
      (yield* (yield* EnsuredWorkloads).usedWithin(place, launchTakes))
    )
  })

  /** Carries out what a look came to; returns how long until the next look at it, in ms. */
  const carryOut = Effect.fnUntraced(function* (
    place: Place,
    verdict: Exclude<Verdict, { _tag: "Stays" }>,
    at: number
  ) {
    const { gvc, name, org } = place.workload
    const about = { gvc, workload: name }
    if (settings.observe) {
      yield* tellOnce(
        placeKey(place),
        about,
        `Would delete it, with its identity and policy: ${verdict.why}.`
      )
      return tryAgainAfter
    }
    const environment = yield* Effect.context<Launcher | Board | EnsuredWorkloads>()
    const isUsed = Effect.provideContext(usedHere(place), environment)
    if (yield* isUsed) return rules.apart
    if (verdict._tag === "Mark") {
      yield* mark(place, at)
      yield* say(
        "debug",
        "Cleanup",
        about,
        `It is ${verdict.why}: looked at again in ${duration(rules.apart)}.`
      )
      return rules.apart
    }
    const kept = yield* remove(place, rules, isUsed)
    if (kept !== undefined) {
      yield* say("debug", "Cleanup", about, `It is ${verdict.why}, and stays: ${kept}.`)
      return tryAgainAfter
    }
    yield* say("info", "Cleanup", about, `Deleted: ${verdict.why}.`)
    remembered(gone, `${org}/${gvc}/${name}`)
    agenda.delete(placeKey(place))
    return tryAgainAfter
  })

  const look = Effect.fnUntraced(function* (item: Item, now: number) {
    const { place } = item
    // Whatever becomes of this look, the others come first.
    item.dueAt = now + tryAgainAfter
    const { at, cost, verdict } = yield* lookAt(place, rules)
    if (verdict._tag === "Stays") {
      item.dueAt = now + Math.max(1_000, verdict.again)
      return Duration.times(perRequest, cost)
    }
    item.dueAt = now + (yield* carryOut(place, verdict, at)) + 1_000
    return settings.observe ? Duration.times(perRequest, cost) : afterWrite
  })

  return Effect.fn("agent.cleanup")(
    function* (): Effect.fn.Return<Duration.Duration, ApiError, CleanupEnvironment> {
      if (!begun) {
        begun = true
        // Not all replicas at once, and not while a start has its hands full.
        return Duration.seconds(yield* Random.nextBetween(60, 180))
      }
      const now = yield* steadyMillis
      if (listedAt === undefined || now - listedAt >= listEvery) {
        yield* list(now)
        // From its end: one of thousands takes longer than an hour, and the looks have their turn after it.
        listedAt = yield* steadyMillis
        return perRequest
      }
      const item = yield* next(now)
      if (item === undefined) return Duration.minutes(1)
      const { gvc, name } = item.place.workload
      return yield* look(item, now).pipe(
        Effect.catchTag("NotFound", () => {
          agenda.delete(placeKey(item.place))
          return Effect.succeed(perRequest)
        }),
        Effect.catchTag(["Forbidden", "Unauthorised", "Refused", "Conflict"], (error) =>
          Effect.as(say("debug", "Cleanup", { gvc, workload: name }, error.message), perRequest)
        )
      )
    },
    Effect.provideService(CurrentLane, "sweep")
  )
})

const mostRemembered = 10_000

/** The oldest goes when there are too many. */
const remembered = (all: Set<string>, key: string): void => {
  if (all.size >= mostRemembered) for (const oldest of all) if (all.delete(oldest)) break
  all.add(key)
}
