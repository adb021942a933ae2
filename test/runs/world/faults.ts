/**
 * What can go wrong with one call of either service, before or after it took effect.
 *
 * Invariant: a model commits in one step, so that a fault is either before the commit (nothing happened) or after it
 * (everything did), and a caller that is cut off never leaves half a write.
 */
import { Clock, Duration, Effect, Random } from "effect"
import { type ApiError, RateLimited, type ServiceName, Unavailable } from "../../../src/http/errors.ts"
import type { Writer } from "./chronicle.ts"

/** One call, as a rule for faults sees it. `subject` is the run's id, or the workload's name. */
export interface Call {
  readonly service: ServiceName
  readonly name: string
  readonly by: Writer
  readonly subject: string
}

export type Fault =
  /** The connection could not be made: surely nothing happened. */
  | { readonly kind: "refused" }
  | { readonly kind: "reset" | "503"; readonly commit: "before" | "after" | "never" }
  /** No answer within the client's time. It takes effect at once, never, or that many ms after the call. */
  | { readonly kind: "timeout"; readonly lands: "at once" | "never" | number }
  | { readonly kind: "429"; readonly retryAfterMillis?: number }
  | { readonly kind: "error"; readonly error: (call: Call) => ApiError }
  /** The answer is as old as that, in ms. For reads. */
  | { readonly kind: "stale"; readonly by: number }
  /** In ms, before and after it takes effect. */
  | { readonly kind: "slow"; readonly before: number; readonly after: number }

export interface Rule {
  readonly when: (call: Call) => boolean
  readonly fault: Fault
  /** How many calls it hits. */
  left: number
}

/** What one view of a service shares with the others, and what is its own. */
export interface Line {
  readonly by: Writer
  /** Passes while the caller lives; a caller that was killed waits here for ever. */
  readonly gate: Effect.Effect<void>
}

export interface Latency {
  readonly least: number
  readonly most: number
}

export class Faults {
  readonly rules: Array<Rule> = []
  readonly fired: Array<{ readonly call: Call; readonly fault: Fault }> = []
  latency: Latency = { least: 10, most: 10 }

  /** The next `times` calls that match are hit; returns how to end that. */
  on(when: (call: Call) => boolean, fault: Fault, times = 1): () => void {
    const rule: Rule = { when, fault, left: times }
    this.rules.push(rule)
    return () => void (rule.left = 0)
  }

  /** As `on`, by the name of the call alone. */
  onCall(name: string, fault: Fault, times = 1): () => void {
    return this.on((call) => call.name === name, fault, times)
  }

  /** All calls of a service fail until the returned function is called. */
  outage(service: ServiceName, fault: Fault = { kind: "503", commit: "never" }): () => void {
    return this.on((call) => call.service === service, fault, Number.POSITIVE_INFINITY)
  }

  take(call: Call): Fault | undefined {
    const rule = this.rules.find((each) => each.left > 0 && each.when(call))
    if (rule === undefined) return undefined
    rule.left--
    this.fired.push({ call, fault: rule.fault })
    return rule.fault
  }
}

/** When a call takes effect, and of which time its answer is; both in ms since 1970. */
export interface Moment {
  readonly now: number
  readonly asOf: number
}

/**
 * One call of a service: `commit` does in one step what the service does. A timeout is as long as the real client's.
 */
export const served = Effect.fnUntraced(function* <A>(
  faults: Faults,
  line: Line,
  call: Call,
  timeout: number,
  commit: (moment: Moment) => Effect.Effect<A, ApiError>
): Effect.fn.Return<A, ApiError> {
  yield* line.gate
  const fault = faults.take(call)
  const half = yield* halfOf(faults.latency)
  const take = (stale = 0) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => commit({ now, asOf: now - stale }))
  const about = { service: call.service, request: `${call.name} ${call.subject}` }
  const unavailable = (detail: string, mayHaveHappened: boolean) =>
    new Unavailable({ ...about, detail, mayHaveHappened })
  const answered = <B>(value: B) => Effect.as(Effect.andThen(pause(half), line.gate), value)

  yield* pause(half)
  yield* line.gate
  switch (fault?.kind) {
    case undefined:
      return yield* Effect.flatMap(Effect.result(take()), (result) =>
        Effect.andThen(answered(undefined), Effect.fromResult(result))
      )
    case "refused":
      return yield* unavailable("the connection could not be made", false)
    case "reset":
    case "503":
      if (fault.commit === "after") yield* Effect.exit(take())
      yield* answered(undefined)
      return yield* unavailable(fault.kind === "503" ? "status 503" : "the connection broke", true)
    case "timeout": {
      const lands = fault.lands === "at once" ? 0 : fault.lands
      if (lands !== "never") yield* Effect.forkDetach(Effect.andThen(pause(lands), take()))
      yield* pause(timeout)
      return yield* unavailable(`no answer within ${timeout / 1000} s`, true)
    }
    case "429":
      yield* answered(undefined)
      return yield* new RateLimited({
        ...about,
        ...(fault.retryAfterMillis === undefined ? {} : { retryAfterMillis: fault.retryAfterMillis })
      })
    case "error":
      yield* answered(undefined)
      return yield* Effect.fail(fault.error(call))
    case "stale":
      return yield* Effect.flatMap(take(fault.by), answered)
    case "slow": {
      yield* pause(fault.before)
      yield* line.gate
      const value = yield* take()
      yield* pause(fault.after)
      yield* line.gate
      return value
    }
  }
})

const pause = (ms: number) => (ms <= 0 ? Effect.void : Effect.sleep(Duration.millis(ms)))

const halfOf = ({ least, most }: Latency) =>
  least === most
    ? Effect.succeed(least / 2)
    : Effect.map(Random.nextIntBetween(least, most), (each) => each / 2)
