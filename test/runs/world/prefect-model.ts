/**
 * A Prefect server in memory: runs with their states, the rules by which it takes or refuses a state, the pool's poll, and
 * what runs are made from.
 *
 * Invariant: every method is one step that takes the time it happens at; nothing here waits, and every write goes into the
 * chronicle.
 */
import type { Proposal, RunFilter } from "../../../src/prefect/prefect.ts"
import type {
  Deployment,
  Flow,
  FlowRun,
  Orchestration,
  State,
  WorkPool
} from "../../../src/prefect/schemas.ts"
import type { Chronicle, Writer } from "./chronicle.ts"
import { verdictOf } from "./transitions.ts"

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

interface StoredRun {
  /** As it was from each moment on, oldest first. */
  readonly versions: Array<{ readonly at: number; readonly run: FlowRun }>
  readonly states: Array<State>
  retriesLeft: number
  deletedAt: number | undefined
}

/** What is not said is as the server fills it in. `history` are its states before `state`. */
export interface NewRun extends Partial<FlowRun> {
  readonly id: string
  /** In ms since 1970; now unless given. */
  readonly due?: number
  readonly retries?: number
  readonly history?: ReadonlyArray<State>
}

/** As the engine, a person or an agent proposes one. */
export interface ProposedState extends Omit<Proposal, "type" | "transitionId"> {
  readonly type: string
  readonly transitionId?: string
  readonly force?: boolean
  readonly pauseReschedule?: boolean
}

export interface LogLine {
  readonly runId: string
  readonly level: number
  readonly message: string
  readonly at: number
  readonly by: Writer
}

const iso = (ms: number): string => new Date(ms).toISOString()
const timeOf = (text: string | null | undefined): number => (text ? Date.parse(text) : Number.NaN)
const final = new Set(["COMPLETED", "FAILED", "CANCELLED", "CRASHED"])
/** How long a run may be overdue before the server calls it Late, in ms. */
const lateAfter = 15_000
/** A lease of a deployment's concurrency slot lives this long, in ms. */
const leaseFor = 300_000

export class PrefectModel {
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
  /** When each lease ends. */
  readonly leases = new Map<string, number>()
  /** As 2.20 on SQLite under load: a claim is accepted although another one was a moment ago. */
  acceptsTwo = false
  readonly #runs = new Map<string, StoredRun>()
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

  #id(kind: string): string {
    return `${kind}-${++this.#counter}`
  }

  // Runs as they are

  /** Undefined for one that does not exist, or did not at that time. */
  run(id: string, asOf = Number.POSITIVE_INFINITY): FlowRun | undefined {
    const stored = this.#runs.get(id)
    if (stored === undefined || (stored.deletedAt !== undefined && stored.deletedAt <= asOf)) return undefined
    if (asOf === Number.POSITIVE_INFINITY) return stored.versions.at(-1)?.run
    return stored.versions.findLast((each) => each.at <= asOf)?.run
  }

  states(id: string): ReadonlyArray<State> {
    return this.#runs.get(id)?.states ?? []
  }

  all(asOf?: number): ReadonlyArray<FlowRun> {
    return [...this.#runs.keys()].flatMap((id) => this.run(id, asOf) ?? [])
  }

  /** A run that is due at `due`; SCHEDULED unless a state is given. */
  add(now: number, { due = now, retries = 0, history = [], ...run }: NewRun): FlowRun {
    const state: State = {
      id: this.#id("state"),
      type: "SCHEDULED",
      name: "Scheduled",
      timestamp: iso(now),
      state_details: { scheduled_time: iso(due) }
    }
    const made: FlowRun = {
      name: `name of ${run.id}`,
      flow_id: "flow-1",
      deployment_id: "deployment-1",
      work_pool_id: "pool-1",
      work_queue_name: "default",
      run_count: 0,
      tags: [],
      empirical_policy: { retries, retry_delay: 0 },
      expected_start_time: iso(due),
      next_scheduled_start_time: run.state === undefined || run.state?.type === "SCHEDULED" ? iso(due) : null,
      ...asFields(run.state ?? state),
      ...run
    }
    const states = [...history, made.state ?? state]
    this.#runs.set(run.id, {
      versions: [{ at: now, run: made }],
      states,
      retriesLeft: retries,
      deletedAt: undefined
    })
    return made
  }

  delete(now: number, id: string): void {
    const stored = this.#runs.get(id)
    if (stored === undefined) return
    stored.deletedAt = now
    this.chronicle.add({ at: now, by: "person", what: "run deleted", runId: id })
  }

  /** The database as it was at a time: runs made later are gone, states written later too. */
  restore(asOf: number): void {
    for (const [id, stored] of this.#runs) {
      const kept = stored.versions.filter((each) => each.at <= asOf)
      if (kept.length === 0) {
        this.#runs.delete(id)
        continue
      }
      stored.versions.splice(0, stored.versions.length, ...kept)
      stored.states.splice(
        0,
        stored.states.length,
        ...stored.states.filter((each) => timeOf(each.timestamp) <= asOf)
      )
      if (stored.deletedAt !== undefined && stored.deletedAt > asOf) stored.deletedAt = undefined
    }
  }

  /** What the server's own service does: overdue runs are renamed, with a state of their own. */
  markLate(now: number): void {
    for (const run of this.all()) {
      if (run.state_type !== "SCHEDULED" || run.state_name !== "Scheduled") continue
      if (now - timeOf(run.next_scheduled_start_time) < lateAfter) continue
      this.#write(now, "server", run, {
        type: "SCHEDULED",
        name: "Late",
        scheduledTime: run.next_scheduled_start_time ?? iso(now)
      })
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
    const inPool = this.all(asOf).filter((run) => run.work_pool_id === stored.pool.id)
    const taken = inPool.filter((run) => run.state_type === "PENDING" || run.state_type === "RUNNING").length
    const room = stored.concurrency === undefined ? Number.POSITIVE_INFINITY : stored.concurrency - taken
    return inPool
      .filter(
        (run) =>
          run.state_type === "SCHEDULED" &&
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
    return this.all(asOf).filter(
      (run) =>
        meets(filter.ids, run.id) &&
        meets(filter.stateTypes, run.state_type) &&
        meets(filter.stateNames, run.state_name) &&
        meets(filter.queues, run.work_queue_name) &&
        (filter.tags ?? []).every((tag) => run.tags.includes(tag)) &&
        (poolId === undefined || run.work_pool_id === poolId)
    )
  }

  // Writes

  /** Undefined when the run does not exist. */
  propose(now: number, by: Writer, id: string, proposed: ProposedState): Orchestration | undefined {
    const run = this.run(id)
    const stored = this.#runs.get(id)
    if (run === undefined || stored === undefined) return undefined
    const current = run.state ?? null
    const refused = (status: "REJECT" | "ABORT", reason: string, state: State | null = current) => ({
      state,
      status,
      details: { reason }
    })
    const { transitionId, type } = proposed
    if (transitionId !== undefined && current?.state_details?.transition_id === transitionId) {
      return refused("REJECT", "This run has already made this state transition.")
    }
    const second = this.acceptsTwo && type === "PENDING" && run.state_type === "PENDING"
    const verdict = second
      ? "accept"
      : verdictOf(run, type, { force: proposed.force === true, line: this.line })
    if (verdict === "cancelled instead") {
      const name = { type: "CANCELLED", name: "Cancelled" }
      return refused(
        "REJECT",
        "The flow run has no infrastructure to terminate.",
        this.#write(now, "server", run, name)
      )
    }
    if (verdict !== "accept") {
      return refused(
        verdict === "reject" ? "REJECT" : "ABORT",
        `This run is in a ${run.state_type} state and cannot transition to a ${type} state.`
      )
    }
    if (type === "RUNNING") {
      const wait = timeOf(current?.state_details?.scheduled_time) - now
      if (wait > 0) {
        return {
          state: current,
          status: "WAIT",
          details: { reason: "Not yet scheduled", delay_seconds: wait / 1000 }
        }
      }
    }
    if (type === "FAILED" && run.state_type === "RUNNING" && stored.retriesLeft > 0) {
      stored.retriesLeft--
      this.#replace(now, { ...run, empirical_policy: { ...run.empirical_policy, retry_type: "in_process" } })
      const again = { type: "SCHEDULED", name: "AwaitingRetry", scheduledTime: iso(now + 5_000) }
      return refused("REJECT", "Retrying", this.#write(now, "server", this.run(id) ?? run, again))
    }
    const slot = type === "PENDING" && proposed.force !== true ? this.#slot(now, run) : undefined
    if (slot === "none") return refused("ABORT", "Deployment concurrency limit is 0.")
    if (slot === "full") {
      const later = { type: "SCHEDULED", name: "AwaitingConcurrencySlot", scheduledTime: iso(now + 30_000) }
      return refused(
        "REJECT",
        "Deployment concurrency limit reached.",
        this.#write(now, "server", run, later)
      )
    }
    return { state: this.#write(now, by, run, proposed, slot), status: "ACCEPT", details: {} }
  }

  /** False when the run does not exist. */
  change(now: number, by: Writer, id: string, change: Partial<FlowRun>): boolean {
    const run = this.run(id)
    if (run === undefined) return false
    this.#replace(now, { ...run, ...change })
    this.chronicle.add({ at: now, by, what: "run changed", runId: id, change })
    return true
  }

  /** False when the lease is gone. */
  renewLease(now: number, by: Writer, lease: string, seconds: number): boolean {
    const until = this.leases.get(lease)
    if (until === undefined || until < now) return false
    this.leases.set(lease, now + seconds * 1000)
    this.chronicle.add({ at: now, by, what: "lease renewed", lease })
    return true
  }

  #slot(now: number, run: FlowRun): "full" | "none" | string | undefined {
    const limit = this.deploymentLimits.get(run.deployment_id ?? "")
    if (limit === undefined) return undefined
    if (limit === 0) return "none"
    const taken = this.all().filter(
      (each) =>
        each.deployment_id === run.deployment_id &&
        (each.state_type === "PENDING" || each.state_type === "RUNNING")
    )
    if (taken.length >= limit) return "full"
    const lease = this.#id("lease")
    this.leases.set(lease, now + leaseFor)
    return lease
  }

  #replace(now: number, run: FlowRun): void {
    this.#runs.get(run.id)?.versions.push({ at: now, run })
  }

  #write(now: number, by: Writer, run: FlowRun, proposed: ProposedState, lease?: string): State {
    const { type } = proposed
    const before = run.state ?? undefined
    const scheduledTime =
      proposed.scheduledTime ??
      (type === "SCHEDULED"
        ? iso(now)
        : type === "PENDING"
          ? before?.state_details?.scheduled_time
          : undefined)
    const state: State = {
      id: this.#id("state"),
      type,
      name: proposed.name ?? `${type.charAt(0)}${type.slice(1).toLowerCase()}`,
      message: proposed.message ?? null,
      timestamp: iso(now),
      state_details: {
        transition_id: proposed.transitionId ?? null,
        scheduled_time: scheduledTime ?? null,
        ...(proposed.pauseReschedule === undefined ? {} : { pause_reschedule: proposed.pauseReschedule }),
        ...(lease === undefined ? {} : { deployment_concurrency_lease_id: lease })
      }
    }
    const resurrected = final.has(run.state_type ?? "") && !final.has(type)
    this.#replace(now, {
      ...run,
      ...asFields(state),
      next_scheduled_start_time: type === "SCHEDULED" ? (scheduledTime ?? null) : null,
      start_time: type === "RUNNING" ? (run.start_time ?? iso(now)) : (run.start_time ?? null),
      end_time: final.has(type) ? iso(now) : resurrected ? null : (run.end_time ?? null),
      run_count: type === "RUNNING" ? run.run_count + 1 : resurrected ? 0 : run.run_count,
      ...(resurrected ? { empirical_policy: { ...run.empirical_policy, retry_type: "reschedule" } } : {})
    })
    this.#runs.get(run.id)?.states.push(state)
    this.chronicle.add({ at: now, by, what: "state", runId: run.id, from: before, to: state })
    return state
  }
}

const asFields = (state: State) => ({
  state,
  state_id: state.id ?? null,
  state_type: state.type,
  state_name: state.name ?? null
})
