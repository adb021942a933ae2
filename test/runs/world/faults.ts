/**
 * What can go wrong with one call of either service, before or after it took effect.
 *
 * Invariant: a model commits in one step, so that a fault is either before the commit (nothing happened) or after it
 * (everything did), and a caller that is cut off never leaves half a write.
 */
import { Clock, Duration, Effect, Random } from "effect"
import {
  type ApiError,
  Conflict,
  Forbidden,
  NotFound,
  QuotaReached,
  RateLimited,
  Refused,
  type ServiceName,
  Unauthorised,
  Unavailable,
  Undecodable
} from "../../../src/http/errors.ts"
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
  | { readonly kind: "reset"; readonly commit: "before" | "after" | "never" }
  | {
      readonly kind: "503"
      readonly commit: "before" | "after" | "never"
      readonly retryAfterMillis?: number
    }
  /** No answer within the client's time. It takes effect at once, never, or that many ms after the call. */
  | { readonly kind: "timeout"; readonly lands: "at once" | "never" | number }
  | { readonly kind: "429"; readonly retryAfterMillis?: number }
  /** A 429 that names a quota. */
  | { readonly kind: "quota" }
  /** An answer of something in between, or of a service that is wrong: nothing was looked at, nothing done. */
  | { readonly kind: "status"; readonly status: 400 | 401 | 403 | 404 | 409 | 422 }
  /** A success whose body was cut off ("after"), or is a page of a proxy that never passed the request on. */
  | { readonly kind: "broken body"; readonly commit: "after" | "never" }
  /** A list of which a part is missing; both are shares of the whole, from 0 to 1. For reads of many. */
  | { readonly kind: "lost page"; readonly from: number; readonly to: number }
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
  /** Told of every call right before it is sent, and right after it took effect: where a caller can be killed or paused. */
  readonly at?: (call: Call, when: "before" | "after") => Effect.Effect<void>
}

export interface Latency {
  readonly least: number
  readonly most: number
}

export class Faults {
  readonly rules: Array<Rule> = []
  readonly fired: Array<{ readonly call: Call; readonly fault: Fault }> = []
  latency: Latency = { least: 10, most: 10 }
  /** The true time, whatever the caller's own clock shows. */
  clock: Clock.Clock | undefined = undefined

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
  /** When its caller made it, in ms since 1970: before whatever held up the caller, the way or the service. */
  readonly sent: number
}

/**
 * One call of a service: `commit` does in one step what the service does. A timeout is as long as the real client's.
 */
export const served = <A>(
  faults: Faults,
  line: Line,
  call: Call,
  timeout: number,
  commit: (moment: Moment) => Effect.Effect<A, ApiError>
): Effect.Effect<A, ApiError> => {
  const answer = serve(faults, line, call, timeout, commit)
  return faults.clock === undefined ? answer : Effect.provideService(answer, Clock.Clock, faults.clock)
}

const serve = Effect.fnUntraced(function* <A>(
  faults: Faults,
  line: Line,
  call: Call,
  timeout: number,
  commit: (moment: Moment) => Effect.Effect<A, ApiError>
): Effect.fn.Return<A, ApiError> {
  const told = (when: "before" | "after") => line.at?.(call, when) ?? Effect.void
  const sent = yield* Clock.currentTimeMillis
  yield* line.gate
  yield* told("before")
  yield* line.gate
  const fault = faults.take(call)
  const half = yield* halfOf(faults.latency)
  const take = (stale = 0) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => commit({ now, asOf: now - stale, sent }))
  const about = { service: call.service, request: `${call.name} ${call.subject}` }
  const unavailable = (detail: string, mayHaveHappened: boolean, retryAfterMillis?: number) =>
    new Unavailable({
      ...about,
      detail,
      mayHaveHappened,
      ...(retryAfterMillis === undefined ? {} : { retryAfterMillis })
    })
  const answered = Effect.andThen(told("after"), Effect.andThen(pause(half), line.gate))

  // What was sent arrives, whatever becomes of its sender then.
  yield* pause(half)
  switch (fault?.kind) {
    case undefined: {
      const result = yield* Effect.result(take())
      yield* answered
      return yield* Effect.fromResult(result)
    }
    case "refused":
      return yield* unavailable("the connection could not be made", false)
    case "reset":
    case "503":
      if (fault.commit === "after") yield* Effect.exit(take())
      yield* answered
      return yield* fault.kind === "503"
        ? unavailable("status 503", true, fault.retryAfterMillis)
        : unavailable("the connection broke", true)
    case "timeout": {
      const lands = fault.lands === "at once" ? 0 : fault.lands
      if (lands !== "never") yield* Effect.forkDetach(Effect.andThen(pause(lands), take()))
      yield* told("after")
      yield* pause(timeout)
      yield* line.gate
      return yield* unavailable(`no answer within ${timeout / 1000} s`, true)
    }
    case "429":
      yield* answered
      return yield* new RateLimited({
        ...about,
        ...(fault.retryAfterMillis === undefined ? {} : { retryAfterMillis: fault.retryAfterMillis })
      })
    case "quota":
      yield* answered
      return yield* new QuotaReached({ ...about, detail: "Quota exceeded" })
    case "status":
      yield* answered
      return yield* Effect.fail(errorOf(fault.status, about))
    case "broken body":
      if (fault.commit === "after") yield* Effect.exit(take())
      yield* answered
      return yield* new Undecodable({ ...about, detail: "the body is not JSON" })
    case "lost page": {
      const whole = yield* Effect.result(take())
      yield* answered
      return withoutPage(yield* Effect.fromResult(whole), fault)
    }
    case "error":
      yield* answered
      return yield* Effect.fail(fault.error(call))
    case "stale": {
      const old = yield* Effect.result(take(fault.by))
      yield* answered
      return yield* Effect.fromResult(old)
    }
    case "slow": {
      yield* pause(fault.before)
      const late = yield* Effect.result(take())
      yield* told("after")
      yield* pause(fault.after)
      yield* line.gate
      return yield* Effect.fromResult(late)
    }
  }
})

const errorOf = (
  status: Extract<Fault, { readonly kind: "status" }>["status"],
  about: { readonly service: ServiceName; readonly request: string }
): ApiError => {
  const detail = `status ${status}`
  switch (status) {
    case 401:
      return new Unauthorised({ ...about, detail })
    case 403:
      return new Forbidden({ ...about, detail })
    case 404:
      return new NotFound({ ...about, detail })
    case 409:
      return new Conflict({ ...about, detail })
    case 400:
    case 422:
      return new Refused({ ...about, status, detail })
  }
}

/** The value of a read of many, bare or with its time; anything else is whole or nothing. */
const withoutPage = <A>(value: A, { from, to }: { readonly from: number; readonly to: number }): A => {
  if (Array.isArray(value)) {
    const [first, last] = [Math.floor(value.length * from), Math.ceil(value.length * to)]
    return value.filter((_, index) => index < first || index >= last) as A
  }
  const seen = value as { readonly value?: unknown }
  return Array.isArray(seen.value) ? ({ ...seen, value: withoutPage(seen.value, { from, to }) } as A) : value
}

const pause = (ms: number) => (ms <= 0 ? Effect.void : Effect.sleep(Duration.millis(ms)))

const halfOf = ({ least, most }: Latency) =>
  least === most
    ? Effect.succeed(least / 2)
    : Effect.map(Random.nextIntBetween(least, most), (each) => each / 2)
