/**
 * What people do in Prefect: with runs at every stage, with the pool, its queues and deployments.
 *
 * Invariant: every state is proposed as the user interface or the API does it, and a pause that people begin has an end.
 */
import { Clock, Effect } from "effect"
import type { World } from "../world.ts"
import { pid, poolId, poolName } from "../world.ts"
import { between, done, forSeconds, kind, oneOf, someRun } from "./kind.ts"

const accepted = (answer: { readonly status: string } | undefined) => answer?.status === "ACCEPT"

/** What somebody may have put there. */
const pidFor = (
  world: World,
  how: "malformed" | "of another worker" | "of another run" | "nothing",
  run: string
) => {
  switch (how) {
    case "malformed":
      return "not a PID: at all"
    case "of another worker":
      return "cluster-1:default:prefect-job-x"
    case "nothing":
      return null
    case "of another run": {
      const other = world.platform
        .commands()
        .find(
          ({ tags }) =>
            tags?.["prefect.io/flow-run-id"] !== run && tags?.["prefect.io/work-pool-id"] !== undefined
        )
      const ref = other === undefined ? undefined : world.platform.workloadOf(other.id)
      return other === undefined || ref === undefined ? undefined : pid(ref.name, other.id)
    }
  }
}

export const events = {
  /** As the user interface (by force) or the API does; the legacy form is a CANCELLED of another name. */
  cancel: kind<{ readonly run: string; readonly force: boolean; readonly legacy: boolean }>({
    weight: 1,
    draw: (cast) =>
      Effect.all({
        run: oneOf(...cast.runs),
        force: oneOf(true, false),
        legacy: cast.line === "2" ? oneOf(true, false, false, false) : Effect.succeed(false)
      }),
    apply: ({ world }, { force, legacy, run }) =>
      Effect.suspend(() =>
        // Nobody can ask for a cancel of what is over.
        legacy && ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"].includes(world.stateOf(run))
          ? Effect.succeed(false)
          : Effect.map(
              legacy
                ? world.propose(run, "CANCELLED", { name: "Cancelling" })
                : world.propose(run, "CANCELLING", { force }),
              accepted
            )
      )
  }),

  /** A person starts a run again that is over. */
  retry: kind<{ readonly run: string }>({
    weight: 1,
    draw: someRun,
    apply: ({ world }, { run }) =>
      Effect.suspend(() =>
        ["COMPLETED", "FAILED", "CRASHED"].includes(world.stateOf(run))
          ? done(world.propose(run, "SCHEDULED", { name: "AwaitingRetry" }))
          : Effect.succeed(false)
      )
  }),

  "crash by hand": kind<{ readonly run: string }>({
    weight: 1,
    draw: someRun,
    apply: ({ world }, { run }) => Effect.map(world.propose(run, "CRASHED"), accepted)
  }),

  /** A person says how a run ended, whatever it does. */
  "state forced": kind<{ readonly run: string; readonly type: "COMPLETED" | "FAILED" | "CANCELLED" }>({
    weight: 0.5,
    draw: (cast) => Effect.all({ run: oneOf(...cast.runs), type: oneOf("COMPLETED", "FAILED", "CANCELLED") }),
    apply: ({ world }, { run, type }) => Effect.map(world.propose(run, type, { force: true }), accepted)
  }),

  /** To another time, at whatever stage it is; what had begun is a retry then, as the command line has it. */
  rescheduled: kind<{ readonly run: string; readonly later: number }>({
    weight: 0.5,
    draw: (cast) => Effect.all({ run: oneOf(...cast.runs), later: oneOf(0, 20, 90) }),
    apply: ({ world }, { later, run }) =>
      Effect.gen(function* () {
        const open = ["SCHEDULED", "PENDING", "RUNNING"].includes(world.stateOf(run))
        if (!open) return false
        const now = yield* Clock.currentTimeMillis
        const scheduledTime = new Date(now + 1000 * later).toISOString()
        const name = world.stateOf(run) === "SCHEDULED" ? "Scheduled" : "AwaitingRetry"
        return accepted(yield* world.propose(run, "SCHEDULED", { name, scheduledTime }))
      })
  }),

  /** From outside, where the flow itself does not know of it; the server ends it after five minutes. */
  "paused by hand": kind<{ readonly run: string; readonly suspended: boolean }>({
    weight: 0.5,
    draw: (cast) => Effect.all({ run: oneOf(...cast.runs), suspended: oneOf(true, false) }),
    apply: ({ world }, { run, suspended }) =>
      Effect.suspend(() => {
        const running = world.prefect
          .all()
          .find((each) => each.state_type === "RUNNING" && each.work_pool_id === poolId)
        const whose = world.stateOf(run) === "RUNNING" ? run : (running?.id ?? run)
        return Effect.map(
          world.propose(whose, "PAUSED", {
            pauseTimeout: 300_000,
            ...(suspended ? { name: "Suspended", pauseReschedule: true } : {})
          }),
          accepted
        )
      })
  }),

  "run deleted": kind<{ readonly run: string }>({
    weight: 0.25,
    draw: someRun,
    apply: ({ world }, { run }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const exists = world.prefect.run(run) !== undefined
        if (exists) world.prefect.delete(now, run)
        return exists
      })
  }),

  "PID edited": kind<{
    readonly run: string
    readonly to: "malformed" | "of another worker" | "of another run" | "nothing"
  }>({
    weight: 0.5,
    draw: (cast) =>
      Effect.all({
        run: oneOf(...cast.runs),
        to: oneOf("malformed", "of another worker", "of another run", "nothing")
      }),
    apply: ({ world }, { run, to }) =>
      Effect.suspend(() => {
        // A run that nobody has begun, with the PID of another kind of worker, is that worker's.
        const begun = world.prefect.states(run).some(({ type }) => type === "PENDING")
        const text = begun || to === "of another run" ? pidFor(world, to, run) : undefined
        return text === undefined ? Effect.succeed(false) : world.change(run, { infrastructure_pid: text })
      })
  }),

  "tags edited": kind<{ readonly run: string; readonly tags: ReadonlyArray<string> }>({
    weight: 0.25,
    draw: (cast) => Effect.all({ run: oneOf(...cast.runs), tags: oneOf<Array<string>>([], ["mine"]) }),
    apply: ({ world }, { run, tags }) => world.change(run, { tags: [...tags] })
  }),

  /** The pool, or all its queues; runs go on. */
  "pool paused": kind<{ readonly which: "pool" | "queues"; readonly seconds: number }>({
    weight: 0.5,
    draw: () => Effect.all({ which: oneOf("pool", "queues"), seconds: between(10, 60) }),
    apply: ({ world }, { seconds, which }) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const set = (paused: boolean) =>
          which === "pool"
            ? world.prefect.changePool(now, poolName, { is_paused: paused })
            : world.prefect.changePool(now, poolName, {}, { isPaused: paused })
        return forSeconds(
          seconds,
          () => set(true),
          () => set(false)
        )
      })
  }),

  /** So many runs of the deployment at once; a server of line 3 holds the others back. */
  "deployment limited": kind<{ readonly to: number; readonly seconds: number }>({
    weight: 0.5,
    draw: () => Effect.all({ to: oneOf(0, 1, 2), seconds: between(20, 90) }),
    apply: ({ world }, { seconds, to }) =>
      world.prefect.line === "2"
        ? Effect.succeed(false)
        : forSeconds(
            seconds,
            () => void world.prefect.deploymentLimits.set("deployment-1", to),
            () => void world.prefect.deploymentLimits.delete("deployment-1")
          )
  })
} as const
