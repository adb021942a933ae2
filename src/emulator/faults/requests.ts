/**
 * Faults of requests, around the handler that would have answered: before it, instead of it, and after it.
 *
 * Invariant: a fault "before" leaves no trace in the store, one "after" all that the request asked for. Routes of the
 * emulator's own are spared, so that whoever asked for a fault can take it back.
 */
import { Context, Effect, Exit } from "effect"
import type { Answer, Ask, Handler } from "../answer.ts"
import { ApiError } from "../errors.ts"
import { objectOf } from "../json.ts"
import { Store } from "../store.ts"
import { withHistory, withoutNext, withStage } from "./answers.ts"
import { type Fault, Faults, numberIn, type Subject, textIn } from "./faults.ts"
import { Past } from "./stale.ts"

export class RequestFaults extends Context.Service<
  RequestFaults,
  {
    /** The handler as it is met today. */
    readonly around: (handler: Handler) => Handler
  }
>()("emulator/faults/RequestFaults") {}

const ownPaths = /^\/(?:emulator(?:\/|$)|page\/|$)/u
const workloadPath =
  /^(?:\/replicas)?(\/org\/[^/]+\/gvc\/[^/]+\/workload\/([^/]+))(?:\/-command(?:\/([^/]+))?)?/u

const tooMany = (fault: Fault): ApiError => {
  const { what } = fault.rule
  const isQuota = what === "quota"
  const seconds = isQuota ? 0 : Math.ceil(numberIn(fault, "retryAfter"))
  return new ApiError({
    status: 429,
    code: isQuota ? "quotaExceeded" : "tooManyRequests",
    message: isQuota ? "Quota exceeded for this org" : "Too many requests, slow down",
    ...(seconds > 0 ? { headers: { "retry-after": String(seconds) } } : {})
  })
}

const serverError = (fault: Fault): ApiError =>
  new ApiError({ status: numberIn(fault, "status"), code: "unavailable", message: textIn(fault, "message") })

const dropped: Answer = { status: 503, text: "", cut: "dropped" }
const garbled: Answer = {
  status: 200,
  text: "<html><body><h1>upstream</h1></body></html>\n",
  headers: { "content-type": "text/html" }
}

export const make = Effect.gen(function* () {
  const faults = yield* Faults
  const store = yield* Store
  const past = yield* Past

  const subjectOf = ({ method, path, body }: Ask): Subject => {
    const found = workloadPath.exec(path)
    return {
      method,
      path,
      workload: found?.[2],
      tags: () => {
        const id = found?.[3]
        const command = id === undefined ? undefined : store.command(found![1]!, id)
        return command?.tags ?? objectOf(objectOf(body)["tags"])
      }
    }
  }

  /** One that happens at the given side of the handler. */
  const at = (what: "dropped" | "server-error", when: "after" | "before", chosen: Fault | undefined) => {
    const isNow = chosen !== undefined && chosen.rule.what === what && textIn(chosen, "when") === when
    if (isNow) faults.fired(chosen)
    return isNow ? chosen : undefined
  }

  const stale = (handler: Handler, ask: Ask, subject: Subject): Effect.Effect<Answer, ApiError> => {
    const isRead = ask.method === "GET" || ask.path.endsWith("/-query")
    const fault = isRead ? faults.strike("stale-read", subject) : undefined
    if (fault === undefined) return Effect.suspend(() => handler(ask))
    return Effect.flatMap(Effect.context<never>(), (context) => {
      const read = Effect.suspend(() => handler(ask))
      const seen = past.at(faults.time(fault), () => Effect.runSyncExitWith(context)(read))
      // A read that has to wait for something cannot look back.
      return Exit.isFailure(seen) && seen.cause.reasons.some(({ _tag }) => _tag === "Die") ? read : seen
    })
  }

  const changed = (answer: Answer, subject: Subject): Answer => {
    const apply = (
      what: "lost-page" | "short-history" | "unknown-stage",
      change: (fault: Fault) => Answer
    ) => {
      if (!faults.has(what)) return
      const fault = faults.choose(what, subject)
      if (fault === undefined) return
      const next = change(fault)
      if (next !== current) faults.fired(fault)
      current = next
    }
    let current = answer
    apply("lost-page", () => withoutNext(current))
    apply("short-history", (fault) => withHistory(current, numberIn(fault, "limit")))
    apply("unknown-stage", (fault) =>
      subject.method === "GET" || subject.path?.endsWith("/-query") === true
        ? withStage(current, textIn(fault, "stage"))
        : current
    )
    return current
  }

  const met = Effect.fnUntraced(function* (handler: Handler, ask: Ask) {
    const subject = subjectOf(ask)
    const latency = faults.strike("latency", subject)
    if (latency !== undefined) yield* Effect.sleep(faults.time(latency))
    const limited = faults.strike("rate-limited", subject) ?? faults.strike("quota", subject)
    if (limited !== undefined) return yield* tooMany(limited)
    const error = faults.choose("server-error", subject)
    const drop = faults.choose("dropped", subject)
    if (at("server-error", "before", error) !== undefined) return yield* serverError(error!)
    if (at("dropped", "before", drop) !== undefined) return dropped
    const answer = yield* stale(handler, ask, subject)
    if (at("server-error", "after", error) !== undefined) return yield* serverError(error!)
    if (at("dropped", "after", drop) !== undefined) return dropped
    if (faults.strike("garbled", subject) !== undefined) return garbled
    const told = changed(answer, subject)
    return faults.strike("truncated", subject) === undefined ? told : { ...told, cut: "truncated" as const }
  })

  return RequestFaults.of({
    around: (handler) => (ask) =>
      !faults.has() || ownPaths.test(ask.path) ? handler(ask) : met(handler, ask)
  })
})
