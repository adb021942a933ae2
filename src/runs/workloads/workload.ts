/**
 * Sees to it that the cron workload of a job exists, is ours, is as it was sent, and is ready; its identity and policy
 * come before it.
 *
 * Invariant: a workload is found by its name and used only with our pool's tag on it; one that merely has the name is
 * refused, never overwritten. Of a spec that is read back only what was sent is compared: the service fills in defaults.
 */
import { Cache, Context, Duration, Effect, Equal, type Exit, Hash, Layer } from "effect"
import { ControlPlane } from "../../cpln/control-plane.ts"
import { at, type Place, placeKey } from "../../cpln/place.ts"
import type { Workload } from "../../cpln/schemas.ts"
import { Workloads } from "../../cpln/workloads.ts"
import type { ApiError } from "../../http/errors.ts"
import { differences } from "../../job/spec-drift.ts"
import { say } from "../../observe/say.ts"
import { RunsConfig } from "../config.ts"
import { silence } from "../decide/diagnose.ts"
import { type EnsuredIdentity, ensureIdentity } from "./identity.ts"
import { idleTag, isMarked } from "./idleness.ts"
import { poolTag } from "../decide/normalise.ts"
import { type Wanted, WorkloadUnusable } from "./wanted.ts"
import { steadyMillis } from "../steady.ts"

export { type Wanted, WorkloadUnusable } from "./wanted.ts"

export class EnsuredWorkloads extends Context.Service<
  EnsuredWorkloads,
  {
    /** Returns at once for a workload that was seen ready a short while ago; many at once are one look. */
    ensure(wanted: Wanted): Effect.Effect<void, WorkloadUnusable | ApiError>
    /** After a 404 on a command: the next `ensure` looks again. */
    invalidate(wanted: Wanted): Effect.Effect<void>
    /** Whether `ensure` was called for this place within this time, in ms. */
    usedWithin(place: Place, time: number): Effect.Effect<boolean>
  }
>()("agent/runs/EnsuredWorkloads") {
  static readonly layer: Layer.Layer<EnsuredWorkloads, never, ControlPlane | RunsConfig> = Layer.effect(
    EnsuredWorkloads,
    Effect.suspend(() => make)
  )
}

/** How long a ready workload is taken for ready and unchanged. */
const readyFor = Duration.minutes(1)
/** How long an identity and its rights are taken for there. */
const allowedFor = Duration.minutes(5)
const mostKnown = 10_000
/** A read and a write that somebody came between are made again this often. */
const tries = 3

/** Equal texts are one entry, whoever asks. */
class Entry implements Equal.Equal {
  readonly text: string
  readonly wanted: Wanted
  constructor(text: string, wanted: Wanted) {
    this.text = text
    this.wanted = wanted
  }
  [Equal.symbol](that: Equal.Equal): boolean {
    return that instanceof Entry && that.text === this.text
  }
  [Hash.symbol](): number {
    return Hash.string(this.text)
  }
}

/** With the secrets: runs with one service account share a workload, and not what they read. */
const identityEntry = (wanted: Wanted) =>
  new Entry(`${placeKey(wanted.place)} ${[...wanted.secrets].sort().join(" ")}`, wanted)
const readyEntry = (wanted: Wanted) =>
  new Entry(`${identityEntry(wanted).text} ${wanted.location} ${wanted.readyWithin}`, wanted)

const keptFor = (time: Duration.Duration) => (exit: Exit.Exit<unknown, unknown>) =>
  exit._tag === "Success" ? time : Duration.zero

const make = Effect.gen(function* () {
  const { identities, poolId } = yield* RunsConfig
  /** What was said or is put up with, by workload; said anew when the oldest are forgotten. */
  const known = new Map<string, string>()
  const isNew = (key: string, text: string): boolean => {
    if (known.get(key) === text) return false
    if (known.size >= mostKnown) known.clear()
    known.set(key, text)
    return true
  }

  const allowed = yield* Cache.makeWith(
    Effect.fnUntraced(function* ({ wanted }: Entry) {
      const { place, identity, policy, secrets, spec } = wanted
      const { gvc, path } = place.workload
      const serviceAccount = identity === undefined ? textOf(spec["identityLink"]) : undefined
      const ensured = yield* ensureIdentity(
        { access: place.access, gvc, identity, policy, secrets, serviceAccount },
        identities
      ).pipe(
        Effect.catchTag("IdentityUnusable", ({ message }) =>
          Effect.fail(new WorkloadUnusable({ workload: path, reason: message }))
        )
      )
      for (const note of ensured.notes) {
        if (isNew(`note ${path}`, note)) yield* say("warning", "Workload", aboutOf(wanted), note)
      }
      return ensured
    }),
    { capacity: mostKnown, timeToLive: keptFor(allowedFor) }
  )

  const identityOf = (wanted: Wanted) => Cache.get(allowed, identityEntry(wanted))
  const identityAnew = (wanted: Wanted) =>
    Effect.andThen(Cache.invalidate(allowed, identityEntry(wanted)), identityOf(wanted))

  /** Writes the workload; an identity that went away meanwhile is made anew, once. */
  const write = Effect.fnUntraced(function* (
    wanted: Wanted,
    identity: EnsuredIdentity,
    send: (spec: Wanted["spec"]) => Effect.Effect<void, ApiError>
  ) {
    yield* send(specFor(wanted, identity)).pipe(
      Effect.catchTag("Refused", (refused) =>
        identity.linked && wanted.identity !== undefined
          ? Effect.flatMap(identityAnew(wanted), (again) => send(specFor(wanted, again)))
          : Effect.fail(refused)
      )
    )
  })

  /** The workload as it is; undefined while a read does not show yet what was just written. */
  const found = Effect.fnUntraced(function* (wanted: Wanted) {
    const workloads = yield* Workloads.pipe(at(wanted.place.access))
    return yield* workloads
      .read(wanted.place.workload)
      .pipe(Effect.catchTag("NotFound", () => Effect.succeed(undefined)))
  })

  /** As `found`; a workload that clean-up marked as idle loses the mark: from now on it is in use. */
  const foundForUse = Effect.fnUntraced(function* (wanted: Wanted) {
    const { access, workload } = wanted.place
    for (let tried = 1; ; tried++) {
      const there = yield* found(wanted)
      const marked = there !== undefined && isMarked(there) && String(there.tags?.[poolTag]) === poolId
      if (!marked || tried > tries) return there
      yield* Workloads.use((workloads) => workloads.tag(workload, there, { [idleTag]: null })).pipe(
        Effect.catchTag(["Conflict", "NotFound", "Forbidden", "Refused"], () => Effect.void),
        at(access)
      )
    }
  })

  const ensureExists = Effect.fnUntraced(function* (wanted: Wanted) {
    const { tags, place } = wanted
    const { workload } = place
    const workloads = yield* Workloads.pipe(at(place.access))
    const before = yield* foundForUse(wanted)
    if (before !== undefined) return yield* ensureSame(wanted, before)
    yield* write(wanted, yield* identityAnew(wanted), (spec) =>
      // Another agent made it in between: then it must be ours like any other.
      workloads.create(workload, { tags, spec }).pipe(Effect.catchTag("Conflict", () => Effect.void))
    )
    const made = yield* found(wanted)
    if (made === undefined) return
    yield* refuseUnlessOurs(wanted, made, poolId)
    yield* say("info", "Workload", aboutOf(wanted), "Created.")
    // What the service itself makes of a spec is nobody's edit.
    const identity = yield* identityOf(wanted)
    isNew(workload.path, changesOf(wanted, identity, made).join(", "))
  })

  const ensureSame = Effect.fnUntraced(function* (wanted: Wanted, first: Workload) {
    const { workload } = wanted.place
    let there = first
    for (let tried = 1; tried <= tries; tried++) {
      yield* refuseUnlessOurs(wanted, there, poolId)
      const identity = yield* identityOf(wanted)
      const text = changesOf(wanted, identity, there).join(", ")
      if (text === "" || known.get(workload.path) === text) return
      const put = yield* putRight(wanted, identity, there, text)
      const after = yield* found(wanted)
      // Reads may lag behind writes: what is old tells nothing.
      if (after === undefined || (put && after.version === there.version)) return
      there = after
      if (!put) continue
      const left = changesOf(wanted, identity, after).join(", ")
      if (left === "") {
        known.delete(workload.path)
        return yield* say("warning", "Workload", aboutOf(wanted), `Somebody changed it (${text}): put right.`)
      }
      if (isNew(workload.path, left)) {
        const words = `It is not as it was sent (${left}), and writing it again does not change that; used as it is.`
        yield* say("warning", "Workload", aboutOf(wanted), words)
      }
      return
    }
  })

  /** False when somebody else wrote it at the same moment. */
  const putRight = Effect.fnUntraced(function* (
    wanted: Wanted,
    identity: EnsuredIdentity,
    there: Workload,
    changes: string
  ): Effect.fn.Return<boolean, WorkloadUnusable | ApiError, ControlPlane> {
    const { place, tags } = wanted
    const workloads = yield* Workloads.pipe(at(place.access))
    return yield* write(wanted, identity, (spec) =>
      workloads.replace(place.workload, there, {
        tags: { ...there.tags, ...tags },
        spec: withTheirLink(spec, there)
      })
    ).pipe(
      Effect.as(true),
      Effect.catchTag("Conflict", () => Effect.succeed(false)),
      Effect.catchTag(["Forbidden", "Refused"], ({ message }) =>
        Effect.fail(
          new WorkloadUnusable({
            workload: place.workload.path,
            reason: `somebody changed it (${changes}), and it cannot be put right: ${message}. Undo the change, or delete the workload: the agent makes it anew.`
          })
        )
      )
    )
  })

  const ready = yield* Cache.makeWith(
    Effect.fnUntraced(function* ({ wanted }: Entry) {
      yield* ensureExists(wanted)
      yield* untilReady(wanted)
    }),
    { capacity: mostKnown, timeToLive: keptFor(readyFor) }
  )
  /** When each place was last asked for, by `steadyMillis`. */
  const used = new Map<string, number>()
  return EnsuredWorkloads.of({
    ensure: Effect.fn("runs.ensureWorkload")(function* (wanted) {
      // The last use stands last, so that the oldest go when there are too many.
      used.delete(placeKey(wanted.place))
      if (used.size >= mostKnown) used.delete(used.keys().next().value ?? "")
      used.set(placeKey(wanted.place), yield* steadyMillis)
      yield* Cache.get(ready, readyEntry(wanted))
    }),
    invalidate: (wanted) => Cache.invalidate(ready, readyEntry(wanted)),
    usedWithin: Effect.fnUntraced(function* (place, time) {
      const last = used.get(placeKey(place))
      return last !== undefined && (yield* steadyMillis) - last < time
    })
  })
})

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

const aboutOf = ({ place: { workload } }: Wanted) => ({ gvc: workload.gvc, workload: workload.name })

/** An identity that is not there must not be linked: the platform would refuse the workload. */
const specFor = ({ spec }: Wanted, { linked }: EnsuredIdentity): Wanted["spec"] => {
  if (linked) return spec
  const { identityLink: _notThere, ...rest } = spec
  return rest
}

/** An agent that may not make identities leaves the link of one that may. */
const withTheirLink = (spec: Wanted["spec"], there: Workload): Wanted["spec"] => {
  const link = textOf(there.spec?.["identityLink"])
  return "identityLink" in spec || link === undefined ? spec : { ...spec, identityLink: link }
}

const changesOf = (wanted: Wanted, identity: EnsuredIdentity, there: Workload): ReadonlyArray<string> => [
  ...differences(wanted.tags, there.tags, "tags"),
  ...differences(specFor(wanted, identity), there.spec, "spec")
]

const refuseUnlessOurs = Effect.fnUntraced(function* (
  { place: { workload } }: Wanted,
  { tags }: Workload,
  poolId: string
) {
  if (String(tags?.[poolTag]) === poolId) return
  yield* new WorkloadUnusable({
    workload: workload.path,
    reason: `a workload of this name exists without the tag ${poolTag}=${poolId}, so it is not this pool's. Rename or delete it.`
  })
})

const lookEvery = Duration.seconds(1)

const untilReady = Effect.fnUntraced(function* ({ place, location, readyWithin }: Wanted) {
  const workloads = yield* Workloads.pipe(at(place.access))
  const start = yield* steadyMillis
  for (;;) {
    const deployments = yield* workloads.deployments(place.workload)
    const here = deployments.value.find((each) => each.name === location)
    if (here?.status?.ready === true) return
    const waited = (yield* steadyMillis) - start
    if (waited >= readyWithin) {
      const names = deployments.value.map((each) => each.name).join(", ")
      return yield* new WorkloadUnusable({
        workload: place.workload.path,
        reason:
          here === undefined
            ? `it is not deployed in location "${location}" (it is in: ${names === "" ? "none" : names})`
            : `not ready in "${location}" after ${Math.round(waited / 1000)} s (pod_watch_timeout_seconds): ${here.status?.message || silence}`
      })
    }
    yield* Effect.sleep(lookEvery)
  }
})
