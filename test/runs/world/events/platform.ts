/**
 * What the platform, and people in it, do to jobs and workloads.
 *
 * Invariant: only what is our pool's, or one run's, is picked; what belongs to others has its own fate.
 */
import { Clock, Effect } from "effect"
import type { Command } from "../../../../src/cpln/schemas.ts"
import { finalStages } from "../platform-model.ts"
import { location, pid, poolId, workload, type World } from "../world.ts"
import { between, done, forSeconds, kind, oneOf, someRun } from "./kind.ts"

/** Does something to the live job of the run or, where it has none, of another run of our pool. */
const toLive = (
  world: World,
  run: string,
  what: (commandId: string, now: number) => void,
  stage?: "running"
) =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const fits = (each: Command) =>
      !finalStages.has(each.lifecycleStage) && (stage === undefined || each.lifecycleStage === stage)
    const live = world.platform.commandsOf(run).find(fits) ?? ownCommands(world).find(fits)
    if (live !== undefined) what(live.id, now)
    return live !== undefined
  })

const ownCommands = (world: World): ReadonlyArray<Command> =>
  world.platform.commands().filter(({ tags }) => tags?.["prefect.io/work-pool-id"] === poolId)

const ownWorkloads = (world: World): ReadonlyArray<string> =>
  [...world.platform.workloads].flatMap(([path, { tags }]) =>
    tags["prefect.io/work-pool-id"] === poolId ? [path] : []
  )

export const events = {
  /** The platform ends the job by itself, as after a stop. */
  "platform stops": kind<{ readonly run: string }>({
    weight: 1,
    draw: someRun,
    apply: ({ world }, { run }) => toLive(world, run, (id) => world.platform.onStop(id))
  }),

  /** The machine or the memory of a job is gone at once; only of one that has a replica. */
  "containers killed": kind<{ readonly run: string; readonly reason: "Evicted" | "OOMKilled" | "NodeLost" }>({
    weight: 1,
    draw: (cast) =>
      Effect.all({ run: oneOf(...cast.runs), reason: oneOf("Evicted", "OOMKilled", "NodeLost") }),
    apply: ({ world }, { reason, run }) =>
      toLive(world, run, (id) => world.platform.onKill(id, 137, reason), "running")
  }),

  /** The newest job that failed, of the run or of another, turns out to have completed. */
  "failed corrected": kind<{ readonly run: string }>({
    weight: 0.5,
    draw: someRun,
    apply: ({ world }, { run }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const fails = (each: Command) => each.lifecycleStage === "failed"
        const failed = world.platform.commandsOf(run).findLast(fails) ?? ownCommands(world).findLast(fails)
        if (failed === undefined) return false
        world.platform.change(now, failed.id, { stage: "completed", corrected: true })
        return true
      })
  }),

  /**
   * The live command is deleted, and with it its job; or only the command, while the job runs to its end among the
   * executions.
   */
  "job vanishes": kind<{ readonly run: string; readonly listed: boolean }>({
    weight: 1,
    draw: (cast) => Effect.all({ run: oneOf(...cast.runs), listed: oneOf(false, false, true) }),
    apply: ({ world }, { listed, run }) =>
      toLive(world, run, (id, now) => {
        if (!listed) world.platform.forgetExecution(now, id)
        world.platform.deleteCommand(now, "person", id, listed)
      })
  }),

  "workload deleted": kind<{}>({
    weight: 0.5,
    draw: () => Effect.succeed({}),
    apply: ({ world }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const [path] = ownWorkloads(world)
        if (path !== undefined) world.platform.deleteWorkload(now, "person", path)
        return path !== undefined
      })
  }),

  /** A person edits a workload of ours: what it runs, or what it says of itself. */
  "workload edited": kind<{ readonly of: "spec" | "spec hash" }>({
    weight: 0.5,
    draw: () => Effect.all({ of: oneOf("spec", "spec hash") }),
    apply: ({ world }, { of }) =>
      Effect.sync(() => {
        const [path] = ownWorkloads(world)
        if (path === undefined) return false
        world.editWorkload(path, ({ spec, tags }) =>
          of === "spec"
            ? { spec: { ...spec, edited: true } }
            : { tags: { ...tags, "cpln/specHash": "edited" } }
        )
        return true
      })
  }),

  /** Commands that are over are listed no more. */
  "history rotated": kind<{}>({
    weight: 0.5,
    draw: () => Effect.succeed({}),
    apply: ({ world }) =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        ownWorkloads(world).some((path) => world.platform.rotate(now, path) > 0)
      )
  }),

  /** For a while commands name their replicas late, and executions lag; in ms. */
  "platform lags": kind<{ readonly replica: number; readonly executions: number; readonly seconds: number }>({
    weight: 0.5,
    draw: () =>
      Effect.all({
        replica: oneOf(0, 5_000, 20_000),
        executions: oneOf(0, 3_000, 15_000),
        seconds: between(30, 120)
      }),
    apply: ({ world }, { executions, replica, seconds }) =>
      forSeconds(
        seconds,
        () => void Object.assign(world.platform.lag, { replica, executions }),
        () => void Object.assign(world.platform.lag, { replica: 0, executions: 0 })
      )
  }),

  "stops come to nothing": kind<{ readonly times: number }>({
    weight: 0.5,
    draw: () => Effect.all({ times: between(1, 2) }),
    apply: ({ world }, { times }) => done(Effect.sync(() => void (world.platform.vainStops += times)))
  }),

  /** Jobs take long to end after a stop, for a while. */
  "slow stops": kind<{ readonly grace: number; readonly seconds: number }>({
    weight: 0.5,
    draw: () => Effect.all({ grace: oneOf(60, 90), seconds: between(60, 120) }),
    apply: ({ world }, { grace, seconds }) => {
      const before = world.stopping.grace
      return forSeconds(
        seconds,
        () => void (world.stopping.grace = grace),
        () => void (world.stopping.grace = before)
      )
    }
  }),

  /** New workloads take so many ms until they are ready, for a while. */
  "slow workloads": kind<{ readonly ready: number; readonly seconds: number }>({
    weight: 0.25,
    draw: () => Effect.all({ ready: oneOf(10_000, 40_000), seconds: between(20, 90) }),
    apply: ({ world }, { ready, seconds }) =>
      forSeconds(
        seconds,
        () => void (world.platform.readyAfter = ready),
        () => void (world.platform.readyAfter = 0)
      )
  }),

  /** A run of our pool that the Python agent serves, with its job; its engine never says anything. Not drawn by chance. */
  "job of the reference": kind<{ readonly run: string }>({
    weight: 0,
    draw: () => Effect.succeed({ run: "reference-1" }),
    apply: ({ world }, { run }) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const theirs = workload("python-agent-job")
        const tags = { "cpln/createdByPrefect": "true" }
        world.platform.makeWorkload(now, "person", theirs, { tags, spec: {} })
        const made = new Date(now).toISOString()
        world.platform.addCommand(now, "person", theirs, {
          id: `job-of-${run}`,
          type: "runCronWorkload",
          created: made,
          lastModified: made,
          lifecycleStage: "running",
          tags: { "prefect.io/flow-run-id": run, "cpln/prefectAgent": "python-agent" },
          spec: { location, containerOverrides: [{ name: "prefect-job", args: ["prefect"] }] },
          status: { replica: `command-job-of-${run}-replica` }
        })
        yield* world.addRun(run, { infrastructure_pid: pid(theirs.name, `job-of-${run}`) })
        yield* world.propose(run, "RUNNING", { force: true })
        return true
      })
  })
} as const
