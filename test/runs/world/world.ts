/**
 * A whole world for tests: both services in memory, jobs that play, and agents as they are, on the test clock.
 *
 * Invariant: deterministic: all time comes from `Clock` and all chance from `Random`, so that a seed tells the whole story.
 * What a test asserts is read from the models, never asked from an agent.
 */
import { Clock, Context, Effect } from "effect"
import { TestClock } from "effect/testing"
import { type Command, WorkloadRef } from "../../../src/cpln/schemas.ts"
import { officialTemplate } from "../../../src/job/template.ts"
import type { Deployment, FlowRun, Orchestration, State } from "../../../src/prefect/schemas.ts"
import { Chronicle } from "./chronicle.ts"
import { Faults } from "./faults.ts"
import { flow, type Script } from "./jobs.ts"
import { answered } from "./landing.ts"
import { PlatformModel } from "./platform-model.ts"
import type { StoredWorkload } from "./platform-objects.ts"
import { playJobs, type Stopping } from "./playing.ts"
import { type NewRun, type ProposedState, PrefectModel } from "./prefect-model.ts"

export const org = "acme"
export const gvc = "dev"
export const location = "aws-us-west-2"
export const poolName = "cpln"
export const poolId = "0f3b6a52-97ea-4ffd-8d44-0cbf3d6e7b10"

/** When every world begins. */
export const begin = Date.parse("2026-03-01T04:00:00.000Z")

export interface WorldOptions {
  readonly line?: "2" | "3"
}

interface ManifestTemplate extends Readonly<Record<string, unknown>> {
  readonly job_configuration: {
    readonly job_manifest: {
      readonly spec: { readonly template: { readonly spec: { readonly containers: Array<object> } } }
    }
  }
}

export class World {
  readonly chronicle = new Chronicle()
  readonly faults = new Faults()
  /** What processes start from, whoever starts them. */
  context: Context.Context<never> = Context.empty()
  readonly prefect: PrefectModel
  readonly platform: PlatformModel
  /** How far the services' clocks are ahead of the agents', in ms. */
  readonly skew = { prefect: 0, platform: 0 }
  readonly stopping: Stopping = { grace: 10, endsAs: "cancelled" }
  /** Tokens that Control Plane does not take any more. */
  readonly refusedTokens = new Set<string>()
  /** What the jobs of a run do; else `usual`. */
  readonly scripts = new Map<string, Script>()
  usual: Script = flow()
  #commands = 0
  #second: PrefectModel | undefined
  #turn = 0

  constructor({ line = "3" }: WorldOptions) {
    this.prefect = new PrefectModel(this.chronicle, line)
    this.platform = new PlatformModel(this.chronicle)
    this.addPool(poolName, poolId)
    this.prefect.flows.set("flow-1", { id: "flow-1", name: "etl" })
    this.prefect.deployments.set("deployment-1", {
      id: "deployment-1",
      name: "nightly",
      flow_id: "flow-1",
      job_variables: {}
    })
    this.platform.gvcs.set(`${org}/${gvc}`, [location, "gcp-us-east1"])
  }

  addPool(name: string, id: string): void {
    this.prefect.pools.set(name, {
      pool: {
        id,
        name,
        type: "cpln",
        base_job_template: officialTemplate({ version: this.prefect.version })
      },
      queues: [{ name: "default", priority: 1, isPaused: false }],
      concurrency: undefined
    })
  }

  /** The server that the next call comes to: with two behind one address they take turns. */
  server(): PrefectModel {
    return this.#second !== undefined && ++this.#turn % 2 === 0 ? this.#second : this.prefect
  }

  /** From now on a second server, without any of the runs, answers every other call; its pool has that id. */
  split(now: number, secondPoolId: string): void {
    const second = new PrefectModel(new Chronicle(), this.prefect.line)
    for (const [name, stored] of this.prefect.pools) {
      second.pools.set(name, { ...stored, pool: { ...stored.pool, id: secondPoolId } })
    }
    this.#second = second
    this.chronicle.add({ at: now, by: "person", what: "database", how: "split" })
  }

  join(now: number): void {
    if (this.#second === undefined) return
    this.#second = undefined
    this.chronicle.add({ at: now, by: "person", what: "database", how: "joined" })
  }

  /** No fault that waits for its call comes any more. */
  peace(): void {
    for (const rule of this.faults.rules) rule.left = 0
    this.faults.rules.length = 0
    this.platform.vainStops = 0
  }

  /** From now on every job of the pool has a second container. */
  addSideContainer(): void {
    const stored = this.prefect.pools.get(poolName)
    if (stored === undefined) throw new Error("the world has no pool")
    const template = structuredClone(stored.pool.base_job_template) as ManifestTemplate
    template.job_configuration.job_manifest.spec.template.spec.containers.push({
      name: "proxy",
      image: "proxy:1"
    })
    this.prefect.pools.set(poolName, { ...stored, pool: { ...stored.pool, base_job_template: template } })
  }

  /** From now on a pool of 2.20 whose deployments bring their own infrastructure. */
  makePoolForAgents(): void {
    const stored = this.prefect.pools.get(poolName)
    if (stored === undefined) throw new Error("the world has no pool")
    this.prefect.pools.set(poolName, {
      ...stored,
      pool: { ...stored.pool, type: "prefect-agent", base_job_template: {} }
    })
  }

  /** Changes what the usual deployment says. */
  deploy(change: Partial<Deployment>): void {
    const before = this.prefect.deployments.get("deployment-1")
    if (before !== undefined) this.prefect.deployments.set("deployment-1", { ...before, ...change })
  }

  /** A person edits the workload. */
  editWorkload(
    path: string,
    edit: (stored: StoredWorkload) => Partial<Pick<StoredWorkload, "tags" | "spec">>
  ): void {
    const stored = this.platform.workloads.get(path)
    if (stored === undefined) throw new Error(`no workload ${path}`)
    this.platform.workloads.set(path, { ...stored, ...edit(stored), version: stored.version + 1 })
  }

  scriptOf(command: Command): Script {
    return this.scripts.get(String(command.tags?.["prefect.io/flow-run-id"])) ?? this.usual
  }

  /** A run of our pool that is due now, or at `due`. */
  readonly addRun = (id: string, more: Omit<NewRun, "id"> = {}): Effect.Effect<FlowRun> =>
    Effect.map(Clock.currentTimeMillis, (now) => this.prefect.add(now, { id, work_pool_id: poolId, ...more }))

  /** A workload of our pool. */
  readonly addWorkload = (
    name: string,
    tags: Readonly<Record<string, string>> = {}
  ): Effect.Effect<WorkloadRef> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const ref = workload(name)
      this.platform.makeWorkload(now, "person", ref, {
        tags: { "prefect.io/work-pool-id": poolId, ...tags },
        spec: {}
      })
      return ref
    })

  /** A command that no script plays, live with a replica unless `stage` says otherwise. */
  readonly addCommand = (
    ref: WorkloadRef,
    runId: string,
    {
      stage = "running",
      tags = {},
      containers = 1,
      args = ["prefect", "flow-run", "execute"],
      ...more
    }: {
      readonly id?: string
      readonly stage?: string
      readonly tags?: Readonly<Record<string, string>>
      readonly containers?: number
      readonly args?: ReadonlyArray<string>
      readonly created?: number
    } = {}
  ): Effect.Effect<string> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const id = more.id ?? `given${++this.#commands}`
      const created = new Date(more.created ?? now).toISOString()
      this.platform.addCommand(now, "person", ref, {
        id,
        type: "runCronWorkload",
        created,
        lastModified: created,
        lifecycleStage: stage,
        tags: {
          "prefect.io/flow-run-id": runId,
          "prefect.io/flow-name": "etl",
          "prefect.io/work-pool-id": poolId,
          "cpln/prefectAgent": "agent-a",
          ...tags
        },
        spec: {
          location,
          containerOverrides: Array.from({ length: containers }, (_, index) => ({
            name: index === 0 ? "prefect-job" : `side-${index}`,
            args
          }))
        },
        ...(stage === "pending" ? {} : { status: { replica: `command-${id}-replica` } })
      })
      return id
    })

  /** Somebody in the user interface, or another program: proposes as people do. */
  readonly propose = (
    runId: string,
    type: string,
    more: Partial<ProposedState> = {}
  ): Effect.Effect<Orchestration | undefined> =>
    Effect.gen({ self: this }, function* () {
      const now = yield* Clock.currentTimeMillis
      const proposed = this.prefect.proposeLate(now, "person", runId, { type, ...more })
      // Whoever clicks does not wait for what comes of it.
      if (proposed?.landing !== undefined) yield* Effect.forkDetach(answered(proposed))
      return proposed?.answer
    })

  /** A person goes on with a run that is paused or, with a new job, suspended; false when it is neither. */
  readonly resume = (runId: string, suspended: boolean): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      const run = this.prefect.run(runId)
      const isSuspended = run?.state?.state_details?.pause_reschedule === true
      if (run?.state_type !== "PAUSED" || isSuspended !== suspended) return Effect.succeed(false)
      return Effect.as(
        suspended ? this.propose(runId, "SCHEDULED", { name: "Resuming" }) : this.propose(runId, "RUNNING"),
        true
      )
    })

  /** A person edits the run. */
  readonly change = (runId: string, change: Partial<FlowRun>) =>
    Effect.map(Clock.currentTimeMillis, (now) => this.prefect.change(now, "person", runId, change))

  /** The platform's own doing, for a command that no script plays. */
  readonly setStage = (commandId: string, stage: string, exitCode?: number): Effect.Effect<void> =>
    Effect.map(Clock.currentTimeMillis, (now) =>
      this.platform.change(now, commandId, {
        stage,
        corrected: true,
        ...(exitCode === undefined
          ? {}
          : { execution: { containers: { "prefect-job": { restarts: { exitCode } } } } })
      })
    )

  /** The command is there no more, in no list of the platform. */
  readonly vanish = (commandId: string): Effect.Effect<void> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      this.platform.forgetExecution(now, commandId)
      this.platform.deleteCommand(now, "person", commandId)
    })

  // What tests read

  readonly run = (id: string): FlowRun => {
    const found = this.prefect.run(id)
    if (found === undefined) throw new Error(`no run ${id}`)
    return found
  }

  readonly stateOf = (id: string): string => this.prefect.run(id)?.state_type ?? "deleted"

  readonly stageOf = (commandId: string): string =>
    this.platform.command(commandId)?.lifecycleStage ?? "deleted"

  /** Stages of all jobs of a run, oldest first. */
  readonly stages = (runId: string): ReadonlyArray<string> =>
    this.platform.commandsOf(runId).map((each) => each.lifecycleStage)

  /** Types of the run's states, oldest first. */
  readonly types = (runId: string): ReadonlyArray<string> =>
    this.prefect.states(runId).map((each) => each.type)

  readonly logOf = (runId: string): string =>
    this.prefect.logs
      .filter((each) => each.runId === runId)
      .map((each) => each.message)
      .join("\n")

  /** Commands for which a stop was asked. */
  readonly stopped = (): ReadonlyArray<string> =>
    this.chronicle.of("job stop asked").map((each) => each.commandId)
}

export const workload = (name: string): WorkloadRef => new WorkloadRef({ org, gvc, name })

export const pid = (name: string, commandId: string): string => `${org}:${gvc}:${name}:${commandId}`

export const makeWorld = Effect.fnUntraced(function* (options: WorldOptions = {}) {
  yield* TestClock.setTime(begin)
  const world = new World(options)
  world.context = yield* Effect.context<never>()
  world.faults.clock = yield* Clock.clockWith(Effect.succeed)
  yield* playJobs(world)
  return world
})

/** A state as it stands in a run's history. */
export const stateAt = (
  at: number,
  type: string,
  { name, ...more }: Partial<Pick<State, "name" | "message" | "state_details">> = {}
): State => ({
  id: `${type} at ${at}`,
  type,
  name: name ?? `${type.charAt(0)}${type.slice(1).toLowerCase()}`,
  timestamp: new Date(at).toISOString(),
  ...more
})

/** A claim as it stands in a run's history. */
export const claimState = (
  transitionId: string,
  {
    agent = "agent-a",
    at = begin,
    where,
    tryNumber = 1,
    adopts
  }: {
    readonly agent?: string
    readonly at?: number
    readonly where: string
    readonly tryNumber?: number
    readonly adopts?: string
  }
): State => ({
  ...stateAt(at, "PENDING", {
    message: `Claimed by ${agent} | attempt ${transitionId} | ${where} | try ${tryNumber}${adopts === undefined ? "" : ` | adopts ${adopts}`}`,
    state_details: { transition_id: transitionId }
  }),
  id: `state of ${transitionId}`
})

/** The hand-back of such a claim. */
export const handedBack = (
  transitionId: string,
  {
    agent = "agent-a",
    at = begin,
    where,
    tryNumber = 1,
    reason = "lost"
  }: {
    readonly agent?: string
    readonly at?: number
    readonly where: string
    readonly tryNumber?: number
    readonly reason?: "lost" | "drain"
  }
): State => ({
  ...stateAt(at, "SCHEDULED", {
    name: "AwaitingRetry",
    message: `Handed back by ${agent} | attempt ${transitionId} | ${where} | try ${tryNumber} | ${reason}`,
    state_details: { scheduled_time: new Date(at).toISOString() }
  }),
  id: `hand back of ${transitionId}`
})

/** Value of a command's attempt tag. */
export const attemptOf = (transitionId: string, at: number = begin): string =>
  `${new Date(at).toISOString()}_${transitionId}`

/** `org:gvc:workload` as claims name it. */
export const whereOf = (name: string): string => `${org}:${gvc}:${name}`
