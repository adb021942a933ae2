/**
 * Events that befall calls: answers that are lost, late, old, cut or wrong, and services that are away.
 *
 * Invariant: proposals that take effect long after their client gave up are left out, because no agent can do anything about
 * those: the server has no write on a condition. So are old answers to a read of one run, which the server does not give.
 */
import { Effect } from "effect"
import type { Fault } from "../faults.ts"
import { between, done, forSeconds, kind, later, oneOf } from "./kind.ts"

const single = [
  "propose",
  "readRun",
  "history",
  "changeRun",
  "scheduledRuns",
  "start",
  "get",
  "stopReplica",
  "deployments",
  "readWorkload",
  "createWorkload",
  "readWorkPool",
  "heartbeat"
] as const
const bulk = ["findRuns", "find"] as const
type CallName = (typeof single)[number] | (typeof bulk)[number]

const anyFault: Effect.Effect<Fault> = Effect.gen(function* () {
  const commit = yield* oneOf("never", "after")
  return yield* oneOf<Fault>(
    { kind: "refused" },
    { kind: "reset", commit },
    { kind: "503", commit },
    { kind: "503", commit: "never", retryAfterMillis: 5_000 },
    { kind: "429" },
    { kind: "429", retryAfterMillis: 7_000 },
    { kind: "timeout", lands: commit === "never" ? "never" : "at once" },
    { kind: "broken body", commit },
    { kind: "slow", before: 300, after: 4_000 },
    { kind: "slow", before: 0, after: 9_000 }
  )
})

const anyStatus = oneOf(400 as const, 401, 403, 404, 409, 422)
const services = oneOf("Prefect" as const, "Control Plane")

export const events = {
  /** The next calls of that name go wrong. */
  fault: kind<{ readonly call: CallName; readonly fault: Fault; readonly times: number }>({
    weight: 6,
    draw: () => Effect.all({ call: oneOf(...single, ...bulk), fault: anyFault, times: between(1, 3) }),
    apply: ({ world }, { call, fault, times }) =>
      done(Effect.sync(() => world.faults.onCall(call, fault, times)))
  }),

  /** The next call of that name gets an answer that means something, and is wrong. */
  "wrong status": kind<{ readonly call: CallName; readonly status: 400 | 401 | 403 | 404 | 409 | 422 }>({
    weight: 1,
    draw: () => Effect.all({ call: oneOf(...single, ...bulk), status: anyStatus }),
    apply: ({ world }, { call, status }) =>
      done(Effect.sync(() => world.faults.onCall(call, { kind: "status", status })))
  }),

  quota: kind<{ readonly times: number }>({
    weight: 0.3,
    draw: () => Effect.all({ times: between(1, 3) }),
    apply: ({ world }, { times }) =>
      done(Effect.sync(() => world.faults.onCall("start", { kind: "quota" }, times)))
  }),

  /** A page of a bulk read is missing, or all from one on. */
  "lost page": kind<{
    readonly call: (typeof bulk)[number]
    readonly from: number
    readonly to: number
    readonly times: number
  }>({
    weight: 1,
    draw: () =>
      Effect.gen(function* () {
        const from = yield* oneOf(0, 0.25, 0.5)
        return {
          call: yield* oneOf(...bulk),
          from,
          to: yield* oneOf(from + 0.25, 1),
          times: yield* between(1, 2)
        }
      }),
    apply: ({ world }, { call, from, times, to }) =>
      done(Effect.sync(() => world.faults.onCall(call, { kind: "lost page", from, to }, times)))
  }),

  /** A start lands that many ms after it was sent, when its client has given up. */
  "late start": kind<{ readonly lands: number }>({
    weight: 1,
    draw: () => Effect.all({ lands: oneOf(16_000, 25_000, 40_000, 60_000) }),
    apply: ({ world }, { lands }) =>
      done(Effect.sync(() => world.faults.onCall("start", { kind: "timeout", lands })))
  }),

  outage: kind<{
    readonly service: "Prefect" | "Control Plane"
    readonly seconds: number
    readonly how: Fault
  }>({
    weight: 1,
    draw: () =>
      Effect.all({
        service: services,
        seconds: oneOf(5, 15, 40, 40, 200),
        how: oneOf<Fault>(
          { kind: "503", commit: "never" },
          { kind: "refused" },
          { kind: "timeout", lands: "never" },
          { kind: "broken body", commit: "never" }
        )
      }),
    apply: ({ world }, { how, seconds, service }) =>
      done(Effect.suspend(() => later(seconds, Effect.sync(world.faults.outage(service, how)))))
  }),

  /** Everybody is told to slow down, for a while. */
  "storm of 429": kind<{
    readonly service: "Prefect" | "Control Plane"
    readonly seconds: number
    readonly retryAfterMillis: number
  }>({
    weight: 0.5,
    draw: () =>
      Effect.all({ service: services, seconds: between(10, 60), retryAfterMillis: oneOf(0, 3_000) }),
    apply: ({ world }, { retryAfterMillis, seconds, service }) =>
      done(
        Effect.suspend(() => {
          const fault: Fault = retryAfterMillis === 0 ? { kind: "429" } : { kind: "429", retryAfterMillis }
          return later(seconds, Effect.sync(world.faults.outage(service, fault)))
        })
      )
  }),

  /** Every answer takes that many ms more. */
  "slow answers": kind<{ readonly by: number; readonly seconds: number }>({
    weight: 0.5,
    draw: () => Effect.all({ by: oneOf(1_500, 4_000), seconds: between(20, 60) }),
    apply: ({ world: { faults } }, { by, seconds }) => {
      // Several may overlap: each takes away what it added.
      const add = (ms: number) => {
        const { least, most } = faults.latency
        faults.latency = { least: least + ms, most: most + ms }
      }
      return forSeconds(
        seconds,
        () => add(by),
        () => add(-by)
      )
    }
  }),

  /** Answers of a list or of a status that lags. */
  "stale read": kind<{
    readonly call: "findRuns" | "find" | "get" | "deployments"
    readonly by: number
    readonly times: number
  }>({
    weight: 1,
    draw: () =>
      Effect.all({
        call: oneOf("findRuns", "find", "get", "deployments"),
        by: oneOf(2_000, 5_000, 20_000),
        times: between(1, 4)
      }),
    apply: ({ world }, { by, call, times }) =>
      done(Effect.sync(() => world.faults.onCall(call, { kind: "stale", by }, times)))
  }),

  /** The next so many states of that type are accepted as ever, and written so many ms later. */
  "lands late": kind<{
    readonly by: "agent" | "engine" | "person"
    readonly type: "PENDING" | "SCHEDULED" | "RUNNING" | "PAUSED" | "COMPLETED" | "CANCELLING"
    readonly after: number
    readonly times: number
  }>({
    weight: 1,
    draw: () =>
      Effect.all({
        what: oneOf(
          { by: "agent" as const, type: "PENDING" as const },
          { by: "agent" as const, type: "SCHEDULED" as const },
          { by: "engine" as const, type: "RUNNING" as const },
          { by: "engine" as const, type: "PAUSED" as const },
          { by: "engine" as const, type: "COMPLETED" as const },
          { by: "person" as const, type: "CANCELLING" as const }
        ),
        after: oneOf(3_000, 12_000, 25_000),
        times: between(1, 3)
      }).pipe(Effect.map(({ what, ...more }) => ({ ...what, ...more }))),
    apply: ({ world }, { after, by, times, type }) =>
      done(Effect.sync(() => world.server().late.push({ by, type, after, left: times })))
  })
} as const
