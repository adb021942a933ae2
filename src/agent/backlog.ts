/**
 * What waits in the pool: said when a due run has waited for half a minute, again at growing pauses while one does, and once
 * more when none does.
 *
 * Invariant: what is said is of one poll; the server is asked for a count only when the poll's page was full and a line is
 * due. Trouble with that is no trouble of the poll.
 */
import { Effect } from "effect"
import { duration } from "../observe/duration.ts"
import { plural } from "../observe/plural.ts"
import { say } from "../observe/say.ts"
import { Prefect } from "../prefect/prefect.ts"
import { RunsConfig } from "../runs/config.ts"
import { steadyMillis } from "../runs/steady.ts"
import type { Offered } from "./launcher.ts"

/** From so late on a due run is said to wait, in ms. */
const lateFrom = 30_000
/** Pauses between lines, in ms: doubling from the first to the longest. */
const firstPause = 30_000
const longestPause = 300_000

/** One due run of a poll; `overdue` in ms, by the server's clock. */
export interface Due {
  readonly overdue: number
  readonly offered: Offered
}

/** `total` counts also those that the poll did not show. */
export const backlogWords = (due: ReadonlyArray<Due>, total: number): string => {
  const count = (tag: Offered["_tag"]) => due.filter(({ offered }) => offered._tag === tag).length
  const why = due.findLast(({ offered }) => offered._tag === "Held back")?.offered
  const parts = [
    [count("Under way"), "under way"],
    [count("Held back"), `held back (${why?._tag === "Held back" ? why.why : ""})`],
    [count("No room"), "beyond --limit"],
    [total - due.length, "not looked at yet"]
  ] as const
  const oldest = Math.max(...due.map(({ overdue }) => overdue))
  return `${plural(total, "due run")} ${total === 1 ? "waits" : "wait"} for a start, the oldest for ${duration(oldest)}: ${parts
    .filter(([some]) => some > 0)
    .map(([some, what]) => `${some} ${what}`)
    .join(", ")}.`
}

export const makeBacklog = Effect.fnUntraced(function* (queues: ReadonlyArray<string>) {
  const { pool } = yield* RunsConfig
  let said: { readonly next: number; readonly pause: number } | undefined

  /** `before` is the server's time in ms; `all` is false when there may be more than the poll showed. */
  return Effect.fn("agent.backlog")(function* (offers: ReadonlyArray<Due>, before: number, all: boolean) {
    const due = offers.filter(({ offered }) => offered._tag !== "Not taken")
    if (due.every(({ overdue }) => overdue < lateFrom)) {
      if (said !== undefined) yield* say("info", "Job", {}, "No due run waits for a start any more.")
      said = undefined
      return
    }
    const now = yield* steadyMillis
    if (said !== undefined && now < said.next) return
    const pause = said === undefined ? firstPause : Math.min(said.pause * 2, longestPause)
    said = { next: now + pause, pause }
    const total = all ? due.length : yield* countOf(before)
    yield* say("info", "Job", {}, backlogWords(due, Math.max(total, due.length)))
  })

  function countOf(before: number) {
    return Prefect.use((prefect) =>
      prefect.countRuns({
        pool,
        stateTypes: ["SCHEDULED"],
        dueBefore: before,
        ...(queues.length === 0 ? {} : { queues })
      })
    ).pipe(Effect.catch((error) => Effect.as(Effect.logDebug(error.message), 0)))
  }
})
