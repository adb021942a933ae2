/**
 * What a Prefect server in memory holds, what is asked of it, and what people do to it directly: pools, queues, deployments,
 * the database as a whole.
 *
 * Invariant: every method is one step that takes the time it happens at, and every write goes into the chronicle. States
 * are not written here: they have rules.
 */
import type { RunFilter } from "../../../src/prefect/prefect.ts"
import type { Deployment, Flow, FlowRun, State, WorkPool } from "../../../src/prefect/schemas.ts"
import type { Chronicle, Writer } from "./chronicle.ts"
import { RunStore } from "./prefect-store.ts"

export interface Queue {
  readonly name: string
  /** 1 is the highest. */
  readonly priority: number
  readonly isPaused: boolean
}

export interface StoredPool {
  readonly pool: WorkPool
  readonly queues: ReadonlyArray<Queue>
  readonly concurrency: number | undefined
}

export interface LogLine {
  readonly runId: string
  readonly level: number
  readonly message: string
  readonly at: number
  readonly by: Writer
}

const timeOf = (text: string | null | undefined): number => (text ? Date.parse(text) : Number.NaN)
/** Runs in these states take a slot of their pool, their queue and their deployment. */
export const holdsSlot = ["PENDING", "RUNNING"]

export class PrefectRecords {
  readonly pools = new Map<string, StoredPool>()
  readonly flows = new Map<string, Flow>()
  readonly deployments = new Map<string, Deployment>()
  /** Runs of a deployment that may be PENDING or RUNNING at once. */
  readonly deploymentLimits = new Map<string, number>()
  readonly blocks = new Map<string, Readonly<Record<string, unknown>>>()
  /** Slugs of their types, by id. */
  readonly blockTypes = new Map<string, string>()
  readonly variables = new Map<string, unknown>()
  readonly workers = new Map<string, { readonly pool: string; readonly seenAt: number }>()
  readonly logs: Array<LogLine> = []
  readonly events: Array<Readonly<Record<string, unknown>>> = []
  /** When each pause times out, by the id of its state. */
  readonly pauses = new Map<string, number>()
  /** When each lease ends. */
  readonly leases = new Map<string, number>()
  /** As 2.20 on SQLite under load: a claim is accepted although another one was a moment ago. */
  acceptsTwo = false
  /** Deployments at whose limit a new run is cancelled instead of held back. */
  readonly cancelsNew = new Set<string>()
  protected readonly runs = new RunStore()
  readonly chronicle: Chronicle
  readonly line: "2" | "3"
  #counter = 0

  constructor(chronicle: Chronicle, line: "2" | "3") {
    this.chronicle = chronicle
    this.line = line
  }

  get version(): string {
    return this.line === "2" ? "2.20.25" : "3.8.8"
  }

  protected nextId(kind: string): string {
    return `${kind}-${++this.#counter}`
  }

  // Runs as they are

  /** Undefined for one that does not exist, or did not at that time. */
  run(id: string, asOf?: number): FlowRun | undefined {
    return this.runs.run(id, asOf)
  }

  states(id: string): ReadonlyArray<State> {
    return this.runs.states(id)
  }

  all(asOf?: number): ReadonlyArray<FlowRun> {
    return this.runs.all(asOf)
  }

  delete(now: number, id: string, by: Writer = "person"): void {
    if (this.run(id) === undefined) return
    this.runs.delete(now, id)
    this.chronicle.add({ at: now, by, what: "run deleted", runId: id })
  }

  // People

  /** The database as it was at a time: runs made later are gone, states written later too. */
  restore(asOf: number, now: number = asOf): void {
    this.runs.restore(asOf)
    this.chronicle.add({ at: now, by: "person", what: "database", how: "restored", asOf })
  }

  /** An empty database, in which somebody has set up the same again: the same names, other ids. */
  reset(now: number, poolIds: (name: string) => string): void {
    this.runs.clear()
    this.workers.clear()
    this.leases.clear()
    this.logs.length = 0
    for (const [name, stored] of this.pools) {
      this.pools.set(name, { ...stored, pool: { ...stored.pool, id: poolIds(name) } })
    }
    this.chronicle.add({ at: now, by: "person", what: "database", how: "reset" })
  }

  /** Its runs stay, without a pool and a queue: they are never offered again. */
  deletePool(now: number, name: string): void {
    const stored = this.pools.get(name)
    if (stored === undefined) return
    this.pools.delete(name)
    for (const run of this.all()) {
      if (run.work_pool_id !== stored.pool.id) continue
      this.runs.put(now, { ...run, work_pool_id: null, work_queue_name: null })
    }
    for (const [worker, { pool }] of this.workers) if (pool === name) this.workers.delete(worker)
    this.chronicle.add({ at: now, by: "person", what: "pool", name, how: "deleted" })
  }

  /** Undefined fields stay as they are. */
  changePool(now: number, name: string, change: Partial<WorkPool>, queues?: Partial<Queue>): void {
    const stored = this.pools.get(name)
    if (stored === undefined) return
    this.pools.set(name, {
      ...stored,
      pool: { ...stored.pool, ...change },
      queues: stored.queues.map((each) => ({ ...each, ...queues }))
    })
    this.chronicle.add({ at: now, by: "person", what: "pool", name, how: "changed" })
  }

  /** Its SCHEDULED runs go with it; the others keep its id. */
  deleteDeployment(now: number, id: string): void {
    this.deployments.delete(id)
    for (const run of this.runs.all(undefined, ["SCHEDULED"])) {
      if (run.deployment_id === id) this.delete(now, run.id, "server")
    }
  }

  // Queries

  /** In the order of the pool's poll; undefined when the pool or a queue is not known. */
  scheduled(
    asOf: number,
    ask: {
      readonly pool: string
      readonly queues: ReadonlyArray<string>
      readonly before: number
      readonly limit: number
    }
  ): ReadonlyArray<FlowRun> | undefined {
    const stored = this.pools.get(ask.pool)
    if (stored === undefined) return undefined
    const names = ask.queues.length > 0 ? ask.queues : stored.queues.map(({ name }) => name)
    const queues = names.map((name) => stored.queues.find((each) => each.name === name))
    if (queues.some((each) => each === undefined)) return undefined
    const open = new Map(
      queues.flatMap((queue) =>
        queue === undefined || queue.isPaused ? [] : [[queue.name, queue.priority] as const]
      )
    )
    if (stored.pool.is_paused === true) return []
    const inPool = (types: ReadonlyArray<string>) =>
      this.runs.all(asOf, types).filter((run) => run.work_pool_id === stored.pool.id)
    const room =
      stored.concurrency === undefined
        ? Number.POSITIVE_INFINITY
        : stored.concurrency - inPool(holdsSlot).length
    return inPool(["SCHEDULED"])
      .filter(
        (run) =>
          timeOf(run.next_scheduled_start_time) <= ask.before &&
          run.empirical_policy?.["retry_type"] !== "in_process" &&
          open.has(run.work_queue_name ?? "")
      )
      .sort(
        (a, b) =>
          (open.get(a.work_queue_name ?? "") ?? 0) - (open.get(b.work_queue_name ?? "") ?? 0) ||
          timeOf(a.next_scheduled_start_time) - timeOf(b.next_scheduled_start_time)
      )
      .slice(0, Math.max(0, Math.min(ask.limit, room)))
      .map((run) => ({ ...run, state: null }))
  }

  find(asOf: number, filter: RunFilter): ReadonlyArray<FlowRun> {
    const poolId = filter.pool === undefined ? undefined : (this.pools.get(filter.pool)?.pool.id ?? "none")
    const meets = (list: ReadonlyArray<string> | undefined, value: string | null | undefined) =>
      list === undefined || list.includes(value ?? "")
    return this.runs
      .all(asOf, filter.alsoNamed === undefined ? filter.stateTypes : undefined)
      .filter(
        (run) =>
          (meets(filter.stateTypes, run.state_type) ||
            filter.alsoNamed?.includes(run.state_name ?? "") === true) &&
          meets(filter.ids, run.id) &&
          (filter.started === undefined || (run.start_time ?? undefined) !== undefined) &&
          meets(filter.stateNames, run.state_name) &&
          meets(filter.queues, run.work_queue_name) &&
          (filter.tags ?? []).every((tag) => run.tags.includes(tag)) &&
          (poolId === undefined || run.work_pool_id === poolId)
      )
  }
}
