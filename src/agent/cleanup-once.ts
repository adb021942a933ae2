/**
 * Clean-up by hand: every workload of a pool in some GVCs is looked at, and what is idle goes at a second look.
 *
 * Invariant: as careful as the agent's own: the same looks as far apart, the same removal. A dry run writes nothing, not
 * even the mark of a first look.
 */
import { Duration, Effect } from "effect"
import type { ControlPlane } from "../cpln/control-plane.ts"
import { at, type Place } from "../cpln/place.ts"
import { Workloads } from "../cpln/workloads.ts"
import type { ApiError } from "../http/errors.ts"
import type { Prefect } from "../prefect/prefect.ts"
import { type CleanupRules, lookAt, mark, remove } from "../runs/workloads/cleanup.ts"
import { linkedIn, orphansIn, removeOrphan } from "../runs/workloads/orphans.ts"
import type { Corner } from "../runs/places.ts"
import { listOurs } from "./ours.ts"

export interface CleanupOptions {
  readonly rules: CleanupRules
  readonly corners: ReadonlyArray<Corner>
  /** Whether identities and policies are ours to delete. */
  readonly identities: "manage" | "given"
  readonly dryRun: boolean
  /** Told when the second look is waited for: how many there are, and for how long. */
  readonly waiting: (count: number, time: Duration.Duration) => Effect.Effect<void>
}

/** `failed`: it could not be looked at or deleted. */
export type Outcome = "deleted" | "would be deleted" | "stays" | "failed"

export interface Cleaned {
  readonly kind: "workload" | "identity and policy"
  readonly org: string
  readonly gvc: string
  /** Of the workload, also for what was made with it. */
  readonly name: string
  readonly outcome: Outcome
  readonly why: string
}

/** Fails when a list cannot be read, with `NotFound` when a GVC is not there: then nothing was deleted. */
export const cleanUpOnce = Effect.fn("agent.cleanUpOnce")(function* (
  options: CleanupOptions
): Effect.fn.Return<ReadonlyArray<Cleaned>, ApiError, ControlPlane | Prefect> {
  const { corners, dryRun, identities, rules, waiting } = options
  // The list of a GVC that nobody has is as empty as that of one in which nothing of ours is.
  yield* Effect.forEach(corners, ({ access, gvc }) =>
    Workloads.use((workloads) => workloads.readGvc(gvc)).pipe(
      // Who may not see it may still see what is in it.
      Effect.catchTag("Forbidden", () => Effect.void),
      at(access)
    )
  )
  const all = yield* listOurs(corners, rules.poolId)
  const known = new Set(all.map(({ workload }) => workload.path))
  const orphans = identities === "manage" ? yield* orphansOf(corners, rules, known) : []
  const first = yield* Effect.forEach(all, (place) => lookOnce(place, options))
  const marked = all.filter((_, index) => first[index] === "marked")
  if (!dryRun && marked.length + orphans.length > 0) {
    // Whole seconds in the answers' dates: one more, so that the mark is old enough.
    const time = Duration.millis(rules.apart + 1_000)
    yield* waiting(marked.length + orphans.length, time)
    yield* Effect.sleep(time)
  }
  const second = new Map(
    yield* Effect.forEach(marked, (place) =>
      Effect.map(lookOnce(place, options), (cleaned) => [place, cleaned] as const)
    )
  )
  const workloads = all.map((place, index): Cleaned => {
    const cleaned = second.get(place) ?? first[index]
    return cleaned === undefined || cleaned === "marked"
      ? { ...of(place), outcome: "stays", why: "it is marked as idle, and has to be looked at again" }
      : cleaned
  })
  const gone = all.filter((_, index) => workloads[index]?.outcome === "deleted")
  const left = [...orphans, ...(identities === "manage" ? gone.map(orphanOf(corners)) : [])]
  return [...workloads, ...(yield* removeOrphans(left, options))]
})

const of = ({ workload: { gvc, name, org } }: Place) => ({ kind: "workload" as const, org, gvc, name })

/** "marked": it is idle, and goes at the next look. */
const lookOnce = Effect.fnUntraced(function* (
  place: Place,
  { dryRun, rules }: CleanupOptions
): Effect.fn.Return<Cleaned | "marked", never, ControlPlane | Prefect> {
  return yield* Effect.gen(function* () {
    const { at: lookedAt, verdict } = yield* lookAt(place, rules)
    const { why } = verdict
    if (verdict._tag === "Stays") return { ...of(place), outcome: "stays" as const, why }
    if (dryRun) return { ...of(place), outcome: "would be deleted" as const, why }
    if (verdict._tag === "Mark") {
      yield* mark(place, lookedAt)
      return "marked" as const
    }
    const kept = yield* remove(place, rules, Effect.succeed(false))
    return kept === undefined
      ? { ...of(place), outcome: "deleted" as const, why }
      : { ...of(place), outcome: "stays" as const, why: `${why}, but ${kept}` }
  }).pipe(
    Effect.catchTag("NotFound", () =>
      Effect.succeed<Cleaned>({ ...of(place), outcome: "stays", why: "somebody else deleted it" })
    ),
    Effect.catch((error) => Effect.succeed<Cleaned>({ ...of(place), outcome: "failed", why: error.message }))
  )
})

interface Orphan {
  readonly corner: Corner
  readonly name: string
}

const orphansOf = Effect.fnUntraced(function* (
  corners: ReadonlyArray<Corner>,
  rules: CleanupRules,
  known: ReadonlySet<string>
) {
  const found = yield* Effect.forEach(corners, (corner) => {
    const prefix = `/org/${corner.access.org}/gvc/${corner.gvc}/workload/`
    const names = [...known].flatMap((path) => (path.startsWith(prefix) ? [path.slice(prefix.length)] : []))
    return orphansIn(corner, rules, new Set(names)).pipe(
      Effect.map((orphans) => orphans.map((name): Orphan => ({ corner, name }))),
      // Who may not see identities has made none.
      Effect.catchTag(["Forbidden", "NotFound"], () => Effect.succeed([]))
    )
  })
  return found.flat()
})

const orphanOf =
  (corners: ReadonlyArray<Corner>) =>
  ({ access, workload: { gvc, name } }: Place): Orphan => ({
    corner: corners.find((each) => each.access === access && each.gvc === gvc) ?? { access, gvc },
    name
  })

const removeOrphans = Effect.fnUntraced(function* (
  orphans: ReadonlyArray<Orphan>,
  { dryRun, rules }: CleanupOptions
): Effect.fn.Return<ReadonlyArray<Cleaned>, never, ControlPlane | Prefect> {
  const linked = new Map<Corner, ReadonlySet<string>>()
  const cleaned: Array<Cleaned> = []
  for (const { corner, name } of orphans) {
    const about = { kind: "identity and policy" as const, org: corner.access.org, gvc: corner.gvc, name }
    const why = "its workload is gone"
    if (dryRun) {
      cleaned.push({ ...about, outcome: "would be deleted", why })
      continue
    }
    const result = yield* Effect.gen(function* () {
      const links = linked.get(corner) ?? (yield* linkedIn(corner))
      linked.set(corner, links)
      return yield* removeOrphan(corner, name, rules, links)
    }).pipe(Effect.result)
    if (result._tag === "Success") {
      const kept = result.success
      cleaned.push({ ...about, outcome: kept === undefined ? "deleted" : "stays", why: kept ?? why })
      // A job that reads no secret may have none.
    } else if (result.failure._tag !== "NotFound") {
      cleaned.push({ ...about, outcome: "failed", why: result.failure.message })
    }
  }
  return cleaned
})
