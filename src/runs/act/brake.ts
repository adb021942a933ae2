/**
 * The brake on mass action by absence: what would end because something is absent is wanted first, weighed together once
 * in a cycle, and carried out in the next when the weighing allowed it.
 *
 * Invariant: nothing is allowed before a whole cycle was weighed, so that no order within a cycle lets a few slip through;
 * what rests on something that was seen (a stage, a state) never comes here. All of it may be lost: a restarted agent
 * holds back anew.
 */
import { Clock, Context, DateTime, Effect, Layer } from "effect"
import { say } from "../../observe/say.ts"
import { RunsConfig } from "../config.ts"
import { type Absence, disruptionWindow, type Verdict, type Want, weigh } from "../decide/disruption.ts"
import { steadyMillis } from "../steady.ts"

/** Runs whose absence is doubted; beyond that the oldest are trusted again. */
const mostDoubted = 20_000
/** What is not asked for again in this time is asked for no more, in ms. */
const leastStale = 180_000

export class Brake extends Context.Service<
  Brake,
  {
    /** Absence asks to end something of this run, or may soon. */
    want(runId: string, kind: Absence): Effect.Effect<void>
    /** What the last look at the run came to rests on no absence. */
    readonly withdraw: (runId: string) => void
    /** Whether the last weighing lets it be carried out. */
    readonly allows: (runId: string) => boolean
    /** It is being carried out: it counts for the next fifteen minutes. */
    carryOut(runId: string): Effect.Effect<void>
    /** Something was seen after it had been absent, or after it had been replaced; `deletedRun` is the run, if it was that. */
    seenAgain(deletedRun?: string): Effect.Effect<void>
    /** The database does not hold what it held before. */
    readonly wentBack: Effect.Effect<void>
    /** Once at the end of each cycle, with the runs that have live jobs; `isWhole` when every workload answered. */
    weigh(live: ReadonlySet<string>, isWhole: boolean): Effect.Effect<void>
  }
>()("agent/runs/Brake") {
  static readonly layer = Layer.effect(
    Brake,
    Effect.gen(function* () {
      const { maxDisruption, monitorInterval } = yield* RunsConfig
      const stale = Math.max(3 * monitorInterval, leastStale)
      let wants = new Map<string, Want>()
      const wantedAt = new Map<string, number>()
      const carriedAt = new Map<string, number>()
      const doubted = new Set<string>()
      let seenAgainAt: number | undefined
      let wentBackAt: number | undefined
      let permitted: ReadonlySet<string> = new Set()
      let holding = false
      const forget = (runId: string) => {
        wants.delete(runId)
        wantedAt.delete(runId)
      }

      return Brake.of({
        want: Effect.fnUntraced(function* (runId, kind) {
          wantedAt.set(runId, yield* steadyMillis)
          if (wants.get(runId)?.kind !== kind)
            wants.set(runId, { kind, heldSince: undefined, forPerson: false })
        }),
        withdraw: (runId) => forget(runId),
        allows: (runId) => permitted.has(runId) && wants.has(runId),
        carryOut: Effect.fnUntraced(function* (runId) {
          carriedAt.set(runId, yield* steadyMillis)
        }),
        seenAgain: Effect.fnUntraced(function* (deletedRun) {
          seenAgainAt = yield* steadyMillis
          if (deletedRun !== undefined) doubted.add(deletedRun)
        }),
        wentBack: Effect.gen(function* () {
          wentBackAt = yield* steadyMillis
        }),
        weigh: Effect.fnUntraced(function* (live, isWhole) {
          const now = yield* steadyMillis
          for (const [id, at] of carriedAt) if (now - at >= disruptionWindow) carriedAt.delete(id)
          for (const [id, at] of wantedAt) if (now - at >= stale) forget(id)
          // A workload that does not answer may hold the job of any of them.
          for (const id of doubted) {
            const isOver = isWhole && !live.has(id) && !wants.has(id)
            if (isOver || doubted.size > mostDoubted) doubted.delete(id)
          }
          const verdict = weigh(
            { wants, carriedAt, doubted, seenAgainAt, wentBackAt },
            live,
            maxDisruption,
            now
          )
          wants = new Map(verdict.wants)
          permitted = verdict.permitted
          for (const [id, { forPerson }] of wants) if (forPerson) doubted.add(id)
          const holds = verdict.held.size > 0
          if (holds && !holding) yield* sayHeld(verdict, yield* Clock.currentTimeMillis)
          if (!holds && holding) yield* say("info", "Sync CPLN→Prefect", {}, "Brake: off again.")
          holding = holds
        })
      })
    })
  )
}

const causes = {
  "seen again": "something that was absent has been seen again, so that absence proves nothing now",
  "went back": "Prefect's database has gone back in time, so that what it does not know may well exist"
}

/** One line: what is held, why, and how it goes on; `now` is the local clock, for people. */
const sayHeld = ({ allowed, cause, held, hits, live }: Verdict, now: number) => {
  const all = [...held.values()]
  const gone = all.filter(({ kind }) => kind === "gone").length
  const deleted = all.length - gone
  const until = DateTime.formatIso(DateTime.makeUnsafe(now + disruptionWindow))
  const why =
    cause === "too many"
      ? `${hits} of ${live} live jobs would be affected within 15 minutes because something is absent, and at most ${allowed} may be`
      : causes[cause]
  return say(
    "error",
    deleted > 0 ? "Sync Prefect→CPLN" : "Sync CPLN→Prefect",
    {},
    [
      `Brake: ${why}. Nothing is ended for that reason.`,
      ...(gone > 0
        ? [`Runs whose job is gone (${gone}) are ended from ${until} on if every answer stays the same.`]
        : []),
      ...(deleted > 0
        ? [
            `Jobs of deleted runs (${deleted}) live on: if the runs really were deleted, restart the agent with --max-disruption ${Math.max(hits, 1)}, or stop the jobs at Control Plane.`
          ]
        : [])
    ].join(" ")
  )
}
